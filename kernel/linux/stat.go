package linux

import (
	"syscall"
	"time"

	"pith/kernel/fs"
)

func sysStat(c call) (uintptr, Errno) { return c.fstatat(cwd, c.a1, c.a2, 0) }

func sysLstat(c call) (uintptr, Errno) { return c.fstatat(cwd, c.a1, c.a2, atSymlinkNo) }

func sysNewfstatat(c call) (uintptr, Errno) { return c.fstatat(c.a1, c.a2, c.a3, c.a4) }

func (c call) fstatat(dirfd, p, buf, flags uintptr) (uintptr, Errno) {
	if flags&^(atSymlinkNo|atNoAutomount|atEmptyPath) != 0 {
		return 0, syscall.EINVAL
	}
	st, errno := c.stat(dirfd, p, flags)
	if errno != 0 {
		return 0, errno
	}
	return 0, put(c.address(buf), &st)
}

// stat finds out what stat(2) reports about a path argument.
func (c call) stat(dirfd, p, flags uintptr) (st syscall.Stat_t, errno Errno) {
	st, _, errno = c.statBorn(dirfd, p, flags)
	return st, errno
}

// statBorn is stat, with the time at which a node in the tree was made.
func (c call) statBorn(dirfd, p, flags uintptr) (st syscall.Stat_t, born time.Time, errno Errno) {
	if flags&atEmptyPath != 0 && c.emptyPath(p) && int32(dirfd) != atFdcwd {
		f, errno := open(dirfd)
		if errno != 0 {
			return st, born, errno
		}
		if p, ok := f.object.(placed); ok {
			born = p.place().Born()
		}
		var open syscall.Stat_t // not st: that one stays on the stack
		errno = f.stat(&open)
		return open, born, errno
	}
	node, errno := c.node(dirfd, p, flags)
	if errno != 0 {
		return st, born, errno
	}
	errno = node.Stat(&st)
	return st, node.Born(), errno
}

// emptyPath reports whether a path argument is "" (or nil, since Linux 6.11).
func (c call) emptyPath(p uintptr) bool {
	if p == 0 {
		return true
	}
	name, errno := text(c.address(p), maxText)
	return errno == 0 && name == ""
}

func sysFstat(c call) (uintptr, Errno) {
	f, errno := open(c.a1)
	if errno != 0 {
		return 0, errno
	}
	var st syscall.Stat_t
	if errno := f.stat(&st); errno != 0 {
		return 0, errno
	}
	return 0, put(c.address(c.a2), &st)
}

// statx is struct statx of statx(2).
type statx struct {
	mask, blksize                            uint32
	attributes                               uint64
	nlink, uid, gid                          uint32
	mode                                     uint16
	_                                        uint16
	ino, size, blocks, attributesMask        uint64
	atime, btime, ctime, mtime               statxTime
	rdevMajor, rdevMinor, devMajor, devMinor uint32
	mountID                                  uint64
	_                                        [13]uint64
}

type statxTime struct {
	sec  int64
	nsec uint32
	_    int32
}

const (
	statxBasic = 0x7ff  // STATX_BASIC_STATS
	statxBorn  = 0x800  // STATX_BTIME
	statxMount = 0x1000 // STATX_MNT_ID

	statxMountRoot = 0x2000 // STATX_ATTR_MOUNT_ROOT
)

func sysStatx(c call) (uintptr, Errno) {
	const syncTypes, reserved = 0x6000, 1 << 31
	if c.a3&^(atSymlinkNo|atNoAutomount|atEmptyPath|syncTypes) != 0 || c.a3&syncTypes == syncTypes || c.a4&reserved != 0 {
		return 0, syscall.EINVAL
	}
	st, born, errno := c.statBorn(c.a1, c.a2, c.a3&(atSymlinkNo|atEmptyPath))
	if errno != 0 {
		return 0, errno
	}
	x := statx{
		mask: statxBasic, blksize: uint32(st.Blksize), nlink: uint32(st.Nlink), uid: st.Uid, gid: st.Gid,
		mode: uint16(st.Mode), ino: st.Ino, size: uint64(st.Size), blocks: uint64(st.Blocks),
		atime:     statxTime{sec: st.Atim.Sec, nsec: uint32(st.Atim.Nsec)},
		ctime:     statxTime{sec: st.Ctim.Sec, nsec: uint32(st.Ctim.Nsec)},
		mtime:     statxTime{sec: st.Mtim.Sec, nsec: uint32(st.Mtim.Nsec)},
		rdevMajor: uint32(st.Rdev >> 8), rdevMinor: uint32(st.Rdev & 0xff), devMinor: uint32(st.Dev),
	}
	x.mountID, x.attributesMask = mountID(st.Dev), statxMountRoot
	x.mask |= statxMount
	if isMountRoot(&st) {
		x.attributes |= statxMountRoot
	}
	if !born.IsZero() {
		x.mask |= statxBorn
		x.btime = statxTime{sec: born.Unix(), nsec: uint32(born.Nanosecond())}
	}
	return 0, put(c.address(c.a5), &x)
}

// mountID returns the number in /proc/self/mountinfo of what a device number
// belongs to.
func mountID(device uint64) uint64 {
	for i, m := range tree.Mounts() {
		if m.Device == device {
			return uint64(i) + firstMount + 1
		}
	}
	return firstMount
}

// isMountRoot reports whether what was found is the root of a mounted file system.
func isMountRoot(st *syscall.Stat_t) bool {
	if st.Mode&syscall.S_IFMT != syscall.S_IFDIR {
		return false
	}
	for _, m := range tree.Mounts() {
		if m.Device == st.Dev {
			return m.Root().Inode() == st.Ino
		}
	}
	return st.Ino == tree.Root().Inode()
}

func sysStatfs(c call) (uintptr, Errno) {
	node, errno := c.node(cwd, c.a1, 0)
	if errno != 0 {
		return 0, errno
	}
	return 0, putStatfs(c.address(c.a2), node)
}

func sysFstatfs(c call) (uintptr, Errno) {
	f, errno := open(c.a1)
	if errno != 0 {
		return 0, errno
	}
	node := tree.Root()
	if p, ok := f.object.(placed); ok {
		node = p.place()
	}
	return 0, putStatfs(c.address(c.a2), node)
}

func putStatfs(a address, node *fs.Node) Errno {
	var s syscall.Statfs_t
	if errno := node.Statfs(&s); errno != 0 {
		return errno
	}
	return put(a, &s)
}
