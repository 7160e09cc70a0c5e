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

// missing answers a call that nothing here knows, and says so once.
func missing(trap uintptr) Errno {
	if firstTime(trap) {
		complain("unknown system call " + strconv.Itoa(int(trap)) + " " + callName(trap))
	}
	return syscall.ENOSYS
}

// callName returns a system call's name.
func callName(trap uintptr) string {
	if trap < uintptr(len(callNames)) && callNames[trap] != "" {
		return callNames[trap]
	}
	return "(no name)"
}

// absent answers, without a word, calls for which every program has another
// way when they aren't there.
func absent(call) (uintptr, Errno) { return 0, syscall.ENOSYS }

// refusal is a handler for what is not there on purpose: it says so once.
func refusal(errno Errno, line string) handler {
	var said atomic.Bool
	return func(call) (uintptr, Errno) {
		if !said.Swap(true) {
			complain(line)
		}
		return 0, errno
	}
}

var (
	noFork     = refusal(syscall.ENOSYS, "fork and exec are not there on purpose: a unikernel runs one program")
	noDebugger = refusal(syscall.EPERM, "ptrace is not there on purpose: there is no second process")
	noMount    = refusal(syscall.EPERM, "mount, chroot and namespaces are not there on purpose: a unikernel has one file tree")
)

// Exec says that fork and exec are not there, and returns the error for them.
// The shadow of syscall.forkExec calls it.
func Exec() Errno {
	_, errno := noFork(call{})
	return errno
}

// sysGetpriority: Linux returns 20 minus the nice value, which is 0.
func sysGetpriority(call) (uintptr, Errno) { return 20, 0 }
