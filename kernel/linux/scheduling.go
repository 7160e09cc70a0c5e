package linux

import "syscall"

// Policies of sched(7). There is one: all threads share the CPUs evenly.
const (
	schedOther       = 0
	schedFIFO        = 1
	schedRR          = 2
	schedBatch       = 3
	schedIdle        = 5
	schedDeadline    = 6
	schedResetOnFork = 0x40000000
)

// sysSchedSetscheduler takes those policies that differ from the one that there is
// by less than a program could tell, and refuses real-time ones.
func sysSchedSetscheduler(c call) (uintptr, Errno) {
	priority, errno := get[int32](c.address(c.a3))
	if errno != 0 {
		return 0, errno
	}
	switch c.a2 &^ schedResetOnFork {
	case schedOther, schedBatch, schedIdle:
		if priority != 0 {
			return 0, syscall.EINVAL
		}
		return 0, 0
	case schedFIFO, schedRR:
		if priority < 1 || priority > 99 {
			return 0, syscall.EINVAL
		}
		return 0, syscall.EPERM
	}
	return 0, syscall.EINVAL
}

func sysSchedSetparam(c call) (uintptr, Errno) {
	priority, errno := get[int32](c.address(c.a2))
	if errno == 0 && priority != 0 {
		errno = syscall.EINVAL
	}
	return 0, errno
}

func sysSchedGetparam(c call) (uintptr, Errno) {
	priority := int32(0)
	return 0, put(c.address(c.a2), &priority)
}

func sysSchedPriorityMax(c call) (uintptr, Errno) { return priorityRange(c.a1, 99) }

func sysSchedPriorityMin(c call) (uintptr, Errno) { return priorityRange(c.a1, 1) }

func priorityRange(policy, realtime uintptr) (uintptr, Errno) {
	switch policy {
	case schedFIFO, schedRR:
		return realtime, 0
	case schedOther, schedBatch, schedIdle, schedDeadline:
		return 0, 0
	}
	return 0, syscall.EINVAL
}

// sysSchedInterval tells for how long a thread runs while others wait: package
// sched's tick.
func sysSchedInterval(c call) (uintptr, Errno) {
	tick := syscall.Timespec{Nsec: 4e6}
	return 0, put(c.address(c.a2), &tick)
}

// sysSetpriority takes any nice value; there is nobody to be nice to.
func sysSetpriority(c call) (uintptr, Errno) {
	if c.a1 > 2 {
		return 0, syscall.EINVAL
	}
	return 0, c.onlyItself()
}

// sysGetpriority: Linux returns 20 minus the nice value, which is 0.
func sysGetpriority(c call) (uintptr, Errno) {
	if c.a1 > 2 {
		return 0, syscall.EINVAL
	}
	return 20, c.onlyItself()
}

// onlyItself refuses other processes and groups than the program's own; user 0 is
// its user.
func (c call) onlyItself() Errno {
	if c.a2 != 0 && c.a2 != processID() {
		return syscall.ESRCH
	}
	return 0
}

// The class and level of the I/O of the only process: "best effort", 4.
const ioPriority = 2<<13 | 4

func sysIoprioGet(c call) (uintptr, Errno) {
	if c.a1 < 1 || c.a1 > 3 {
		return 0, syscall.EINVAL
	}
	return ioPriority, c.onlyItself()
}

// sysPersonality knows the one that is plain Linux.
func sysPersonality(c call) (uintptr, Errno) {
	if persona := uint32(c.a1); persona != 0 && persona != ^uint32(0) {
		return 0, syscall.EINVAL
	}
	return 0, 0
}
