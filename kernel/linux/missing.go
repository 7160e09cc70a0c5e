package linux

import (
	"strconv"
	"sync/atomic"
	"syscall"
)

// told has a bit for each system call that was complained about.
var told [tableSize / 32]atomic.Uint32

// firstTime reports whether a call wasn't complained about yet.
func firstTime(trap uintptr) bool {
	trap = min(trap, tableSize-1)
	bit := uint32(1) << (trap % 32)
	return told[trap/32].Or(bit)&bit == 0
}

// missing answers a call that has no handler: one that is not there on purpose,
// or one that nothing here knows. It says so once for each call.
func missing(trap uintptr) Errno {
	r := refused(trap)
	if r == nil {
		if firstTime(trap) {
			complain("unknown system call " + strconv.Itoa(int(trap)) + " " + callName(trap))
		}
		return syscall.ENOSYS
	}
	if !r.silent && firstTime(trap) {
		complain(callName(trap) + " is not there on purpose: " + r.why)
	}
	return r.errno
}

// callName returns a system call's name.
func callName(trap uintptr) string {
	if trap < uintptr(len(callNames)) && callNames[trap] != "" {
		return callNames[trap]
	}
	return "(no name)"
}

// refusal is system calls that are not there on purpose.
type refusal struct {
	errno   Errno
	why     string
	silent  bool // every program has another way, and asks only to find out
	numbers []uintptr
}

// refused returns why a call is not there, or nil.
func refused(trap uintptr) *refusal {
	for i := range refusals {
		for _, n := range refusals[i].numbers {
			if n == trap {
				return &refusals[i]
			}
		}
	}
	return nil
}

const noForkLine = "fork and exec are not there on purpose: a unikernel runs one program"

// lastExec is the program that was last asked for.
var lastExec atomic.Pointer[string]

// Exec says which program can't be started, and returns the error for it. The
// shadow of syscall.forkExec calls it.
func Exec(path string) Errno {
	if last := lastExec.Swap(&path); last == nil || *last != path {
		complain("the program wants to start " + path + ", but " + noForkLine)
	}
	return syscall.ENOSYS
}

func sysExecve(c call) (uintptr, Errno) {
	_, path, errno := c.path(cwd, c.a1)
	if errno != 0 {
		return 0, errno
	}
	return 0, Exec(path)
}

// denied answers calls that the only process of a machine may not make.
func denied(call) (uintptr, Errno) { return 0, syscall.EPERM }
