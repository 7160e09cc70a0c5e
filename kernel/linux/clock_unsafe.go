package linux

import (
	"syscall"
	"time"
	"unsafe"
)

// monotonic reads the monotonic clock: the lower half's.
func monotonic() time.Duration {
	var ts syscall.Timespec
	// SAFETY: rawTrap doesn't split the stack, so ts stays where it is.
	_, _, errno := rawTrap(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&ts)), 0, 0, 0, 0)
	if errno != 0 {
		return time.Since(booted)
	}
	return duration(ts)
}

// cpuTime returns the CPU time that the program has used: the lower half's
// answer to getrusage.
func cpuTime() (user, system time.Duration) {
	const self = 0
	var r syscall.Rusage
	// SAFETY: as above.
	rawTrap(syscall.SYS_GETRUSAGE, self, uintptr(unsafe.Pointer(&r)), 0, 0, 0, 0)
	return time.Duration(r.Utime.Nano()), time.Duration(r.Stime.Nano())
}
