package linux

import (
	"syscall"
	"time"

	"pith/kernel/fs"
)

func sysUmask(c call) (uintptr, Errno) { return uintptr(Umask(uint32(c.a1))), 0 }

func sysChmod(c call) (uintptr, Errno) { return c.fchmodat(cwd, c.a1, c.a2, 0) }

func sysFchmodat(c call) (uintptr, Errno) { return c.fchmodat(c.a1, c.a2, c.a3, 0) }

func sysFchmodat2(c call) (uintptr, Errno) { return c.fchmodat(c.a1, c.a2, c.a3, c.a4) }

func (c call) fchmodat(dirfd, p, mode, flags uintptr) (uintptr, Errno) {
	if flags&^(atSymlinkNo|atEmptyPath) != 0 {
		return 0, syscall.EINVAL
	}
	node, errno := c.node(dirfd, p, flags)
	if errno != 0 {
		return 0, errno
	}
	if node.IsLink() {
		return 0, syscall.EOPNOTSUPP
	}
	if node.ReadOnly() {
		return 0, syscall.EROFS
	}
	return 0, node.Chmod(uint32(mode))
}

func sysFchmod(c call) (uintptr, Errno) {
	node, errno := attributed(c.a1)
	if errno == 0 && node != nil {
		errno = node.Chmod(uint32(c.a2))
	}
	return 0, errno
}

// attributed returns the node of a descriptor whose attributes can be
// changed: nil for a pipe or a socket, where nobody would see it.
func attributed(fd uintptr) (*fs.Node, Errno) {
	f, errno := usable(fd)
	if errno != 0 {
		return nil, errno
	}
	p, ok := f.object.(placed)
	if !ok {
		return nil, 0
	}
	if p.place().ReadOnly() {
		return nil, syscall.EROFS
	}
	return p.place(), 0
}

func sysChown(c call) (uintptr, Errno) { return c.fchownat(cwd, c.a1, c.a2, c.a3, 0) }

func sysLchown(c call) (uintptr, Errno) { return c.fchownat(cwd, c.a1, c.a2, c.a3, atSymlinkNo) }

func sysFchownat(c call) (uintptr, Errno) { return c.fchownat(c.a1, c.a2, c.a3, c.a4, c.a5) }

func (c call) fchownat(dirfd, p, uid, gid, flags uintptr) (uintptr, Errno) {
	if flags&^(atSymlinkNo|atEmptyPath) != 0 {
		return 0, syscall.EINVAL
	}
	node, errno := c.node(dirfd, p, flags)
	if errno != 0 {
		return 0, errno
	}
	if node.ReadOnly() {
		return 0, syscall.EROFS
	}
	return 0, node.Chown(uint32(uid), uint32(gid))
}

func sysFchown(c call) (uintptr, Errno) {
	node, errno := attributed(c.a1)
	if errno == 0 && node != nil {
		errno = node.Chown(uint32(c.a2), uint32(c.a3))
	}
	return 0, errno
}

func sysAccess(c call) (uintptr, Errno) { return c.faccessat(cwd, c.a1, c.a2, 0) }

func sysFaccessat(c call) (uintptr, Errno) { return c.faccessat(c.a1, c.a2, c.a3, 0) }

func sysFaccessat2(c call) (uintptr, Errno) { return c.faccessat(c.a1, c.a2, c.a3, c.a4) }

// faccessat: user 0 may read and write all, and execute what anybody may.
func (c call) faccessat(dirfd, p, mode, flags uintptr) (uintptr, Errno) {
	if mode&^7 != 0 || flags&^(atEaccess|atSymlinkNo|atEmptyPath) != 0 {
		return 0, syscall.EINVAL
	}
	node, errno := c.node(dirfd, p, flags)
	if errno != 0 {
		return 0, errno
	}
	if mode&1 != 0 && !node.IsDir() && node.Mode()&0o111 == 0 {
		return 0, syscall.EACCES
	}
	return 0, 0
}

func sysTruncate(c call) (uintptr, Errno) {
	node, errno := c.node(cwd, c.a1, 0)
	switch {
	case errno != 0:
		return 0, errno
	case node.IsRegular() && int64(c.a2) == node.Size():
		return 0, 0 // as on Linux, not even the times change
	}
	if errno := node.Truncate(int64(c.a2)); errno != 0 {
		return 0, errno
	}
	node.Tell(syscall.IN_MODIFY)
	return 0, 0
}

func sysFtruncate(c call) (uintptr, Errno) {
	f, errno := usable(c.a1)
	if errno != 0 {
		return 0, errno
	}
	r, ok := f.object.(*regular)
	if !ok || !f.mayWrite() {
		return 0, syscall.EINVAL
	}
	errno = r.node.Truncate(int64(c.a2))
	if errno == 0 {
		r.emit(syscall.IN_MODIFY)
	}
	return 0, errno
}

func sysFallocate(c call) (uintptr, Errno) {
	f, errno := open(c.a1)
	if errno != 0 {
		return 0, errno
	}
	if !f.mayWrite() {
		return 0, syscall.EBADF
	}
	switch o := f.object.(type) {
	case *regular:
		return 0, o.node.Allocate(uint32(c.a2), int64(c.a3), int64(c.a4))
	case placed:
		return 0, syscall.ENODEV
	}
	return 0, syscall.ESPIPE
}

// Special nanosecond values of utimensat(2).
const (
	utimeNow  = 0x3fffffff
	utimeOmit = 0x3ffffffe
)

func sysUtimensat(c call) (uintptr, Errno) {
	times := [2]syscall.Timespec{{Nsec: utimeNow}, {Nsec: utimeNow}}
	if c.a4&^(atSymlinkNo|atEmptyPath) != 0 {
		return 0, syscall.EINVAL
	}
	if c.a3 != 0 {
		var errno Errno
		if times, errno = get[[2]syscall.Timespec](c.address(c.a3)); errno != 0 {
			return 0, errno
		}
	}
	if c.a2 == 0 { // futimens
		node, errno := attributed(c.a1)
		if errno != 0 || node == nil {
			return 0, errno
		}
		return 0, setTimes(node, times)
	}
	node, errno := c.node(c.a1, c.a2, c.a4)
	if errno != 0 {
		return 0, errno
	}
	return 0, setTimes(node, times)
}

func setTimes(node *fs.Node, times [2]syscall.Timespec) Errno {
	now := time.Now()
	var at [2]time.Time
	for i, t := range times {
		switch {
		case t.Nsec == utimeNow:
			at[i] = now
		case t.Nsec == utimeOmit:
		case t.Nsec < 0 || t.Nsec >= 1e9:
			return syscall.EINVAL
		default:
			at[i] = time.Unix(t.Sec, t.Nsec)
		}
	}
	if node.ReadOnly() {
		return syscall.EROFS
	}
	return node.SetTimes(at[0], at[1])
}

func sysUtimes(c call) (uintptr, Errno) { return c.futimesat(cwd, c.a1, c.a2) }

func sysFutimesat(c call) (uintptr, Errno) { return c.futimesat(c.a1, c.a2, c.a3) }

func (c call) futimesat(dirfd, p, times uintptr) (uintptr, Errno) {
	at := [2]syscall.Timespec{{Nsec: utimeNow}, {Nsec: utimeNow}}
	if times != 0 {
		tv, errno := get[[2]syscall.Timeval](c.address(times))
		if errno != 0 {
			return 0, errno
		}
		for i, t := range tv {
			if t.Usec < 0 || t.Usec >= 1e6 {
				return 0, syscall.EINVAL
			}
			at[i] = syscall.Timespec{Sec: t.Sec, Nsec: t.Usec * 1000}
		}
	}
	node, errno := c.node(dirfd, p, 0)
	if errno != 0 {
		return 0, errno
	}
	return 0, setTimes(node, at)
}

func sysUtime(c call) (uintptr, Errno) {
	at := [2]syscall.Timespec{{Nsec: utimeNow}, {Nsec: utimeNow}}
	if c.a2 != 0 {
		t, errno := get[syscall.Utimbuf](c.address(c.a2))
		if errno != 0 {
			return 0, errno
		}
		at[0], at[1] = syscall.Timespec{Sec: t.Actime}, syscall.Timespec{Sec: t.Modtime}
	}
	node, errno := c.node(cwd, c.a1, 0)
	if errno != 0 {
		return 0, errno
	}
	return 0, setTimes(node, at)
}
