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

// refusal answers calls that are not there on purpose: it says so once.
type refusal struct {
	errno Errno
	line  string
	said  atomic.Bool
}

func (r *refusal) answer() (uintptr, Errno) {
	if !r.said.Swap(true) {
		complain(r.line)
	}
	return 0, r.errno
}

const noForkLine = "fork and exec are not there on purpose: a unikernel runs one program"

var (
	fork     = refusal{errno: syscall.ENOSYS, line: noForkLine}
	debugger = refusal{errno: syscall.EPERM, line: "ptrace is not there on purpose: there is no second process"}
	mounting = refusal{errno: syscall.EPERM, line: "mount, chroot and namespaces are not there on purpose: a unikernel has one file tree"}
)

func noFork(call) (uintptr, Errno)     { return fork.answer() }
func noDebugger(call) (uintptr, Errno) { return debugger.answer() }
func noMount(call) (uintptr, Errno)    { return mounting.answer() }

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

// sysGetpriority: Linux returns 20 minus the nice value, which is 0.
func sysGetpriority(call) (uintptr, Errno) { return 20, 0 }
