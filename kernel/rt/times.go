package rt

import (
	"sync/atomic"

	"pith/kernel/clock"
	"pith/kernel/cpu"
	"pith/kernel/mm"
	"pith/kernel/sched"
)

// mostUsed is the most memory that was in use when somebody asked, in bytes.
var mostUsed atomic.Uint64

// getrusage reports CPU time and the most memory that was seen in use; the
// rest of struct rusage is zero. There are no children.
func getrusage(who int, addr uintptr) uint64 {
	const size, maxRSS = 144, 32
	const self, children, thread = 0, -1, 1
	if !mayWrite(addr, size) {
		return fail(eFAULT)
	}
	var ns int64
	switch int32(who) {
	case self:
		ns = sched.Threads.ProcessTime()
	case thread:
		ns = sched.Threads.ThreadTime()
	case children:
		cpu.Zero(addr, size)
		return 0
	default:
		return fail(eINVAL)
	}
	total, free := mm.Memory.Stats()
	used := uint64(total - free)
	if used > mostUsed.Load() {
		mostUsed.Store(used)
	}
	cpu.Zero(addr, size)
	cpu.Store64(addr, uint64(ns/1e9))
	cpu.Store64(addr+8, uint64(ns%1e9/1000))
	cpu.Store64(addr+maxRSS, mostUsed.Load()/1024)
	return 0
}

// getitimer: no timer runs but the profiler's, which nobody asks for.
func getitimer(which, addr uintptr) uint64 {
	const size = 32
	switch {
	case which > 2:
		return fail(eINVAL)
	case !mayWrite(addr, size):
		return fail(eFAULT)
	}
	cpu.Zero(addr, size)
	return 0
}

// gettimeofday writes the wall clock as a struct timeval; time zones are none.
func gettimeofday(addr, zone uintptr) uint64 {
	if addr != 0 {
		if !mayWrite(addr, 16) {
			return fail(eFAULT)
		}
		ns := clock.Wall()
		cpu.Store64(addr, uint64(ns/1e9))
		cpu.Store64(addr+8, uint64(ns%1e9/1000))
	}
	if zone != 0 {
		if !mayWrite(zone, 8) {
			return fail(eFAULT)
		}
		cpu.Store64(zone, 0)
	}
	return 0
}

// unixTime is time(2).
func unixTime(addr uintptr) uint64 {
	seconds := uint64(clock.Wall() / 1e9)
	if addr != 0 {
		if !mayWrite(addr, 8) {
			return fail(eFAULT)
		}
		cpu.Store64(addr, seconds)
	}
	return seconds
}

// splitTime writes nanoseconds as a struct timespec.
func splitTime(addr uintptr, ns int64) {
	cpu.Store64(addr, uint64(ns/1e9))
	cpu.Store64(addr+8, uint64(ns%1e9))
}

func clockGettime(id, addr uintptr) uint64 {
	if !mayWrite(addr, 16) {
		return fail(eFAULT)
	}
	switch id {
	case 0, 5, 8, 11: // CLOCK_TAI too: nobody has told of leap seconds
		splitTime(addr, clock.Wall())
	case 1, 4, 6, 7, 9:
		splitTime(addr, clock.Now())
	case 2:
		splitTime(addr, sched.Threads.ProcessTime())
	case 3:
		splitTime(addr, sched.Threads.ThreadTime())
	default:
		return fail(eINVAL)
	}
	return 0
}

func clockGetres(id, addr uintptr) uint64 {
	const last = 11
	if id > last || id == 10 {
		return fail(eINVAL)
	}
	if addr != 0 {
		if !mayWrite(addr, 16) {
			return fail(eFAULT)
		}
		splitTime(addr, 1)
	}
	return 0
}
