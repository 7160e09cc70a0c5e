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
	"sync/atomic"

	"pith/kernel/apic"
	"pith/kernel/cpu"
)

// The conversion that the assembly reads as well: Now is
// base + (tsc-origin)*mult >> 32. It changes when the counter's frequency becomes
// known better; sequence is odd meanwhile, so that readers try again.
var (
	sequence   atomic.Uint32
	mult       uint64 // nanoseconds a tick, in 32.32 fixed point
	origin     uint64 // a value of the counter,
	base       uint64 // and the nanoseconds since boot that belong to it
	wallOffset int64  // wall clock minus Now, nanoseconds since 1970

	source string
)

// timerHz is the frequency of QEMU's and KVM's local APIC timer in Hz:
// one tick a nanosecond (hw/intc/apic.c).
const timerHz = 1_000_000_000

// Begin begins to compare the counter with the running CPU's timer, as soon as that is
// there: what is done between Begin and Init, on the same CPU and without interrupts, is
// time that Init doesn't wait.
func Begin() {
	apic.SetTimer(calibrationCount)
	begun.elapsed, begun.tsc = sample(calibrationCount)
}

// Init finds out how fast the counter runs.
func Init() {
	switch {
	case fromKVM():
	case fromCPUID():
	default:
		calibrate()
	}
	apic.SetTimer(0)
}

func setHz(hz uint64, from string) {
	hi, lo := bits.Mul64(1_000_000_000, 1<<32)
	mult, _ = bits.Div64(hi, lo, hz)
	source = from
}

// Frequency is the counter's, in Hz, as well as it is known.
func Frequency() uint64 {
	hi, lo := bits.Mul64(1_000_000_000, 1<<32)
	hz, _ := bits.Div64(hi, lo, mult)
	return hz
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

// fromTimer is source where the local APIC's timer is the measure.
const fromTimer = "apic timer"

// calibrationTime is how long the counter is compared with the timer at least, in ns.
const calibrationTime = 1_000_000

// calibrationCount is what the timer counts down from meanwhile: four seconds.
const calibrationCount = ^uint32(0)

// begun is the moment at which Begin was called.
var begun struct {
	elapsed uint32 // ticks of the timer
	tsc     uint64
}

// calibrate compares the counter with the local APIC's timer, whose
// frequency emulators fix.
func calibrate() {
	for apic.Elapsed(calibrationCount)-begun.elapsed < calibrationTime {
		cpu.Pause()
	}
	elapsed, tsc := sample(calibrationCount)
	setHz((tsc-begun.tsc)*timerHz/uint64(elapsed-begun.elapsed), fromTimer)
}

// sample reads timer and counter at the same moment. A busy host may stop an
// emulated CPU between the two for milliseconds, so the tightest of several
// pairs counts.
func sample(from uint32) (elapsed uint32, tsc uint64) {
	tightest := ^uint64(0)
	for range 16 {
		before := cpu.TSC()
		e := apic.Elapsed(from)
		if width := cpu.TSC() - before; width < tightest {
			tightest, elapsed, tsc = width, e, before+width/2
		}
	}
	return elapsed, tsc
}

// Now returns nanoseconds since the counter began to count.
func Now() int64 {
	for {
		before := sequence.Load()
		now := base + scaled(cpu.TSC()-origin)
		if before&1 == 0 && sequence.Load() == before {
			return int64(now)
		}
	}
}

// Wall returns nanoseconds since 1970.
func Wall() int64 { return Now() + wallOffset }

// SetWall sets the wall clock: it was wall when Now was now.
func SetWall(wall, now int64) { wallOffset = wall - now }

// Confine moves the wall clock as little as it takes to lie from earliest to
// latest now. The upper half calls it, one goroutine at a time.
func Confine(earliest, latest int64) {
	now := Now()
	wallOffset = min(max(wallOffset, earliest-now), latest-now)
}

// TimerTicks converts nanoseconds to ticks of the local APIC's timer, at least 1.
func TimerTicks(ns int64) uint32 {
	const ticksPerNano = timerHz / 1_000_000_000
	return uint32(min(max(ns, 1)*ticksPerNano, 0xffff_ffff))
}

// vdso returns the address of the routine that stands for Linux's
// __vdso_clock_gettime.
func vdso() uintptr

// VDSO is that address; the Go runtime calls it instead of a system call.
func VDSO() uintptr { return vdso() }
