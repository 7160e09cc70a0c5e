package ninep

import (
	"math"
	"syscall"

	"pith/kernel/fs"
)

// Lookup implements fs.Names.
func (i *inode) Lookup(name string) (fs.Inode, Errno) {
	dir := i.use()
	defer dir.release()
	found, errno := i.system.find(dir, name)
	if errno != 0 {
		return nil, errno
	}
	return found, 0
}

// find returns the inode of a name.
func (s *System) find(dir *handle, name string) (*inode, Errno) {
	h, q, errno := s.c.walk(dir, name)
	if errno != 0 {
		return nil, errno
	}
	return s.adopt(h, q)
}

// keepGroup is the group of a new node: that of who runs the server, or the
// directory's.
const keepGroup = 0xffffffff

// Create implements fs.Names.
func (i *inode) Create(name string, n fs.NewInode) (fs.Inode, Errno) {
	s := i.system
	dir := i.use()
	defer dir.release()
	var open *handle
	var errno Errno
	switch n.Mode & syscall.S_IFMT {
	case syscall.S_IFREG:
		open, errno = s.c.create(dir, name, n.Mode)
	case syscall.S_IFDIR:
		errno = s.c.do(newRequest(typeMkdir).u32(dir.fid).text(name).u32(n.Mode&0o7777).u32(keepGroup), qidSize)
	case syscall.S_IFLNK:
		errno = s.c.do(newRequest(typeSymlink).u32(dir.fid).text(name).text(n.Target).u32(keepGroup), qidSize)
	default:
		major, minor := device(n.Rdev)
		errno = s.c.do(newRequest(typeMknod).u32(dir.fid).text(name).u32(n.Mode).u32(major).u32(minor).u32(keepGroup), qidSize)
	}
	if errno != 0 {
		return nil, errno
	}
	defer open.release()
	made, errno := s.find(dir, name)
	if errno != 0 {
		return nil, errno
	}
	if open != nil {
		made.swap(&made.reader, open.hold())
		made.swap(&made.writer, open.hold())
	}
	return made, 0
}

// create makes a regular file and returns a handle that is open for both.
func (c *connection) create(dir *handle, name string, mode uint32) (*handle, Errno) {
	h, _, errno := c.walk(dir)
	if errno != 0 {
		return nil, errno
	}
	const flags = syscall.O_RDWR | syscall.O_CREAT | syscall.O_EXCL | syscall.O_NOFOLLOW | syscall.O_LARGEFILE
	errno = c.do(newRequest(typeLcreate).u32(h.fid).text(name).u32(flags).u32(mode&0o7777).u32(keepGroup), qidSize+4)
	if errno != 0 {
		h.release()
		return nil, errno
	}
	return h, 0
}

// device splits a device's number (Linux's encoding, makedev(3)).
func device(rdev uint64) (major, minor uint32) {
	return uint32(rdev>>8)&0xfff | uint32(rdev>>32)&^0xfff, uint32(rdev)&0xff | uint32(rdev>>12)&^0xff
}

// Link implements fs.Names.
func (i *inode) Link(name string, node fs.Inode) Errno {
	_, h, errno := node.(*inode).find()
	if errno != 0 {
		return errno
	}
	defer h.release()
	dir := i.use()
	defer dir.release()
	return i.system.c.do(newRequest(typeLink).u32(dir.fid).u32(h.fid).text(name), 0)
}

// Unlink implements fs.Names.
func (i *inode) Unlink(name string, directory bool) Errno {
	const removeDir = 0x200 // AT_REMOVEDIR
	flags := uint32(0)
	if directory {
		flags = removeDir
	}
	dir := i.use()
	defer dir.release()
	return i.system.c.do(newRequest(typeUnlinkat).u32(dir.fid).text(name).u32(flags), 0)
}

// Rename implements fs.Names. The protocol knows no exchange.
func (i *inode) Rename(name string, to fs.Inode, toName string, exchange bool) Errno {
	if exchange {
		return syscall.EINVAL
	}
	from, into := i.use(), to.(*inode).use()
	defer from.release()
	defer into.release()
	return i.system.c.do(newRequest(typeRenameat).u32(from.fid).text(name).u32(into.fid).text(toName), 0)
}

// Readlink implements fs.Names.
func (i *inode) Readlink() (string, Errno) {
	if i.format != syscall.S_IFLNK {
		return "", syscall.EINVAL
	}
	const longest = 4096
	h := i.use()
	defer h.release()
	f, errno := i.system.c.call(newRequest(typeReadlink).u32(h.fid), 2+longest)
	if errno != 0 {
		return "", errno
	}
	text := f.text()
	if text == "" || len(text) >= longest {
		return "", i.system.c.fail("a symbolic link of its leads nowhere")
	}
	return text, i.system.whole(f)
}

// listing is how many bytes of entries one request asks for: about what a program
// asks for at once.
const listing = 8 << 10

// ReadDir implements fs.Names. The directory stays open between calls, until its end
// was seen.
func (i *inode) ReadDir(pos int64, f func(fs.Entry) bool) Errno {
	if i.format != syscall.S_IFDIR {
		return syscall.ENOTDIR
	}
	h, errno := i.opened(&i.list, syscall.O_RDONLY|syscall.O_DIRECTORY)
	if errno != 0 {
		return errno
	}
	defer h.release()
	if pos <= lastDot {
		pos = 0
	}
	for {
		entries, errno := i.system.c.readDir(h, cookie(pos))
		if errno != 0 {
			return errno
		}
		if len(entries) == 0 {
			i.swap(&i.list, nil)
			return 0
		}
		for _, e := range entries {
			pos = e.Next
			if e.Name != "." && e.Name != ".." && !f(e) {
				return 0
			}
		}
	}
}

// The tree has its own positions behind "." and "..", up to lastDot. A host's that
// are as small stand above tiny: no file system of Linux's has positions there.
const (
	lastDot = 2
	tiny    = math.MaxInt64 - 8
)

// position is the tree's for a server's cookie, cookie the inverse.
func position(cookie uint64) int64 {
	if cookie <= lastDot {
		return tiny + int64(cookie)
	}
	return int64(cookie)
}

func cookie(pos int64) uint64 {
	if pos >= tiny && pos <= tiny+lastDot {
		return uint64(pos - tiny)
	}
	return uint64(pos)
}

// readDir returns some of a directory's entries, none at its end.
func (c *connection) readDir(h *handle, from uint64) ([]fs.Entry, Errno) {
	f, errno := c.call(newRequest(typeReaddir).u32(h.fid).u64(from).u32(listing), 4+listing)
	if errno != 0 {
		return nil, errno
	}
	if n := f.u32(); int64(n) != int64(len(f.b)) {
		return nil, c.fail("it listed another number of bytes than it sent")
	}
	var list []fs.Entry
	for len(f.b) > 0 {
		q, at, kind := f.qid(), f.u64(), f.u8()
		e := fs.Entry{Name: f.text(), Inode: q.path, Format: uint32(kind) << 12, Next: position(at)}
		if f.short || !isName(e.Name) || e.Next < 0 {
			return nil, c.fail("it listed an impossible entry")
		}
		list = append(list, e)
	}
	return list, 0
}

// isName reports whether a directory's entry can have a name.
func isName(s string) bool {
	for i := range len(s) {
		if s[i] == '/' || s[i] == 0 {
			return false
		}
	}
	return s != "" && len(s) <= 255
}
