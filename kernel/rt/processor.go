package rt

import (
	"pith/kernel/cpu"
	"pith/kernel/sched"
)

// setAffinity is sched_setaffinity(2): taken as a hint, if it leaves the thread
// any CPU at all.
func setAffinity(size, addr uintptr) uint64 {
	n := sched.Threads.CPUs()
	var mask uint64
	for i := uintptr(0); i < min(size, 8); i++ {
		if !mayRead(addr+i, 1) {
			return fail(eFAULT)
		}
		mask |= uint64(cpu.Load8(addr+i)) << (8 * i)
	}
	if mask&(^uint64(0)>>(64-n)) == 0 {
		return fail(eINVAL)
	}
	return 0
}

// getcpu writes the number of the CPU and that of its memory node, of which
// there is one.
func getcpu(number, node uintptr) uint64 {
	if number != 0 {
		if !mayWrite(number, 4) {
			return fail(eFAULT)
		}
		cpu.Store32(number, uint32(cpu.This().ID))
	}
	if node != 0 {
		if !mayWrite(node, 4) {
			return fail(eFAULT)
		}
		cpu.Store32(node, 0)
	}
	return 0
}

// Commands of membarrier(2).
const (
	barrierQuery              = 0
	barrierGlobal             = 1 << 0
	barrierGlobalExpedited    = 1 << 1
	barrierRegisterGlobal     = 1 << 2
	barrierPrivate            = 1 << 3
	barrierRegisterPrivate    = 1 << 4
	barrierRegisterAnswerable = barrierRegisterGlobal | barrierRegisterPrivate
	barrierAnswerable         = barrierGlobal | barrierGlobalExpedited | barrierPrivate
)

// membarrier makes all other CPUs pass a barrier: each answers an interrupt.
func membarrier(command, flags uintptr) uint64 {
	switch {
	case flags != 0:
		return fail(eINVAL)
	case command == barrierQuery:
		return barrierAnswerable | barrierRegisterAnswerable
	case command&(command-1) != 0:
		return fail(eINVAL)
	case command&barrierAnswerable != 0:
		sched.Threads.FlushOthers()
		return 0
	case command&barrierRegisterAnswerable != 0:
		return 0
	}
	return fail(eINVAL)
}
