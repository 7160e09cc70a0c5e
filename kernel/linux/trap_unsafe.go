package linux

import _ "unsafe" // for go:linkname

// rawTrap makes a system call with the SYSCALL instruction: to the lower half
// in a machine, to the real kernel in a process. It never splits the stack.
//
//go:noescape
func rawTrap(trap, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2, errno uintptr)

// stackBounds returns the current goroutine's stack: [lo, hi). The answer is
// good until the next function call that may split the stack.
//
//go:noescape
func stackBounds() (lo, hi uintptr)

// entersyscall and exitsyscall tell the scheduler that the thread may block.
// Nothing between them may split the stack.
//
// SAFETY: both are nosplit functions without arguments that package syscall
// itself calls in the same way.
//
//go:linkname entersyscall runtime.entersyscall
func entersyscall()

//go:linkname exitsyscall runtime.exitsyscall
func exitsyscall()
