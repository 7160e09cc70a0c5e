// Package clock tells the time: nanoseconds since boot from the time-stamp
// counter, and the wall clock on top of it. One counter serves all CPUs, so
// that time never steps back between them.
//
// It relies on packages cpu, apic and mm. It must not know timers or threads.
// Reading the clock neither allocates nor blocks and is allowed anywhere.
// Sources: Intel SDM 3, section 18.17; KVM's pvclock ABI
// (Documentation/virt/kvm/x86/msr.rst); Linux's vDSO manual, vdso(7).
package clock

import (
	"math/bits"

	"pith/kernel/apic"
	"pith/kernel/cpu"
)

// The conversion that the assembly reads as well: now = scale(tsc) with
// scale(t) = t*mult >> 32.
var (
	mult       uint64 // nanoseconds a tick, in 32.32 fixed point
	wallOffset int64  // wall clock minus Now, nanoseconds since 1970

	ticksPerNano uint64 // of the local APIC's timer, 32.32 fixed point
	source       string
)

// timerTicksTCG is the frequency of QEMU's and KVM's local APIC timer in Hz:
// one tick a nanosecond (hw/intc/apic.c).
const timerHz = 1_000_000_000

// Init finds out how fast the counter runs.
func Init() {
	switch {
	case fromKVM():
	case fromCPUID():
	default:
		calibrate()
	}
	ticksPerNano = timerHz << 32 / 1_000_000_000
}

// Source names where the counter's frequency came from.
func Source() string { return source }

// KHz is the counter's frequency.
func KHz() uint64 {
	if mult == 0 {
		return 0
	}
	hi, lo := bits.Mul64(1_000_000, 1<<32)
	q, _ := bits.Div64(hi, lo, mult)
	return q
}

func setHz(hz uint64, from string) {
	hi, lo := bits.Mul64(1_000_000_000, 1<<32)
	mult, _ = bits.Div64(hi, lo, hz)
	source = from
}

// fromCPUID uses the crystal's ratio (SDM 2, CPUID leaf 15h).
func fromCPUID() bool {
	max, _, _, _ := cpu.CPUID(0, 0)
	if max < 0x15 {
		return false
	}
	den, num, crystal, _ := cpu.CPUID(0x15, 0)
	if den == 0 || num == 0 || crystal == 0 {
		return false
	}
	setHz(uint64(crystal)*uint64(num)/uint64(den), "cpuid")
	return true
}

// calibrationTime is how long the counter is compared with the timer, in ns.
const calibrationTime = 1_000_000

// calibrate compares the counter with the local APIC's timer, whose
// frequency emulators fix.
func calibrate() {
	const start = ^uint32(0)
	apic.SetTimer(start)
	from, t0 := apic.Elapsed(start), cpu.TSC()
	var to uint32
	var t1 uint64
	for to-from < calibrationTime {
		to, t1 = apic.Elapsed(start), cpu.TSC()
	}
	apic.SetTimer(0)
	setHz((t1-t0)*timerHz/uint64(to-from), "apic timer")
}

// Now returns nanoseconds since the counter began to count.
func Now() int64 { return scale(cpu.TSC()) }

func scale(tsc uint64) int64 {
	hi, lo := bits.Mul64(tsc, mult)
	return int64(hi<<32 | lo>>32)
}

// Wall returns nanoseconds since 1970.
func Wall() int64 { return Now() + wallOffset }

// SetWall sets the wall clock: it was wall when Now was now.
func SetWall(wall, now int64) { wallOffset = wall - now }

// TimerTicks converts nanoseconds to ticks of the local APIC's timer, at least 1.
func TimerTicks(ns int64) uint32 {
	if ns <= 0 {
		return 1
	}
	hi, lo := bits.Mul64(uint64(ns), ticksPerNano)
	ticks := hi<<32 | lo>>32
	return uint32(min(max(ticks, 1), 0xffff_ffff))
}

// vdso returns the address of the routine that stands for Linux's
// __vdso_clock_gettime.
func vdso() uintptr

// VDSO is that address; the Go runtime calls it instead of a system call.
func VDSO() uintptr { return vdso() }
