package linux

import (
	"syscall"
	"time"
)

// zero answers calls whose truthful answer is 0: user and group identities,
// the priority of the only process, memory that is always locked, ...
func zero(call) (uintptr, Errno) { return 0, 0 }

// processID returns getpid's answer: the lower half's.
func processID() uintptr {
	pid, _, _ := rawTrap(syscall.SYS_GETPID, 0, 0, 0, 0, 0, 0)
	return pid
}

// itself answers getpgid, getsid and their like: the process leads its group
// and session.
func itself(c call) (uintptr, Errno) {
	pid := processID()
	if c.a1 != 0 && c.a1 != pid {
		return 0, syscall.ESRCH
	}
	return pid, 0
}

func sysGetpgrp(call) (uintptr, Errno) { return processID(), 0 }

// sysSetsid fails: the process already leads a session.
func sysSetsid(call) (uintptr, Errno) { return 0, syscall.EPERM }

// Identities can be set to what they are already; there is no other user.
func identity(c call) (uintptr, Errno) {
	for _, id := range [3]uintptr{c.a1, c.a2, c.a3} {
		if uint32(id) != 0 && int32(id) != -1 {
			return 0, syscall.EPERM
		}
	}
	return 0, 0
}

// identity1 and identity2 do it for calls that take fewer identities.
func identity1(c call) (uintptr, Errno) { return identity(call{a1: c.a1}) }

func identity2(c call) (uintptr, Errno) { return identity(call{a1: c.a1, a2: c.a2}) }

// sysGetresuid writes three identities.
func sysGetresuid(c call) (uintptr, Errno) {
	none := uint32(0)
	for _, p := range [3]uintptr{c.a1, c.a2, c.a3} {
		if errno := put(c.address(p), &none); errno != 0 {
			return 0, errno
		}
	}
	return 0, 0
}

// sysSetgroups: only the empty list, or group 0, is there.
func sysSetgroups(c call) (uintptr, Errno) {
	for i := range min(c.a1, 2) {
		gid, errno := get[uint32](c.address(c.a2 + 4*i))
		if errno != 0 {
			return 0, errno
		}
		if gid != 0 {
			return 0, syscall.EPERM
		}
	}
	return 0, 0
}

// capabilities is what capget reports: all, as user 0 has them.
func sysCapget(c call) (uintptr, Errno) {
	const version3 = 0x20080522
	head, errno := get[[2]uint32](c.address(c.a1))
	if errno != 0 {
		return 0, errno
	}
	if head[0] != version3 {
		head[0] = version3
		put(c.address(c.a1), &head)
		return 0, syscall.EINVAL
	}
	if c.a2 == 0 {
		return 0, 0
	}
	const low, high = ^uint32(0), 1<<9 - 1 // 41 capabilities (Linux 6.1)
	data := [6]uint32{low, low, 0, high, high, 0}
	return 0, put(c.address(c.a2), &data)
}

// sysNoChild answers wait4 and waitid: there are no children.
func sysNoChild(call) (uintptr, Errno) { return 0, syscall.ECHILD }

func sysGetrandom(c call) (uintptr, Errno) {
	const flags = 7 // GRND_NONBLOCK, GRND_RANDOM, GRND_INSECURE
	if c.a3&^flags != 0 {
		return 0, syscall.EINVAL
	}
	p, b, errno := output(c.address(c.a1), c.a2)
	if errno != 0 {
		return 0, errno
	}
	config.Random(p)
	b.deliver(len(p))
	return uintptr(len(p)), 0
}

// Release is the version of Linux that uname reports: the one whose manual
// this package follows.
const Release = "6.1.0-pith"

func sysUname(c call) (uintptr, Errno) {
	var u syscall.Utsname
	process.mu.RLock()
	fields := []struct {
		to   *[65]int8
		text string
	}{
		{&u.Sysname, "Linux"},
		{&u.Nodename, process.hostname},
		{&u.Release, Release},
		{&u.Version, "#1 SMP Pith"},
		{&u.Machine, machineName},
		{&u.Domainname, "(none)"},
	}
	if process.domain != "" {
		fields[5].text = process.domain
	}
	process.mu.RUnlock()
	for _, f := range fields {
		for i := range min(len(f.text), len(f.to)-1) {
			f.to[i] = int8(f.text[i])
		}
	}
	return 0, put(c.address(c.a1), &u)
}

func sysSethostname(c call) (uintptr, Errno) { return c.setName(&process.hostname) }

func sysSetdomainname(c call) (uintptr, Errno) { return c.setName(&process.domain) }

func (c call) setName(to *string) (uintptr, Errno) {
	if c.a2 > 64 {
		return 0, syscall.EINVAL
	}
	name := make([]byte, c.a2)
	if errno := copyIn(name, c.address(c.a1)); errno != 0 {
		return 0, errno
	}
	process.mu.Lock()
	*to = string(name)
	process.mu.Unlock()
	return 0, 0
}

func hostname() string {
	process.mu.RLock()
	defer process.mu.RUnlock()
	return process.hostname
}

func sysSysinfo(c call) (uintptr, Errno) {
	total, free := config.Memory()
	info := syscall.Sysinfo_t{
		Uptime: int64(time.Since(booted) / time.Second), Totalram: total, Freeram: free, Procs: 1, Unit: 1,
	}
	return 0, put(c.address(c.a1), &info)
}

// ticks is USER_HZ: how many of times(2)'s units a second has.
const ticks = 100

func sysTimes(c call) (uintptr, Errno) {
	user, system := cpuTime()
	uptime := uintptr(monotonic() / (time.Second / ticks))
	if c.a1 == 0 {
		return uptime, 0
	}
	t := syscall.Tms{
		Utime: int64(user / (time.Second / ticks)),
		Stime: int64(system / (time.Second / ticks)),
	}
	return uptime, put(c.address(c.a1), &t)
}

// nanosleep and clock_nanosleep park the goroutine, not the thread.
func sysNanosleep(c call) (uintptr, Errno) {
	ts, errno := get[syscall.Timespec](c.address(c.a1))
	switch {
	case errno != 0:
		return 0, errno
	case !validTime(ts):
		return 0, syscall.EINVAL
	}
	time.Sleep(duration(ts))
	return 0, 0
}

func sysClockNanosleep(c call) (uintptr, Errno) {
	ts, errno := get[syscall.Timespec](c.address(c.a3))
	switch {
	case errno != 0:
		return 0, errno
	case !validTime(ts):
		return 0, syscall.EINVAL
	}
	wait := duration(ts)
	switch c.a1 {
	case clockRealtime, clockMonotonic, clockBoottime, clockRealtimeAlarm, clockBoottimeAlarm, clockTAI:
	case clockProcessTime, clockThreadTime, clockMonotonicRaw, clockRealtimeCoarse, clockMonotonicCoarse:
		return 0, syscall.EOPNOTSUPP
	default:
		return 0, syscall.EINVAL
	}
	switch {
	case c.a2&timerAbsolute == 0:
	case c.a1 == clockRealtime || c.a1 == clockRealtimeAlarm || c.a1 == clockTAI:
		wait = time.Until(time.Unix(ts.Sec, ts.Nsec))
	default:
		wait -= monotonic()
	}
	time.Sleep(wait)
	return 0, 0
}

// sysPause waits for a signal that ends the program: handlers of Go programs
// run on threads of the runtime's own choice.
func sysPause(call) (uintptr, Errno) { select {} }

// sysReboot ends the machine.
func sysReboot(c call) (uintptr, Errno) {
	switch uint32(c.a3) {
	case syscall.LINUX_REBOOT_CMD_POWER_OFF, syscall.LINUX_REBOOT_CMD_HALT, syscall.LINUX_REBOOT_CMD_RESTART:
		exit(0)
	}
	return 0, syscall.EINVAL
}

func exit(code int) {
	rawTrap(syscall.SYS_EXIT_GROUP, uintptr(code), 0, 0, 0, 0, 0)
}
