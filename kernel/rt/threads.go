package rt

import (
	"sync/atomic"

	"pith/kernel/cpu"
	"pith/kernel/diag"
	"pith/kernel/sched"
)

// Flags of clone(2).
const (
	clonePidfd  = 0x1000
	cloneThread = 0x10000 // a thread of Go's has it
)

func clone(f *cpu.Frame, flags, stack, parentTID uintptr) uint64 {
	const parentSetTID = 0x100000
	if flags&clonePidfd != 0 {
		return fail(eNOSYS) // package os asks whether it can be done: nothing to tell of
	}
	if flags&cloneThread == 0 {
		return noProcess()
	}
	child := *f
	child.AX, child.TLS = 0, 0
	if stack != 0 {
		child.SP = uint64(stack)
	}
	r := sched.Threads.Spawn(&child)
	if r == 0 {
		return fail(eAGAIN)
	}
	id := r.Thread().ID
	if flags&parentSetTID != 0 && mayWrite(parentTID, 4) {
		cpu.Store32(parentTID, uint32(id))
	}
	return uint64(id)
}

// noProcess refuses what would start another process, and says so once.
func noProcess() uint64 {
	if refused.Swap(1) == 0 {
		diag.Print("pith: fork and exec are not there on purpose: a unikernel runs one program\n")
	}
	return fail(ePERM)
}

var refused atomic.Uint32

func exitThread() { sched.Threads.Exit() }

func archPrctl(f *cpu.Frame, code, addr uintptr) uint64 {
	const setFS = 0x1002
	if code != setFS {
		return fail(eINVAL)
	}
	if !mayWrite(addr-8, 8) {
		return fail(eFAULT)
	}
	sched.Current().SetFS(f, addr)
	return 0
}

// identities is getresuid(2) and getresgid(2): there is one user, with number 0.
func identities(real, effective, saved uintptr) uint64 {
	for _, at := range [3]uintptr{real, effective, saved} {
		if !mayWrite(at, 4) {
			return fail(eFAULT)
		}
		cpu.Store32(at, 0)
	}
	return 0
}
