package linuxvm

import "time"

// readTSC is this CPU's time-stamp counter.
func readTSC() uint64

// tscWindow is how long the counter is measured: 20 ms is right to 10 ppm.
const tscWindow = 20 * time.Millisecond

// hostTSC is the rate of the host's time-stamp counter in kHz. Under TCG the
// guest reads the same counter, but has to measure it against an emulated timer,
// which fails on a busy host, and then it never gets up; so it is told.
func hostTSC() int64 {
	counter, clock := readTSC(), time.Now()
	time.Sleep(tscWindow)
	ticks, passed := readTSC()-counter, time.Since(clock)
	return int64(float64(ticks) / float64(passed) * float64(time.Millisecond))
}
