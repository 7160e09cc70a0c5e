// Package linux takes the system calls that programs make.
package linux

import (
	"internal/runtime/syscall/linux"
	"sync/atomic"
	"syscall"
)

// Hosted would send system calls to the host.
var Hosted bool

// Active says that the typed functions may be called.
//
//go:nosplit
func Active() bool { return true }

// Stack tells which network stack is linked in: 0 for none.
var Stack uintptr

// Questions that a program under test may ask: system calls that Linux
// doesn't have.
const (
	askCalls = 7001 // how many calls reached Entry
	askReads = 7002 // how many reads reached Read
	askStack = 7003 // Stack
)

var calls, reads atomic.Uintptr

// Entry takes a system call. It may not grow the stack: arguments may point
// into it.
//
//go:nosplit
func Entry(trap, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2 uintptr, err syscall.Errno) {
	switch trap {
	case askCalls:
		return calls.Load(), 0, 0
	case askReads:
		return reads.Load(), 0, 0
	case askStack:
		return Stack, 0, 0
	}
	calls.Add(1)
	r1, r2, e := linux.Syscall6(trap, a1, a2, a3, a4, a5, a6)
	return r1, r2, syscall.Errno(e)
}

// RawEntry is Entry for calls that the scheduler needn't know of.
//
//go:nosplit
func RawEntry(trap, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2 uintptr, err syscall.Errno) {
	return Entry(trap, a1, a2, a3, a4, a5, a6)
}
