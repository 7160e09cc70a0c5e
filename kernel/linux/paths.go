package linux

import (
	"syscall"
	"time"
	"unsafe"

	"pith/kernel/fs"
)

// Flags that package syscall lacks or has for some architectures only.
const (
	oPath           = fs.OPath
	oTmpfile        = 0x400000
	atFdcwd         = -100
	atSymlinkNo     = 0x100 // AT_SYMLINK_NOFOLLOW
	atRemovedir     = 0x200
	atEaccess       = 0x200
	atSymlinkFollow = 0x400
	atNoAutomount   = 0x800
	atEmptyPath     = 0x1000
)

// maxText is how many bytes a path may have, NUL included (PATH_MAX).
const maxText = 4096

// base returns the directory that relative paths of an ...at call start from.
// It need not be a directory: then the lookup fails.
func base(dirfd uintptr) (*fs.Node, Errno) {
	if int32(dirfd) == atFdcwd {
		process.mu.RLock()
		defer process.mu.RUnlock()
		return process.cwd, 0
	}
	f, errno := open(dirfd)
	if errno != 0 {
		return nil, errno
	}
	if p, ok := f.object.(placed); ok {
		return p.place(), 0
	}
	return nil, syscall.ENOTDIR
}

// path reads a path argument and the directory that it starts from.
func (c call) path(dirfd, p uintptr) (*fs.Node, string, Errno) {
	name, errno := text(c.address(p), maxText)
	if errno != 0 {
		return nil, "", errno
	}
	if name != "" && name[0] == '/' {
		return tree.Root(), name, 0
	}
	dir, errno := base(dirfd)
	return dir, name, errno
}

// node finds what a path argument leads to. flags are AT_SYMLINK_NOFOLLOW and
// AT_EMPTY_PATH.
func (c call) node(dirfd, p, flags uintptr) (*fs.Node, Errno) {
	dir, name, errno := c.path(dirfd, p)
	if errno != 0 {
		return nil, errno
	}
	if name == "" && flags&atEmptyPath != 0 {
		return dir, 0
	}
	return tree.Lookup(dir, name, flags&atSymlinkNo == 0)
}

const cwd = ^uintptr(99) // atFdcwd as an argument

func sysOpen(c call) (uintptr, Errno) { return c.openat(cwd, c.a1, c.a2, c.a3) }

func sysOpenat(c call) (uintptr, Errno) { return c.openat(c.a1, c.a2, c.a3, c.a4) }

func sysCreat(c call) (uintptr, Errno) {
	return c.openat(cwd, c.a1, syscall.O_CREAT|syscall.O_WRONLY|syscall.O_TRUNC, c.a2)
}

func (c call) openat(dirfd, p, flags, mode uintptr) (uintptr, Errno) {
	flags = uintptr(uint32(flags))
	dir, name, errno := c.path(dirfd, p)
	if errno != 0 {
		return 0, errno
	}
	if flags&oTmpfile != 0 && flags&fs.OTmpfile != fs.OTmpfile {
		return 0, syscall.EINVAL
	}
	o, errno := tree.Open(dir, name, int(flags), uint32(mode)&^process.umask.Load())
	if errno != 0 {
		return 0, errno
	}
	f, errno := openNode(o, flags)
	if errno != 0 {
		return 0, errno
	}
	tree.Emit(fs.Event{Node: o.Node, Dir: o.Dir, Name: o.Name, Mask: syscall.IN_OPEN})
	return install(f, flags)
}

// openNode makes an open file of what the tree's Open found.
func openNode(o fs.Opened, flags uintptr) (*file, Errno) {
	if flags&oPath != 0 {
		return newLocated(o.Node, flags), 0
	}
	switch o.Node.Format() {
	case syscall.S_IFREG:
		return newRegular(o, flags), 0
	case syscall.S_IFDIR:
		return newDirectory(o.Node, flags), 0
	case syscall.S_IFCHR:
		return openDevice(o.Node, flags)
	case syscall.S_IFIFO:
		return openFIFO(o.Node, flags)
	}
	return nil, syscall.ENXIO
}

// openat2 is openat with its arguments in memory; RESOLVE_... flags confine
// the lookup in ways that the tree doesn't know, so only 0 is taken.
func sysOpenat2(c call) (uintptr, Errno) {
	how, errno := get[[3]uint64](c.address(c.a3))
	switch {
	case c.a4 < 24:
		return 0, syscall.EINVAL
	case errno != 0:
		return 0, errno
	case how[2] != 0:
		return 0, syscall.ENOSYS
	}
	return c.openat(c.a1, c.a2, uintptr(how[0]), uintptr(how[1]))
}

func sysMkdir(c call) (uintptr, Errno) { return c.mkdirat(cwd, c.a1, c.a2) }

func sysMkdirat(c call) (uintptr, Errno) { return c.mkdirat(c.a1, c.a2, c.a3) }

func (c call) mkdirat(dirfd, p, mode uintptr) (uintptr, Errno) {
	dir, name, errno := c.path(dirfd, p)
	if errno != 0 {
		return 0, errno
	}
	return 0, tree.Mkdir(dir, name, uint32(mode)&^process.umask.Load())
}

func sysMknod(c call) (uintptr, Errno) { return c.mknodat(cwd, c.a1, c.a2, c.a3) }

func sysMknodat(c call) (uintptr, Errno) { return c.mknodat(c.a1, c.a2, c.a3, c.a4) }

func (c call) mknodat(dirfd, p, mode, dev uintptr) (uintptr, Errno) {
	dir, name, errno := c.path(dirfd, p)
	if errno != 0 {
		return 0, errno
	}
	format := uint32(mode) & syscall.S_IFMT
	switch format {
	case 0:
		format = syscall.S_IFREG
	case syscall.S_IFREG, syscall.S_IFIFO, syscall.S_IFSOCK, syscall.S_IFCHR, syscall.S_IFBLK:
	case syscall.S_IFDIR:
		return 0, syscall.EPERM
	default:
		return 0, syscall.EINVAL
	}
	permissions := uint32(mode) & 0o7777 &^ process.umask.Load()
	return 0, tree.Make(dir, name, tree.NewNode(format|permissions, uint64(dev)))
}

func sysRmdir(c call) (uintptr, Errno) { return c.unlinkat(cwd, c.a1, atRemovedir) }

func sysUnlink(c call) (uintptr, Errno) { return c.unlinkat(cwd, c.a1, 0) }

func sysUnlinkat(c call) (uintptr, Errno) { return c.unlinkat(c.a1, c.a2, c.a3) }

func (c call) unlinkat(dirfd, p, flags uintptr) (uintptr, Errno) {
	if flags&^atRemovedir != 0 {
		return 0, syscall.EINVAL
	}
	dir, name, errno := c.path(dirfd, p)
	if errno != 0 {
		return 0, errno
	}
	if flags&atRemovedir != 0 {
		return 0, tree.Rmdir(dir, name)
	}
	return 0, tree.Unlink(dir, name)
}

func sysRename(c call) (uintptr, Errno) { return c.renameat(cwd, c.a1, cwd, c.a2, 0) }

func sysRenameat(c call) (uintptr, Errno) { return c.renameat(c.a1, c.a2, c.a3, c.a4, 0) }

func sysRenameat2(c call) (uintptr, Errno) { return c.renameat(c.a1, c.a2, c.a3, c.a4, c.a5) }

func (c call) renameat(fromfd, from, tofd, to, flags uintptr) (uintptr, Errno) {
	oldDir, oldName, errno := c.path(fromfd, from)
	if errno != 0 {
		return 0, errno
	}
	newDir, newName, errno := c.path(tofd, to)
	if errno != 0 {
		return 0, errno
	}
	return 0, tree.Rename(oldDir, oldName, newDir, newName, uint(flags))
}

func sysLink(c call) (uintptr, Errno) { return c.linkat(cwd, c.a1, cwd, c.a2, 0) }

func sysLinkat(c call) (uintptr, Errno) { return c.linkat(c.a1, c.a2, c.a3, c.a4, c.a5) }

func (c call) linkat(fromfd, from, tofd, to, flags uintptr) (uintptr, Errno) {
	if flags&^(atSymlinkFollow|atEmptyPath) != 0 {
		return 0, syscall.EINVAL
	}
	lookup := flags & atEmptyPath
	if flags&atSymlinkFollow == 0 {
		lookup |= atSymlinkNo
	}
	node, errno := c.node(fromfd, from, lookup)
	if errno != 0 {
		return 0, errno
	}
	dir, name, errno := c.path(tofd, to)
	if errno != 0 {
		return 0, errno
	}
	// A file made by O_TMPFILE gets its first name by its descriptor.
	revive := flags != 0
	return 0, tree.Link(node, dir, name, revive)
}

func sysSymlink(c call) (uintptr, Errno) { return c.symlinkat(c.a1, cwd, c.a2) }

func sysSymlinkat(c call) (uintptr, Errno) { return c.symlinkat(c.a1, c.a2, c.a3) }

func (c call) symlinkat(target, dirfd, p uintptr) (uintptr, Errno) {
	to, errno := text(c.address(target), maxText)
	if errno != 0 {
		return 0, errno
	}
	dir, name, errno := c.path(dirfd, p)
	if errno != 0 {
		return 0, errno
	}
	return 0, tree.Symlink(to, dir, name)
}

func sysReadlink(c call) (uintptr, Errno) { return c.readlinkat(cwd, c.a1, c.a2, c.a3) }

func sysReadlinkat(c call) (uintptr, Errno) { return c.readlinkat(c.a1, c.a2, c.a3, c.a4) }

func (c call) readlinkat(dirfd, p, buf, size uintptr) (uintptr, Errno) {
	if int32(size) <= 0 {
		return 0, syscall.EINVAL
	}
	// An empty path names the symbolic link that dirfd was opened on (O_PATH).
	node, errno := c.node(dirfd, p, atSymlinkNo|atEmptyPath)
	if errno != 0 {
		return 0, errno
	}
	to, errno := node.Readlink()
	if errno != 0 {
		return 0, errno
	}
	n := min(uintptr(len(to)), size)
	return n, copyOut(c.address(buf), []byte(to[:n]))
}

func sysChdir(c call) (uintptr, Errno) {
	node, errno := c.node(cwd, c.a1, 0)
	if errno != 0 {
		return 0, errno
	}
	return 0, changeDirectory(node)
}

func sysFchdir(c call) (uintptr, Errno) {
	f, errno := open(c.a1)
	if errno != 0 {
		return 0, errno
	}
	p, ok := f.object.(placed)
	if !ok {
		return 0, syscall.ENOTDIR
	}
	return 0, changeDirectory(p.place())
}

func changeDirectory(node *fs.Node) Errno {
	if !node.IsDir() {
		return syscall.ENOTDIR
	}
	process.mu.Lock()
	process.cwd = node
	process.mu.Unlock()
	return 0
}

func sysGetcwd(c call) (uintptr, Errno) {
	process.mu.RLock()
	dir := process.cwd
	process.mu.RUnlock()
	path, errno := tree.Path(dir)
	if errno != 0 {
		return 0, errno
	}
	path += "\x00"
	if uintptr(len(path)) > c.a2 {
		return 0, syscall.ERANGE
	}
	return uintptr(len(path)), copyOut(c.address(c.a1), []byte(path))
}

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
	node.Chmod(uint32(mode))
	return 0, 0
}

func sysFchmod(c call) (uintptr, Errno) {
	node, errno := attributed(c.a1)
	if errno == 0 && node != nil {
		node.Chmod(uint32(c.a2))
	}
	return 0, errno
}

// attributed returns the node of a descriptor whose attributes can be
// changed: nil for a pipe or a socket, where nobody would see it.
func attributed(fd uintptr) (*fs.Node, Errno) {
	f, errno := open(fd)
	if errno != 0 {
		return nil, errno
	}
	if f.flags.Load()&oPath != 0 {
		return nil, syscall.EBADF
	}
	if p, ok := f.object.(placed); ok {
		return p.place(), 0
	}
	return nil, 0
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
	node.Chown(uint32(uid), uint32(gid))
	return 0, 0
}

func sysFchown(c call) (uintptr, Errno) {
	node, errno := attributed(c.a1)
	if errno == 0 && node != nil {
		node.Chown(uint32(c.a2), uint32(c.a3))
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
	if errno != 0 {
		return 0, errno
	}
	return 0, node.Truncate(int64(c.a2))
}

func sysFtruncate(c call) (uintptr, Errno) {
	f, errno := open(c.a1)
	if errno != 0 {
		return 0, errno
	}
	r, ok := f.object.(*regular)
	if !ok || !f.mayWrite() {
		return 0, syscall.EINVAL
	}
	errno = r.node.Truncate(int64(c.a2))
	if errno == 0 {
		r.wrote.Store(true)
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
	node.SetTimes(at[0], at[1])
	return 0
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
	if flags&atEmptyPath != 0 && c.emptyPath(p) && int32(dirfd) != atFdcwd {
		f, errno := open(dirfd)
		if errno != 0 {
			return st, errno
		}
		errno = f.stat(&st)
		return st, errno
	}
	node, errno := c.node(dirfd, p, flags)
	if errno == 0 {
		node.Stat(&st)
	}
	return st, errno
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
	_                                        [14]uint64
}

type statxTime struct {
	sec  int64
	nsec uint32
	_    int32
}

const statxBasic = 0x7ff // STATX_BASIC_STATS

func sysStatx(c call) (uintptr, Errno) {
	st, errno := c.stat(c.a1, c.a2, c.a3&(atSymlinkNo|atEmptyPath))
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
	return 0, put(c.address(c.a5), &x)
}

// statfsMagic is tmpfs's f_type.
const statfsMagic = 0x01021994

func sysStatfs(c call) (uintptr, Errno) {
	if _, errno := c.node(cwd, c.a1, 0); errno != 0 {
		return 0, errno
	}
	return 0, putStatfs(c.address(c.a2))
}

func sysFstatfs(c call) (uintptr, Errno) {
	if _, errno := open(c.a1); errno != 0 {
		return 0, errno
	}
	return 0, putStatfs(c.address(c.a2))
}

func putStatfs(a address) Errno {
	limit, used := tree.Usage()
	s := syscall.Statfs_t{
		Type: statfsMagic, Bsize: 4096, Frsize: 4096, Namelen: 255,
		Blocks: uint64(limit / 4096), Bfree: uint64((limit - used) / 4096),
		Files: 1 << 32, Ffree: 1<<32 - tree.Files(),
	}
	s.Bavail = s.Bfree
	return put(a, &s)
}

// direntHeader is how many bytes struct linux_dirent64 has before the name.
const direntHeader = unsafe.Offsetof(syscall.Dirent{}.Name)

func sysGetdents64(c call) (uintptr, Errno) {
	f, errno := open(c.a1)
	if errno != 0 {
		return 0, errno
	}
	d, ok := f.object.(*directory)
	if !ok {
		return 0, syscall.ENOTDIR
	}
	p, b, errno := output(c.address(c.a2), c.a3)
	if errno != 0 {
		return 0, errno
	}
	n, errno := d.list(p)
	b.deliver(n)
	return uintptr(n), errno
}

// list fills p with directory entries.
func (d *directory) list(p []byte) (n int, errno Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	full := false
	errno = tree.ReadDir(d.node, d.position, func(e fs.Entry) bool {
		size := (int(direntHeader) + len(e.Name) + 1 + 7) &^ 7
		if full = n+size > len(p); full {
			return false
		}
		putDirent(p[n:n+size], e)
		n += size
		d.position = e.Next
		return true
	})
	if full && n == 0 {
		return 0, syscall.EINVAL
	}
	return n, errno
}

// putDirent encodes one struct linux_dirent64.
func putDirent(p []byte, e fs.Entry) {
	clear(p)
	store64(p, e.Inode)
	store64(p[8:], uint64(e.Next))
	store16(p[16:], uint16(len(p)))
	p[18] = byte(e.Format >> 12) // DT_... is S_IF... without its lower bits
	copy(p[direntHeader:], e.Name)
}
