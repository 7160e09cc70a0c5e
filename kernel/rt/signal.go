package rt

import (
	"pith/kernel/clock"
	"pith/kernel/cpu"
	"pith/kernel/poll"
	"pith/kernel/sched"
	"pith/kernel/trap"
)

func sigaction(sig int, new, old uintptr) uint64 {
	const size = 32
	if new != 0 && !mayRead(new, size) || old != 0 && !mayWrite(old, size) {
		return fail(eFAULT)
	}
	act := trap.ActionOf(sig)
	if act == nil {
		return fail(eINVAL)
	}
	s := &sched.Threads
	s.Lock()
	before := *act
	if new != 0 {
		act.Handler, act.Flags = uintptr(cpu.Load64(new)), uintptr(cpu.Load64(new+8))
		act.Restorer, act.Mask = uintptr(cpu.Load64(new+16)), cpu.Load64(new+24)
	}
	s.Unlock()
	if old != 0 {
		cpu.Store64(old, uint64(before.Handler))
		cpu.Store64(old+8, uint64(before.Flags))
		cpu.Store64(old+16, uint64(before.Restorer))
		cpu.Store64(old+24, before.Mask)
	}
	return 0
}

func sigprocmask(how int, new, old uintptr) uint64 {
	const block, unblock, set = 0, 1, 2
	if new != 0 && !mayRead(new, 8) || old != 0 && !mayWrite(old, 8) {
		return fail(eFAULT)
	}
	t := sched.Current()
	before := t.Blocked
	if new != 0 {
		mask := cpu.Load64(new) &^ trap.Unblockable
		switch how {
		case block:
			t.Blocked |= mask
		case unblock:
			t.Blocked &^= mask
		case set:
			t.Blocked = mask
		default:
			return fail(eINVAL)
		}
	}
	if old != 0 {
		cpu.Store64(old, before)
	}
	return 0
}

// sigpending is rt_sigpending(2).
func sigpending(addr, size uintptr) uint64 {
	switch {
	case size > 8:
		return fail(eINVAL)
	case !mayWrite(addr, size):
		return fail(eFAULT)
	}
	t := sched.Current()
	pending := t.Pending & t.Blocked
	for i := uintptr(0); i < size; i++ {
		cpu.Store8(addr+i, byte(pending>>(8*i)))
	}
	return 0
}

// sigtimedwait is rt_sigtimedwait(2): it takes one of the signals in a set, which
// the thread should have blocked.
func sigtimedwait(set, info, timeout, size uintptr) uint64 {
	switch {
	case size != 8:
		return fail(eINVAL)
	case !mayRead(set, 8) || info != 0 && !mayWrite(info, siginfoSize):
		return fail(eFAULT)
	}
	deadline := int64(0)
	if timeout != 0 {
		ns, errno := timespec(timeout)
		if errno != 0 {
			return fail(errno)
		}
		deadline = addTime(clock.Now(), ns)
	}
	wanted := cpu.Load64(set) &^ trap.Unblockable
	s, t := &sched.Threads, sched.Current()
	s.Lock()
	sig, code := trap.Take(t, wanted)
	if sig == 0 {
		blocked := t.Blocked
		t.Blocked &^= wanted // so that one of them ends the wait
		outcome := s.Wait(sleepKey, 1, deadline)
		t.Blocked = blocked
		if sig, code = trap.Take(t, wanted); sig == 0 {
			s.Unlock()
			if outcome == sched.TimedOut {
				return fail(eAGAIN)
			}
			return fail(eINTR)
		}
	}
	s.Unlock()
	if info != 0 {
		cpu.Zero(info, siginfoSize)
		cpu.Store32(info, uint32(sig))
		cpu.Store32(info+8, uint32(code))
		cpu.Store32(info+16, 1) // its sender: process 1, user 0
	}
	return uint64(sig)
}

const siginfoSize = 128

// signals is the descriptor that tells the upper half of each signal that was
// sent, for signalfd; 0 before anybody asked.
var signals uint32

// watchSignals sets that descriptor up.
func watchSignals() uint64 {
	if signals == 0 {
		_, fd, ok := trap.NewDevice(0, 0)
		if !ok {
			return fail(eNFILE)
		}
		signals = fd
	}
	return uint64(signals)
}

// tellOfSignal is called without locks.
func tellOfSignal() {
	if signals != 0 {
		poll.Runtime.Interrupt(signals)
	}
}

// takeSignal takes one of the signals in a set that the running thread has
// pending, or only looks at it if look is 1. The answer is the signal, its code
// above it; 0 is none.
func takeSignal(wanted uint64, look uintptr) uint64 {
	s, t := &sched.Threads, sched.Current()
	wanted &^= trap.Unblockable
	s.Lock()
	pending := t.Pending
	sig, code := trap.Take(t, wanted)
	if look == 1 {
		t.Pending = pending
	}
	s.Unlock()
	return uint64(sig) | uint64(uint32(code))<<32
}

func sigaltstack(new, old uintptr) uint64 {
	const size = 24
	if new != 0 && !mayRead(new, size) || old != 0 && !mayWrite(old, size) {
		return fail(eFAULT)
	}
	t := sched.Current()
	base, length, flags := t.AltStack, t.AltSize, t.AltFlags
	if new != 0 {
		trap.SetAltStack(t, uintptr(cpu.Load64(new)), uintptr(cpu.Load64(new+16)), cpu.Load32(new+8))
	}
	if old != 0 {
		cpu.Store64(old, uint64(base))
		cpu.Store32(old+8, flags)
		cpu.Store64(old+16, uint64(length))
	}
	return 0
}

// kill sends a signal to the one process that there is.
func kill(pid, sig int) uint64 {
	if pid != 1 && pid != 0 && pid != -1 {
		return fail(eSRCH)
	}
	if sig == 0 {
		return 0
	}
	if trap.ActionOf(sig) == nil {
		return fail(eINVAL)
	}
	s := &sched.Threads
	s.Lock()
	trap.RaiseAny(sig, trap.CodeUser)
	s.Unlock()
	tellOfSignal()
	return 0
}

func tgkill(tid int32, sig int) uint64 {
	if sig != 0 && trap.ActionOf(sig) == nil {
		return fail(eINVAL)
	}
	s := &sched.Threads
	found := false
	s.Lock()
	s.Each(func(t *sched.Thread) {
		if t.ID != tid || t.Idle() {
			return
		}
		found = true
		if sig != 0 {
			trap.Raise(t, sig, trap.CodeThread)
		}
	})
	s.Unlock()
	if !found {
		return fail(eSRCH)
	}
	tellOfSignal()
	return 0
}

// setitimer drives the runtime's CPU profile: ITIMER_PROF only.
func setitimer(which, new, old uintptr) uint64 {
	const prof = 2
	if which != prof {
		return fail(eINVAL)
	}
	if !mayRead(new, 32) {
		return fail(eFAULT)
	}
	if old != 0 && mayWrite(old, 32) {
		cpu.Zero(old, 32)
	}
	every := int64(cpu.Load64(new))*1e9 + int64(cpu.Load64(new+8))*1e3
	sched.Threads.SetProfile(every)
	return 0
}
