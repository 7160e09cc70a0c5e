package linux

import "syscall"

func sysClose(c call) (uintptr, Errno) { return 0, fds.close(c.a1) }

// Flags of close_range(2).
const closeRangeCloexec = 4

func sysCloseRange(c call) (uintptr, Errno) {
	if c.a1 > c.a2 || c.a3&^(closeRangeCloexec|2) != 0 {
		return 0, syscall.EINVAL
	}
	fds.each(c.a1, c.a2, func(fd uintptr) {
		if c.a3&closeRangeCloexec != 0 {
			fds.slot(fd).cloexec.Store(true)
			return
		}
		fds.close(fd)
	})
	return 0, 0
}

func sysDup(c call) (uintptr, Errno) { return duplicate(c.a1, 0, false) }

// duplicate gives the open file of fd another descriptor, from least on.
func duplicate(fd, least uintptr, cloexec bool) (uintptr, Errno) {
	f, errno := open(fd)
	if errno != 0 {
		return 0, errno
	}
	f.refs.Add(1)
	n, errno := fds.add(f, cloexec, least)
	if errno != 0 {
		f.unref()
	}
	return n, errno
}

func sysDup2(c call) (uintptr, Errno) {
	if uint32(c.a1) == uint32(c.a2) {
		_, errno := open(c.a1)
		return uintptr(uint32(c.a2)), errno
	}
	return duplicateTo(c.a1, c.a2, false)
}

func sysDup3(c call) (uintptr, Errno) {
	if c.a3&^syscall.O_CLOEXEC != 0 || uint32(c.a1) == uint32(c.a2) {
		return 0, syscall.EINVAL
	}
	return duplicateTo(c.a1, c.a2, c.a3 != 0)
}

func duplicateTo(from, to uintptr, cloexec bool) (uintptr, Errno) {
	f, errno := open(from)
	if errno != 0 {
		return 0, errno
	}
	to = uintptr(uint32(to))
	f.refs.Add(1)
	if errno := fds.replace(to, f, cloexec); errno != 0 {
		f.unref()
		return 0, errno
	}
	return to, 0
}

// Commands of fcntl(2) that package syscall lacks.
const (
	fSetOwn       = 8
	fGetOwn       = 9
	fOfdGetlk     = 36
	fOfdSetlk     = 37
	fOfdSetlkw    = 38
	fSetPipeSize  = 1031
	fGetPipeSize  = 1032
	fAddSeals     = 1033
	fGetSeals     = 1034
	oLargefile    = 0x8000
	settableFlags = syscall.O_APPEND | syscall.O_NONBLOCK | syscall.O_ASYNC | 0x4000 | 0x40000 // O_DIRECT, O_NOATIME
)

func sysFcntl(c call) (uintptr, Errno) {
	f, errno := open(c.a1)
	if errno != 0 {
		return 0, errno
	}
	slot := fds.slot(uintptr(uint32(c.a1)))
	switch c.a2 {
	case syscall.F_DUPFD, syscall.F_DUPFD_CLOEXEC:
		if c.a3 >= uintptr(limits.descriptors.Load()) {
			return 0, syscall.EINVAL
		}
		return duplicate(c.a1, c.a3, c.a2 == syscall.F_DUPFD_CLOEXEC)
	case syscall.F_GETFD:
		if slot.cloexec.Load() {
			return syscall.FD_CLOEXEC, 0
		}
		return 0, 0
	case syscall.F_SETFD:
		slot.cloexec.Store(c.a3&syscall.FD_CLOEXEC != 0)
		return 0, 0
	case syscall.F_GETFL:
		return uintptr(f.flags.Load()), 0
	}
	if _, errno := usable(c.a1); errno != 0 {
		return 0, errno
	}
	switch c.a2 {
	case syscall.F_SETFL:
		f.setFlags(uint32(c.a3))
		return 0, 0
	case syscall.F_GETLK, syscall.F_SETLK, syscall.F_SETLKW, fOfdGetlk, fOfdSetlk, fOfdSetlkw:
		return 0, f.rangeLock(c.a2, c.address(c.a3))
	case fAddSeals, fGetSeals:
		return f.seal(c.a2 == fAddSeals, uint32(c.a3))
	case fSetOwn:
		f.owner.Store(int32(c.a3))
		return 0, 0
	case fGetOwn:
		return uintptr(f.owner.Load()), 0
	case fSetPipeSize, fGetPipeSize:
		return pipeSize(f, c.a2, c.a3)
	}
	return 0, syscall.EINVAL
}

// seal is F_ADD_SEALS and F_GET_SEALS.
func (f *file) seal(add bool, seals uint32) (uintptr, Errno) {
	r, ok := f.object.(*regular)
	switch {
	case !ok:
		return 0, syscall.EINVAL
	case add && !f.mayWrite():
		return 0, syscall.EPERM
	case add:
		return 0, r.node.Seal(seals)
	}
	now, errno := r.node.Seals()
	return uintptr(now), errno
}

// setFlags is F_SETFL: it changes what may be changed and ignores the rest.
func (f *file) setFlags(flags uint32) {
	for {
		old := f.flags.Load()
		if f.flags.CompareAndSwap(old, old&^settableFlags|flags&settableFlags) {
			return
		}
	}
}

// Requests of ioctl(2) that all files know.
const (
	fionread = 0x541b
	fionbio  = 0x5421
	fionclex = 0x5450
	fioclex  = 0x5451
	fioasync = 0x5452
)

func sysIoctl(c call) (uintptr, Errno) {
	f, errno := usable(c.a1)
	if errno != 0 {
		return 0, errno
	}
	request := uintptr(uint32(c.a2))
	switch request {
	case fionbio, fioasync:
		on, errno := get[int32](c.address(c.a3))
		if errno != 0 {
			return 0, errno
		}
		flag := uint32(syscall.O_NONBLOCK)
		if request == fioasync {
			flag = syscall.O_ASYNC
		}
		flags := f.flags.Load() &^ flag
		if on != 0 {
			flags |= flag
		}
		f.setFlags(flags)
		return 0, 0
	case fioclex, fionclex:
		fds.slot(uintptr(uint32(c.a1))).cloexec.Store(request == fioclex)
		return 0, 0
	}
	if o, ok := f.object.(controllable); ok {
		return o.ioctl(c, request, c.address(c.a3))
	}
	return 0, syscall.ENOTTY
}
