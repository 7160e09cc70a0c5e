package linux

import (
	"syscall"

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

func sysOpen(c call) (uintptr, Errno) { return c.openat(cwd, c.a1, c.a2|oLargefile, c.a3, 0) }

func sysOpenat(c call) (uintptr, Errno) { return c.openat(c.a1, c.a2, c.a3|oLargefile, c.a4, 0) }

func sysCreat(c call) (uintptr, Errno) {
	return c.openat(cwd, c.a1, syscall.O_CREAT|syscall.O_WRONLY|syscall.O_TRUNC|oLargefile, c.a2, 0)
}

func (c call) openat(dirfd, p, flags, mode uintptr, confine uint64) (uintptr, Errno) {
	flags = uintptr(uint32(flags))
	if flags&oPath != 0 {
		flags &= oPath | syscall.O_DIRECTORY | syscall.O_NOFOLLOW | syscall.O_CLOEXEC
	}
	dir, name, errno := c.path(dirfd, p)
	if errno != 0 {
		return 0, errno
	}
	if flags&(syscall.O_CREAT|syscall.O_DIRECTORY) == syscall.O_CREAT|syscall.O_DIRECTORY {
		return 0, syscall.EINVAL // since Linux 6.4
	}
	if flags&oTmpfile != 0 && flags&fs.OTmpfile != fs.OTmpfile {
		return 0, syscall.EINVAL
	}
	if confine != 0 { // an absolute path is the walk's own business
		if dir, errno = base(dirfd); errno != 0 {
			return 0, errno
		}
	}
	o, errno := tree.OpenConfined(dir, name, int(flags), uint32(mode)&0o7777&^process.umask.Load(), confine)
	if errno != 0 {
		return 0, errno
	}
	f, errno := openNode(o, flags)
	if errno != 0 {
		return 0, errno
	}
	tree.Emit(fs.Event{Node: o.Node, Dir: o.Dir, Name: o.Name, Mask: syscall.IN_OPEN})
	if flags&syscall.O_TRUNC != 0 && !o.Created && o.Node.IsRegular() {
		tree.Emit(fs.Event{Node: o.Node, Dir: o.Dir, Name: o.Name, Mask: syscall.IN_MODIFY})
	}
	return install(f, flags)
}

// openNode makes an open file of what the tree's Open found.
func openNode(o fs.Opened, flags uintptr) (*file, Errno) {
	if flags&oPath != 0 {
		return newLocated(o.Node, flags), 0
	}
	switch o.Node.Format() {
	case syscall.S_IFREG:
		return newRegular(o, flags)
	case syscall.S_IFDIR:
		return newDirectory(o.Node, flags), 0
	case syscall.S_IFCHR:
		return openDevice(o.Node, flags)
	case syscall.S_IFIFO:
		return openFIFO(o.Node, flags)
	}
	return nil, syscall.ENXIO
}

// openFlags is what open(2) knows; openat2 refuses anything else.
const openFlags = syscall.O_ACCMODE | syscall.O_CREAT | syscall.O_EXCL | syscall.O_NOCTTY | syscall.O_TRUNC |
	syscall.O_APPEND | syscall.O_NONBLOCK | syscall.O_SYNC | syscall.O_ASYNC | syscall.O_DIRECT | oLargefile |
	syscall.O_DIRECTORY | syscall.O_NOFOLLOW | syscall.O_NOATIME | syscall.O_CLOEXEC | oPath | oTmpfile

// openHow is struct open_how of openat2(2).
type openHow struct{ flags, mode, resolve uint64 }

func sysOpenat2(c call) (uintptr, Errno) {
	const size = 24
	switch {
	case c.a4 < size:
		return 0, syscall.EINVAL
	case c.a4 > pageSize:
		return 0, syscall.E2BIG
	}
	how, errno := get[openHow](c.address(c.a3))
	if errno != 0 {
		return 0, errno
	}
	for n := uintptr(size); n < c.a4; n++ { // what a newer openat2 may mean
		if more, errno := get[byte](c.address(c.a3 + n)); errno != 0 || more != 0 {
			return 0, syscall.E2BIG
		}
	}
	makes := how.flags&syscall.O_CREAT != 0 || how.flags&oTmpfile != 0
	switch {
	case how.flags&^openFlags != 0, how.mode&^0o7777 != 0, how.mode != 0 && !makes:
		return 0, syscall.EINVAL
	case how.flags&oPath != 0 && how.flags&^(oPath|syscall.O_DIRECTORY|syscall.O_NOFOLLOW|syscall.O_CLOEXEC) != 0:
		return 0, syscall.EINVAL
	}
	return c.openat(c.a1, c.a2, uintptr(how.flags), uintptr(how.mode), how.resolve)
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
