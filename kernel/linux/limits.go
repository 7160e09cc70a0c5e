package linux

import (
	"sync"
	"sync/atomic"
	"syscall"
)

// limits is the process's resource limits (getrlimit(2)). Only the number of
// descriptors has an effect: a machine's memory is what limits the rest.
var limits struct {
	descriptors atomic.Int64 // soft RLIMIT_NOFILE

	mu  sync.Mutex
	all [16]syscall.Rlimit
}

// Resources that package syscall lacks.
const (
	rlimitNproc   = 6
	rlimitMemlock = 8
	rlimitNice    = 13
	rlimitRtprio  = 14
)

// beginLimits sets what a program starts with.
func beginLimits() {
	unlimited := syscall.Rlimit{Cur: ^uint64(0), Max: ^uint64(0)}
	for i := range limits.all {
		limits.all[i] = unlimited
	}
	limits.all[syscall.RLIMIT_STACK].Cur = 8 << 20
	limits.all[syscall.RLIMIT_CORE] = syscall.Rlimit{}
	limits.all[rlimitNice], limits.all[rlimitRtprio] = syscall.Rlimit{}, syscall.Rlimit{}
	// The Go runtime raises the soft limit to the hard one at its start, before
	// there is anything to answer it: so they are equal from the beginning.
	limits.all[syscall.RLIMIT_NOFILE] = syscall.Rlimit{Cur: maxDescriptors, Max: maxDescriptors}
	limits.descriptors.Store(maxDescriptors)
}

func sysGetrlimit(c call) (uintptr, Errno) { return c.prlimit(c.a1, 0, c.a2) }

func sysSetrlimit(c call) (uintptr, Errno) { return c.prlimit(c.a1, c.a2, 0) }

func sysPrlimit64(c call) (uintptr, Errno) {
	if c.a1 != 0 && c.a1 != processID() {
		return 0, syscall.ESRCH
	}
	return c.prlimit(c.a2, c.a3, c.a4)
}

// prlimit sets a limit, if to isn't nil, and returns the old one to from.
func (c call) prlimit(resource, to, from uintptr) (uintptr, Errno) {
	if resource >= uintptr(len(limits.all)) {
		return 0, syscall.EINVAL
	}
	var want syscall.Rlimit
	if to != 0 {
		var errno Errno
		if want, errno = get[syscall.Rlimit](c.address(to)); errno != 0 {
			return 0, errno
		}
	}
	limits.mu.Lock()
	old := limits.all[resource]
	errno := Errno(0)
	if to != 0 {
		errno = setLimit(resource, want)
	}
	limits.mu.Unlock()
	if errno != 0 || from == 0 {
		return 0, errno
	}
	return 0, put(c.address(from), &old)
}

// setLimit stores a limit. The caller holds limits.mu.
func setLimit(resource uintptr, want syscall.Rlimit) Errno {
	if want.Cur > want.Max {
		return syscall.EINVAL
	}
	if resource == syscall.RLIMIT_NOFILE {
		if want.Max > maxDescriptors {
			return syscall.EPERM
		}
		limits.descriptors.Store(int64(want.Cur))
	}
	limits.all[resource] = want
	return 0
}
