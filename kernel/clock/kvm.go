package clock

import (
	"pith/kernel/cpu"
	"pith/kernel/mm"
)

const msrSystemTimeNew = 0x4b564d01

// fromKVM reads the counter's scale from KVM's paravirtual clock, once: the
// counter is taken to be stable, as KVM says it is where it offers the
// clock's stable bit.
func fromKVM() bool {
	if string(cpu.Hypervisor[:9]) != "KVMKVMKVM" {
		return false
	}
	features, _, _, _ := cpu.CPUID(0x40000001, 0)
	if features&(1<<3) == 0 || features&(1<<24) == 0 {
		return false
	}
	page := mm.Memory.AllocPages(0)
	if page == 0 {
		return false
	}
	cpu.WriteMSR(msrSystemTimeNew, uint64(page)|1)
	at := mm.Virtual(page)
	mul, shift := uint64(cpu.Load32(at+24)), int8(cpu.Load8(at+28))
	cpu.WriteMSR(msrSystemTimeNew, 0)
	mm.Memory.FreePages(page, 0)
	if mul == 0 {
		return false
	}
	// pvclock: ns = (tsc << shift) * mul >> 32.
	if shift < 0 {
		mult = mul >> uint(-shift)
	} else {
		mult = mul << uint(shift)
	}
	source = "kvmclock"
	return true
}
