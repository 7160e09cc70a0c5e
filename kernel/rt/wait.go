package rt

import (
	"pith/kernel/clock"
	"pith/kernel/cpu"
	"pith/kernel/poll"
	"pith/kernel/sched"
)

// Operations of futex(2).
const (
	futexWait       = 0
	futexWake       = 1
	futexRequeue    = 3
	futexCmpRequeue = 4
	futexWaitBits   = 9
	futexWakeBits   = 10
	futexPrivate    = 128
	futexRealtime   = 256
)

func futex(addr, op, val, timeout, addr2, val3 uintptr) uint64 {
	if addr&3 != 0 || !mayRead(addr, 4) {
		return fail(eFAULT)
	}
	s := &sched.Threads
	realtime := op&futexRealtime != 0
	switch op &^ (futexPrivate | futexRealtime) {
	case futexWait:
		return futexWaitOn(addr, uint32(val), timeout, ^uint32(0), false, realtime)
	case futexWaitBits:
		return futexWaitOn(addr, uint32(val), timeout, uint32(val3), true, realtime)
	case futexWake, futexWakeBits:
		mask := ^uint32(0)
		if op&127 == futexWakeBits {
			mask = uint32(val3)
		}
		s.Lock()
		n := s.WakeKey(addr, mask, int(int32(val)))
		s.Unlock()
		return uint64(n)
	case futexRequeue, futexCmpRequeue:
		s.Lock()
		if op&127 == futexCmpRequeue && cpu.Load32(addr) != uint32(val3) {
			s.Unlock()
			return fail(eAGAIN)
		}
		n := s.WakeKey(addr, ^uint32(0), int(int32(val)))
		n += s.Requeue(addr, addr2, int(int32(timeout)))
		s.Unlock()
		return uint64(n)
	}
	return fail(eNOSYS)
}

// futexWaitOn sleeps while the word at addr is val. absolute says that the
// time-out is a point in time, on the wall clock if realtime is set.
func futexWaitOn(addr uintptr, val uint32, timeout uintptr, mask uint32, absolute, realtime bool) uint64 {
	if mask == 0 {
		return fail(eINVAL)
	}
	var deadline int64
	if timeout != 0 {
		ns, errno := timespec(timeout)
		if errno != 0 {
			return fail(errno)
		}
		switch {
		case !absolute:
			deadline = addTime(clock.Now(), ns)
		case realtime:
			deadline = ns - (clock.Wall() - clock.Now())
		default:
			deadline = ns
		}
		deadline = max(deadline, 1)
	}
	s := &sched.Threads
	s.Lock()
	if cpu.Load32(addr) != val {
		s.Unlock()
		return fail(eAGAIN)
	}
	outcome := s.Wait(addr, mask, deadline)
	s.Unlock()
	return result(outcome)
}

// timespec reads a struct timespec as nanoseconds.
func timespec(addr uintptr) (int64, int) {
	if !mayRead(addr, 16) {
		return 0, eFAULT
	}
	sec, nsec := int64(cpu.Load64(addr)), int64(cpu.Load64(addr+8))
	if sec < 0 || nsec < 0 || nsec >= 1e9 {
		return 0, eINVAL
	}
	const farAway = 1 << 32 // seconds: beyond any machine's life
	return min(sec, farAway)*1e9 + nsec, 0
}

func addTime(now, ns int64) int64 {
	if at := now + ns; at > 0 {
		return at
	}
	return 1<<63 - 1
}

// The runtime only sleeps here for its own watch (sysmon, from 20 µs to 10 ms)
// and for moments while it spins. Each sleep costs a timer and two switches, so
// that short ones are yields and others last at least a tick.
const (
	yieldBelow = 10_000
	sleepTick  = 1_000_000
)

func nanosleep(addr uintptr) uint64 {
	ns, errno := timespec(addr)
	if errno != 0 {
		return fail(errno)
	}
	if ns < yieldBelow {
		sched.Threads.Yield()
		return 0
	}
	return sleepUntil(addTime(clock.Now(), max(ns, sleepTick)))
}

func clockNanosleep(id, flags, addr uintptr) uint64 {
	const absolute = 1
	ns, errno := timespec(addr)
	if errno != 0 {
		return fail(errno)
	}
	switch {
	case flags&absolute == 0:
		return sleepUntil(addTime(clock.Now(), ns))
	case id == 0:
		return sleepUntil(max(ns-(clock.Wall()-clock.Now()), 1))
	default:
		return sleepUntil(max(ns, 1))
	}
}

// sleepKey names nothing that anybody wakes.
const sleepKey = 8

func sleepUntil(deadline int64) uint64 {
	s := &sched.Threads
	s.Lock()
	outcome := s.Wait(sleepKey, 1, deadline)
	s.Unlock()
	if outcome == sched.Interrupted {
		return fail(eINTR)
	}
	return 0
}

func epollCtl(epfd, op, fd, event uintptr) uint64 {
	const add, del, mod = 1, 2, 3
	if epfd != poll.EpollFD {
		return fail(eBADF)
	}
	if op == del {
		poll.Runtime.Remove(uint32(fd))
		return 0
	}
	if !mayRead(event, 12) {
		return fail(eFAULT)
	}
	if pollable != nil && fd < poll.EpollFD && !pollable(int32(fd)) {
		return fail(ePERM)
	}
	if op == add && poll.Runtime.Has(uint32(fd)) {
		return fail(eEXIST)
	}
	data := uint64(cpu.Load32(event+4)) | uint64(cpu.Load32(event+8))<<32
	if op != add && op != mod {
		return fail(eINVAL)
	}
	return result(poll.Runtime.Set(uint32(fd), cpu.Load32(event), data, op == mod))
}

// pollable tells whether a descriptor of package linux can be waited for.
var pollable func(fd int32) bool

// SetPollable gives that function, which must neither lock nor allocate.
func SetPollable(f func(fd int32) bool) { pollable = f }

func epollWait(epfd, events, max, timeout uintptr) uint64 {
	if epfd != poll.EpollFD {
		return fail(eBADF)
	}
	n := int(int32(max))
	if n <= 0 || n > 1<<16 || !mayWrite(events, uintptr(n)*12) {
		return fail(eINVAL)
	}
	ms := int32(timeout)
	var deadline int64
	if ms > 0 {
		deadline = clock.Now() + int64(ms)*1e6
	}
	got := poll.Runtime.Wait(events, n, ms == 0, deadline)
	if got < 0 {
		return fail(eINTR)
	}
	return uint64(got)
}
