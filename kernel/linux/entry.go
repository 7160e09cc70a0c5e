package linux

import "syscall"

// Errno is Linux's error number; 0 is success.
type Errno = syscall.Errno

// started says that system calls are answered here. It is set once, by Start,
// before the program's own packages are initialised, and never in a program
// that runs as an ordinary process (Hosted).
var started bool

// Hosted says that the program runs as a Linux process and not in a machine:
// all system calls go to the real kernel. It is set before Start or never.
var Hosted bool

// Active reports whether this package answers the program's system calls. The
// typed functions of fast.go may be called only if it does.
//
//go:nosplit
//go:norace
func Active() bool { return started }

// Entry is syscall.Syscall and syscall.Syscall6: it answers one system call.
// On failure r1 is all ones and errno isn't 0.
//
// Pointer arguments may point into the calling goroutine's stack, which moves
// when it grows. So everything up to the point where the stack's bounds are
// recorded is nosplit, and user memory is touched only through an address:
// see user_unsafe.go.
//
//go:nosplit
//go:norace
func Entry(trap, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2 uintptr, errno Errno) {
	if !started || blocks(trap) {
		entersyscall()
		r1, r2, e := rawTrap(trap, a1, a2, a3, a4, a5, a6)
		exitsyscall()
		return r1, r2, Errno(e)
	}
	return RawEntry(trap, a1, a2, a3, a4, a5, a6)
}

// RawEntry is syscall.RawSyscall and syscall.RawSyscall6: Entry for calls
// that the scheduler needn't know of. It is the same but before Start and in a
// process, where the call must not touch the scheduler.
//
//go:nosplit
//go:norace
func RawEntry(trap, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2 uintptr, errno Errno) {
	if !started || passes(trap) {
		r1, r2, e := rawTrap(trap, a1, a2, a3, a4, a5, a6)
		return r1, r2, Errno(e)
	}
	lo, hi := stackBounds()
	r1, errno = answer(trap, call{lo, hi, a1, a2, a3, a4, a5, a6})
	return r1, 0, errno
}

// call is one system call: the caller's stack when it was made, and the
// arguments. It travels in registers.
type call struct {
	lo, hi                 uintptr
	a1, a2, a3, a4, a5, a6 uintptr
}

// handler answers one system call.
type handler func(c call) (uintptr, Errno)

// failed is a system call's result beside an error number.
const failed = ^uintptr(0)

// answer looks a system call up and answers it.
func answer(trap uintptr, c call) (uintptr, Errno) {
	if trap >= uintptr(len(table)) || table[trap] == nil {
		return failed, missing(trap)
	}
	settle()
	r, errno := table[trap](c)
	if errno != 0 {
		return failed, errno
	}
	return r, 0
}

// set is a set of system-call numbers.
type set [tableSize]bool

//go:nosplit
//go:norace
func (s *set) has(trap uintptr) bool { return trap < tableSize && s[trap] }

// passes reports whether a call belongs to the lower half.
//
//go:nosplit
//go:norace
func passes(trap uintptr) bool { return lower.has(trap) }

// blocks reports whether a call belongs to the lower half and may block the
// thread there.
//
//go:nosplit
//go:norace
func blocks(trap uintptr) bool { return lowerBlocking.has(trap) }
