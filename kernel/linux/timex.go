package linux

import "syscall"

// timex is struct timex of adjtimex(2).
type timex struct {
	modes                                                        uint32
	_                                                            uint32
	offset, frequency, maxError, estimatedError                  int64
	status                                                       int32
	_                                                            int32
	constant, precision, tolerance                               int64
	now                                                          syscall.Timeval
	tick                                                         int64
	ppsFrequency, jitter                                         int64
	shift                                                        int32
	_                                                            int32
	stability, jitterCount, calibrationCount, errorCount, stable int64
	tai                                                          int32
	_                                                            [11]int32
}

func sysAdjtimex(c call) (uintptr, Errno) { return c.adjtimex(c.a1) }

func sysClockAdjtime(c call) (uintptr, Errno) {
	if c.a1 != clockRealtime {
		return 0, syscall.EOPNOTSUPP
	}
	return c.adjtimex(c.a2)
}

// adjtimex tells of a clock that nobody disciplines here, as the host does that,
// and lets nobody change it.
func (c call) adjtimex(p uintptr) (uintptr, Errno) {
	const (
		unsynchronised = 0x40 // STA_UNSYNC
		timeError      = 5    // TIME_ERROR
		tick           = 10_000
		tolerance      = 500 << 16
		unknown        = 16_000_000 // microseconds: as much as there can be
	)
	t, errno := get[timex](c.address(p))
	switch {
	case errno != 0:
		return 0, errno
	case t.modes != 0:
		return 0, syscall.EPERM
	}
	t = timex{maxError: unknown, estimatedError: unknown, status: unsynchronised, constant: 2, precision: 1, tolerance: tolerance, tick: tick}
	syscall.Gettimeofday(&t.now)
	return timeError, put(c.address(p), &t)
}
