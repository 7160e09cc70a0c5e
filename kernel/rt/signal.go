package rt

import (
	"pith/kernel/cpu"
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
	const unblockable = 1<<(trap.SIGKILL-1) | 1<<(19-1)
	if new != 0 && !mayRead(new, 8) || old != 0 && !mayWrite(old, 8) {
		return fail(eFAULT)
	}
	t := sched.Current()
	before := t.Blocked
	if new != 0 {
		mask := cpu.Load64(new) &^ unblockable
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
