package clock

import (
	"math/bits"

	"pith/kernel/apic"
	"pith/kernel/cpu"
)

// A short comparison at boot knows the counter's frequency to about one part
// in two thousand. Later ones are longer: each time that the timer is set anew
// while a long setting still runs, its count is compared with the counter.
var (
	timerStart uint64 // the counter when the timer was set
	timerCount uint32 // what it was set to
	longest    uint64 // ticks of the counter of the best comparison
)

// leastSpan is the shortest comparison that is better than the boot's, in ns.
const leastSpan = 100_000_000

// widest is how long an access to the timer may take, in ns, for the moment to
// be known: a busy host may stop an emulated CPU in the middle of it.
const widest = 20_000

// most is how far a comparison may differ from what was believed, as a
// fraction 1/most: one that differs more was disturbed.
const most = 100

// SetTimer asks for a timer interrupt on the running CPU after ns nanoseconds.
// first says that it is the first CPU, whose timer the clock is compared with.
// The caller holds a lock that keeps others out.
func SetTimer(ns int64, first bool) {
	ticks := TimerTicks(ns)
	if !first || source != fromTimer {
		apic.SetTimer(ticks)
		return
	}
	compare()
	before := cpu.TSC()
	apic.SetTimer(ticks)
	width := cpu.TSC() - before
	timerStart, timerCount = before+width/2, ticks
	if scaled(width) > widest {
		timerStart = 0 // nobody knows when exactly it was set
	}
}

// compare refines the conversion by the timer that runs, if it ran for long.
func compare() {
	span := cpu.TSC() - timerStart
	if timerStart == 0 || span <= longest || scaled(span) < leastSpan {
		return
	}
	before := cpu.TSC()
	elapsed := apic.Elapsed(timerCount)
	width := cpu.TSC() - before
	now := before + width/2
	if elapsed == timerCount || scaled(width) > widest {
		return // it has run out, or was not read in time
	}
	hi, lo := bits.Mul64(uint64(elapsed), 1<<32)
	better, _ := bits.Div64(hi, lo, now-timerStart)
	if difference := max(better, mult) - min(better, mult); difference > mult/most {
		return
	}
	longest = now - timerStart
	adopt(better)
}

// adopt changes the conversion without a jump.
func adopt(better uint64) {
	sequence.Add(1)
	now := cpu.TSC()
	base += scaled(now - origin)
	origin, mult = now, better
	sequence.Add(1)
}

// scaled converts ticks of the counter to nanoseconds.
func scaled(ticks uint64) uint64 {
	hi, lo := bits.Mul64(ticks, mult)
	return hi<<32 | lo>>32
}
