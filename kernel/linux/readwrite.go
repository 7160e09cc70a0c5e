package linux

import "syscall"

func sysRead(c call) (uintptr, Errno) {
	f, errno := open(c.a1)
	if errno != 0 {
		return 0, errno
	}
	p, b, errno := output(c.address(c.a2), c.a3)
	if errno != 0 {
		return 0, errno
	}
	n, errno := f.doRead(p)
	b.deliver(n)
	return uintptr(n), errno
}

func sysWrite(c call) (uintptr, Errno) {
	f, errno := open(c.a1)
	if errno != 0 {
		return 0, errno
	}
	p, b, errno := input(c.address(c.a2), c.a3)
	if errno != 0 {
		return 0, errno
	}
	n, errno := f.doWrite(p)
	b.free()
	return uintptr(n), errno
}

// seekable returns the positions of an open file, or ESPIPE.
func seekable(fd uintptr) (*file, positional, Errno) {
	f, errno := open(fd)
	if errno != 0 {
		return nil, nil, errno
	}
	p, ok := f.object.(positional)
	if !ok {
		return nil, nil, syscall.ESPIPE
	}
	return f, p, 0
}

// readableAt is seekable for a read at an offset.
func readableAt(fd uintptr, off int64) (positional, Errno) {
	f, o, errno := seekable(fd)
	switch {
	case errno != 0:
		return nil, errno
	case off < 0:
		return nil, syscall.EINVAL
	case !f.mayRead():
		return nil, syscall.EBADF
	}
	return o, 0
}

// writableAt is seekable for a write at an offset.
func writableAt(fd uintptr, off int64) (positional, Errno) {
	f, o, errno := seekable(fd)
	switch {
	case errno != 0:
		return nil, errno
	case off < 0:
		return nil, syscall.EINVAL
	case !f.mayWrite():
		return nil, syscall.EBADF
	}
	return o, 0
}

func sysLseek(c call) (uintptr, Errno) {
	_, o, errno := seekable(c.a1)
	if errno != 0 {
		return 0, errno
	}
	off, errno := o.seek(int64(c.a2), int(c.a3))
	return uintptr(off), errno
}

func sysPread64(c call) (uintptr, Errno) {
	o, errno := readableAt(c.a1, int64(c.a4))
	if errno != 0 {
		return 0, errno
	}
	p, b, errno := output(c.address(c.a2), c.a3)
	if errno != 0 {
		return 0, errno
	}
	n, errno := o.readAt(p, int64(c.a4))
	b.deliver(n)
	return uintptr(n), errno
}

func sysPwrite64(c call) (uintptr, Errno) {
	o, errno := writableAt(c.a1, int64(c.a4))
	if errno != 0 {
		return 0, errno
	}
	p, b, errno := input(c.address(c.a2), c.a3)
	if errno != 0 {
		return 0, errno
	}
	n, errno := o.writeAt(p, int64(c.a4))
	b.free()
	return uintptr(n), errno
}

// What is in memory needs no writing back.
func sysFsync(c call) (uintptr, Errno) {
	f, errno := open(c.a1)
	if errno != 0 {
		return 0, errno
	}
	if _, ok := f.object.(placed); !ok {
		return 0, syscall.EINVAL
	}
	return 0, 0
}

func sysSync(call) (uintptr, Errno) { return 0, 0 }

func sysFadvise64(c call) (uintptr, Errno) {
	f, errno := open(c.a1)
	if errno != 0 {
		return 0, errno
	}
	if _, ok := f.object.(placed); !ok {
		return 0, syscall.ESPIPE
	}
	return 0, 0
}
