package sched

import "pith/kernel/cpu"

// renewal drops a CPU's translations now and then where QEMU emulates it. QEMU keeps
// them in a table that becomes larger only when it is emptied while it is full
// (accel/tcg/cputlb.c). Whoever switches between processes empties it all the time. We
// would never, and the table would keep its first 256 entries, so that every server spent
// a fifth of its time on finding the same pages again.
type renewal struct {
	next     int64 // when
	interval int64 // in ns
}

// Each time the table may double. Filling it again costs a millisecond or two.
const (
	firstRenewal = 10_000_000
	lastRenewal  = 160_000_000
)

// look is called at each switch to another thread.
func (r *renewal) look(now int64) {
	if now < r.next || cpu.Hypervisor != emulator {
		return
	}
	r.interval = min(max(2*r.interval, firstRenewal), lastRenewal)
	r.next = now + r.interval
	cpu.WriteCR3(cpu.ReadCR3())
}

// emulator is QEMU's signature in CPUID leaf 0x40000000.
var emulator = [12]byte{'T', 'C', 'G', 'T', 'C', 'G', 'T', 'C', 'G', 'T', 'C', 'G'}
