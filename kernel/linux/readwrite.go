package linux

import (
	"syscall"

	"pith/kernel/fs"
)

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

func sysFsync(c call) (uintptr, Errno) { return fsync(c.a1, false) }

func sysFdatasync(c call) (uintptr, Errno) { return fsync(c.a1, true) }

func fsync(fd uintptr, dataOnly bool) (uintptr, Errno) {
	node, errno := syncable(fd)
	if errno != 0 {
		return 0, errno
	}
	return 0, node.Fsync(dataOnly)
}

// syncable returns the node of a descriptor that can be made durable.
func syncable(fd uintptr) (*fs.Node, Errno) {
	f, errno := usable(fd)
	if errno != 0 {
		return nil, errno
	}
	p, ok := f.object.(placed)
	if !ok || p.place().Format() == syscall.S_IFCHR {
		return nil, syscall.EINVAL
	}
	return p.place(), 0
}

func sysSyncfs(c call) (uintptr, Errno) {
	f, errno := usable(c.a1)
	if errno != 0 {
		return 0, errno
	}
	if p, ok := f.object.(placed); ok {
		return 0, p.place().SyncFS()
	}
	return 0, 0
}

func sysSync(call) (uintptr, Errno) {
	Sync()
	return 0, 0
}

// Sync is sync(2), which has no way to tell of an error.
func Sync() {
	if errno := tree.Sync(); errno != 0 {
		complain("sync: " + errno.Error())
	}
}

func sysFadvise64(c call) (uintptr, Errno) {
	const last = 5 // POSIX_FADV_NOREUSE
	f, errno := usable(c.a1)
	if errno != 0 {
		return 0, errno
	}
	switch f.object.(type) {
	case *pipeEnd:
		return 0, syscall.ESPIPE
	case placed:
		if c.a4 > last || int64(c.a3) < 0 {
			return 0, syscall.EINVAL
		}
		return 0, 0
	}
	return 0, syscall.EINVAL
}

// sysReadahead: what is in memory needs none.
func sysReadahead(c call) (uintptr, Errno) {
	f, errno := open(c.a1)
	if errno != 0 || !f.mayRead() {
		return 0, syscall.EBADF
	}
	if _, ok := f.object.(*regular); !ok {
		return 0, syscall.EINVAL
	}
	return 0, 0
}
