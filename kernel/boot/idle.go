package boot

import (
	"pith/kernel/clock"
	"pith/kernel/sched"
)

// runtimeEntry is where the Go runtime starts on Linux.
//
//go:noescape
func runtimeEntry() uintptr

// idleOn leaves the boot's stack for that of this CPU's idle thread and runs f.
//
//go:noescape
func idleOn(thread, top, f uintptr)

// idle turns the boot into the first CPU's idle thread.
func idle() {
	// The runtime reads the clock without a system call, as from Linux's vDSO.
	vdsoClockGettime = clock.VDSO()
	t := sched.Current()
	idleOn(uintptr(t.Ref()), t.KernelTop(), idleCode())
}

func idleLoop() { sched.Threads.Idle() }
