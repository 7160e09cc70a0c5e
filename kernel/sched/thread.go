// Package sched runs threads on CPUs: one for each of the Go runtime's Ms. It
// holds their run queues, what they wait for, their time-outs and their
// pending signals.
//
// It relies on packages cpu, mm, apic and clock. It must not know system
// calls or devices. All of it runs with interrupts off on a kernel stack, and
// nothing allocates from Go's heap or stores a Go pointer: threads are named
// by their addresses, type Ref.
//
// One lock guards the whole. Threads are few (Go makes about one a CPU), held
// times are short, and one lock can't deadlock with itself.
package sched

import (
	"pith/kernel/cpu"
	"pith/kernel/mm"
)

// Ref names a thread by its address in the direct map; 0 is none. It is a
// number and not a pointer, because the lower half must not run Go's write
// barriers.
type Ref uintptr

// Thread returns the thread that r names.
func (r Ref) Thread() *Thread { return (*Thread)(cpu.Pointer(uintptr(r))) }

// State of a thread.
const (
	Running = iota
	Runnable
	Blocked
	Dead
)

// Reasons why a wait ended, in Linux's error numbers where it is an error.
const (
	Woken       = 0
	Interrupted = 4
	TimedOut    = 110
)

// Thread is one thread and, at its beginning, the g that the kernel's own Go
// code finds in R14 while it works for this thread.
type Thread struct {
	g [64]uintptr // stack.lo, stack.hi, stackguard0, stackguard1, zeros

	sp         uintptr // of the kernel stack while not running
	top        uintptr // of the kernel stack
	fs         uintptr // FS base: the runtime's thread-local storage
	FPU        uintptr // where a preempted thread's registers are
	RestoreFPU uintptr // registers to load on the way out; package trap uses it

	ID    int32
	state uint32
	cpu   uint32 // where it ran last, or will run
	idle  bool

	next, prev Ref // run queue, or those that wait for the same key

	key        uintptr // what it waits for
	mask       uint32  // futex bit set
	result     int
	wakeAt     int64 // deadline in clock.Now's terms; 0 if none
	timerCPU   uint32
	tNext      Ref // time-outs of one CPU, soonest first
	tPrev      Ref
	stackPages uintptr // physical address of the block that holds all this

	// Signals; package trap delivers them.
	Blocked  uint64 // mask: bit n-1 for signal n
	Pending  uint64
	Code     [65]int32 // si_code of a pending signal
	AltStack uintptr
	AltSize  uintptr
	AltFlags uint32

	// CPU time, for profiles and getrusage.
	ranFrom int64
	Ran     int64

	allNext Ref // list of all threads, for debuggers and signals
}

// stackOrder is the size of a thread's block: 32 KiB with its record, its
// saved registers and its kernel stack.
const stackOrder = 3

// stackGuard is kept free below Go's stack check, as runtime's stackGuard.
const stackGuard = 928

// newThread makes a thread without anything to run. 0 means no memory.
func (s *Scheduler) newThread() Ref {
	block := mm.Memory.AllocPages(stackOrder)
	if block == 0 {
		return 0
	}
	at := mm.Virtual(block)
	t := Ref(at).Thread()
	fpu := (at + threadSize + 63) &^ 63
	low := (fpu + cpu.FPUSize + 63) &^ 63
	top := at + mm.PageSize<<stackOrder
	t.g[0], t.g[1], t.g[2], t.g[3] = low, top, low+stackGuard, low+stackGuard
	t.top, t.FPU, t.stackPages = top, fpu, block
	t.g[gSlot], t.fs = at, at+gSlot*8+8
	s.lastID++
	t.ID = s.lastID
	t.allNext = s.all
	s.all = Ref(at)
	return Ref(at)
}

// Current returns the thread that runs on this CPU.
func Current() *Thread { return Ref(cpu.This().Thread).Thread() }

// Ref returns t's name.
func (t *Thread) Ref() Ref { return Ref(t.address()) }

// gSlot is the word of a thread's g that serves as thread-local storage until
// the runtime gives it its own: FS points behind it.
const gSlot = 63

// SetFS sets the running thread's FS base. The word below the base is where
// compiled code looks for g: f keeps what the program has there, while the
// thread's own stands in it.
func (t *Thread) SetFS(f *cpu.Frame, base uintptr) {
	cpu.Store64(t.fs-8, f.TLS)
	f.TLS = cpu.Load64(base - 8)
	cpu.Store64(base-8, uint64(t.address()))
	t.fs = base
	cpu.WriteMSR(cpu.MSRFSBase, uint64(base))
}

// KernelTop is the top of the thread's kernel stack, where frames begin.
func (t *Thread) KernelTop() uintptr { return t.top }

// Idle tells whether t is a CPU's idle thread.
func (t *Thread) Idle() bool { return t.idle }
