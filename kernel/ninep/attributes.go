package ninep

import (
	"syscall"
	"time"

	"pith/kernel/fs"
)

// attributes is what the server says of a node.
type attributes struct {
	number             uint64
	mode, uid, gid     uint32
	links, rdev        uint64
	size, block, taken uint64
	accessed           syscall.Timespec
	modified, changed  syscall.Timespec
}

func (a *attributes) format() uint32 { return a.mode & syscall.S_IFMT }

// attributes asks for those of a handle.
func (s *System) attributes(h *handle) (attributes, Errno) {
	const basic, size = 0x7ff, 8 + qidSize + 3*4 + 15*8
	f, errno := s.c.call(newRequest(typeGetattr).u32(h.fid).u64(basic), size)
	if errno != 0 {
		return attributes{}, errno
	}
	f.u64() // which of them are valid: a server that offers a folder has all
	a := attributes{number: f.qid().path, mode: f.u32(), uid: f.u32(), gid: f.u32(), links: f.u64(), rdev: f.u64()}
	a.size, a.block, a.taken = f.u64(), f.u64(), f.u64()
	a.accessed, a.modified, a.changed = f.time(), f.time(), f.time()
	if int64(a.size) < 0 || int64(a.block) < 0 || int64(a.taken) < 0 {
		return a, s.c.fail("a file's size is impossible")
	}
	return a, s.whole(f)
}

func (f *fields) time() syscall.Timespec {
	return syscall.Timespec{Sec: int64(f.u64()), Nsec: int64(f.u64() % 1e9)}
}

// find returns the node's attributes and a handle that leads to it, which the caller
// releases. Where the host has moved or removed the name, an open handle may do;
// else it is ENOENT.
func (i *inode) find() (attributes, *handle, Errno) {
	i.mu.Lock()
	ways := []*handle{i.path.hold()}
	if i.reader != nil {
		ways = append(ways, i.reader.hold())
	}
	i.mu.Unlock()
	var a attributes
	var found *handle
	errno := syscall.ENOENT
	for _, h := range ways {
		if found == nil {
			if a, errno = i.system.attributes(h); errno == 0 && a.number == i.number {
				found = h
				continue
			}
		}
		h.release()
	}
	if found == nil {
		if errno == 0 {
			errno = syscall.ENOENT // another node has the name
		}
		return a, nil, errno
	}
	i.mu.Lock()
	i.last = a
	i.mu.Unlock()
	return a, found, 0
}

// Stat implements fs.Inode. Of a file that is open but has lost its name it tells
// what was known last, where the server can't look by an open fid.
func (i *inode) Stat(st *syscall.Stat_t) Errno {
	a, h, errno := i.find()
	h.release()
	if errno != 0 {
		i.mu.Lock()
		a = i.last
		open := i.reader != nil || i.writer != nil
		i.mu.Unlock()
		if errno != syscall.ENOENT || !open {
			return errno
		}
		a.links = max(a.links, 1) - 1
	}
	*st = syscall.Stat_t{
		Ino: i.number, Nlink: a.links, Mode: i.format | a.mode&0o7777, Uid: a.uid, Gid: a.gid, Rdev: a.rdev,
		Size: int64(a.size), Blksize: int64(a.block), Blocks: int64(a.taken),
		Atim: a.accessed, Mtim: a.modified, Ctim: a.changed,
	}
	return 0
}

// Bits of a request to set attributes. A time has a second one, that says that it is
// not the server's clock.
const (
	setMode     = 1 << 0
	setUser     = 1 << 1
	setGroup    = 1 << 2
	setSize     = 1 << 3
	setAccessed = 1<<4 | 1<<7
	setModified = 1<<5 | 1<<8
)

// SetAttr implements fs.Inode.
func (i *inode) SetAttr(a fs.Attr) Errno {
	_, h, errno := i.find()
	if errno != 0 {
		return errno
	}
	defer h.release()
	var set uint32
	for _, p := range []struct {
		attr fs.AttrSet
		bits uint32
	}{
		{fs.SetMode, setMode}, {fs.SetUid, setUser}, {fs.SetGid, setGroup}, {fs.SetSize, setSize},
		{fs.SetAccessed, setAccessed}, {fs.SetModified, setModified},
	} {
		if a.Set&p.attr != 0 {
			set |= p.bits
		}
	}
	r := newRequest(typeSetattr).u32(h.fid).u32(set).u32(a.Mode).u32(a.Uid).u32(a.Gid).u64(uint64(a.Size))
	if errno := i.system.c.do(r.time(a.Accessed).time(a.Modified), 0); errno != 0 {
		return errno
	}
	if a.Set&fs.SetSize != 0 {
		i.resized(a.Size, true)
	}
	return 0
}

func (r *request) time(t time.Time) *request {
	if t.IsZero() {
		return r.u64(0).u64(0)
	}
	return r.u64(uint64(t.Unix())).u64(uint64(t.Nanosecond()))
}

// resized notes a file's size, or that it has at least that.
func (i *inode) resized(size int64, exactly bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if exactly || uint64(size) > i.last.size {
		i.last.size = uint64(size)
	}
}
