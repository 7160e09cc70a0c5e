package ninep

import (
	"sync"
	"syscall"

	"pith/kernel/fs"
)

// inode is what the tree holds: one for each node of the folder that it knows.
type inode struct {
	system *System
	number uint64
	format uint32
	users  int // guarded by System.mu

	mu     sync.Mutex
	path   *handle    // by which it was found last; never open
	reader *handle    // open for reading; nil unless held
	writer *handle    // open for writing; nil unless it was asked for
	list   *handle    // a directory's, open; nil unless it is being read
	last   attributes // as they were when somebody asked
}

// Number, Format and Forget implement fs.Inode.

func (i *inode) Number() uint64 { return i.number }
func (i *inode) Format() uint32 { return i.format }

func (i *inode) Forget() {
	s := i.system
	s.mu.Lock()
	i.users--
	last := i.users == 0
	if last && s.nodes[i.number] == i {
		delete(s.nodes, i.number)
	}
	s.mu.Unlock()
	if last {
		i.swap(&i.path, nil)
		i.swap(&i.list, nil)
		i.Drop()
	}
}

// kind is what the server's qid says of a node of this format.
func (i *inode) kind() uint8 {
	switch i.format {
	case syscall.S_IFDIR:
		return qidDirectory
	case syscall.S_IFLNK:
		return qidLink
	}
	return 0
}

// swap puts a handle in the place of one of the inode's.
func (i *inode) swap(place **handle, h *handle) {
	i.mu.Lock()
	old := *place
	*place = h
	i.mu.Unlock()
	old.release()
}

// renew gives the inode the fid by which it was found just now.
func (i *inode) renew(h *handle) { i.swap(&i.path, h) }

// use returns the handle by which the node was found last. The caller releases it.
func (i *inode) use() *handle {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.path.hold()
}

// Hold implements fs.Inode: a file's data stays as long as a fid is open.
func (i *inode) Hold() Errno {
	if i.format != syscall.S_IFREG {
		return 0
	}
	h, errno := i.opened(&i.reader, syscall.O_RDONLY)
	if errno == syscall.EACCES { // perhaps it may be written
		h, errno = i.opened(&i.writer, syscall.O_WRONLY)
	}
	h.release()
	return errno
}

// HoldToWrite implements fs.Opener.
func (i *inode) HoldToWrite() Errno {
	h, errno := i.opened(&i.writer, syscall.O_WRONLY)
	h.release()
	return errno
}

// Drop implements fs.Inode.
func (i *inode) Drop() {
	i.swap(&i.reader, nil)
	i.swap(&i.writer, nil)
}

// opened returns the handle at one of the inode's places, opened if there is none.
// The caller releases it.
func (i *inode) opened(place **handle, flags uint32) (*handle, Errno) {
	if h := i.held(place); h != nil {
		return h, 0
	}
	h, errno := i.open(flags)
	if errno != 0 {
		return nil, errno
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if *place == nil {
		*place = h.hold()
	}
	return h, 0
}

// held returns the handle at one of the inode's places, or nil. The caller releases it.
func (i *inode) held(place **handle) *handle {
	i.mu.Lock()
	defer i.mu.Unlock()
	if *place == nil {
		return nil
	}
	return (*place).hold()
}

// open returns a new handle that is open.
func (i *inode) open(flags uint32) (*handle, Errno) {
	c := i.system.c
	from := i.use()
	defer from.release()
	h, _, errno := c.walk(from)
	if errno != 0 {
		return nil, errno
	}
	f, errno := c.call(newRequest(typeLopen).u32(h.fid).u32(flags|syscall.O_NOFOLLOW|syscall.O_LARGEFILE), qidSize+4)
	if errno == 0 && f.qid().path != i.number {
		errno = syscall.ESTALE // another file has its name by now
	}
	if errno != 0 {
		h.release()
		return nil, errno
	}
	return h, 0
}

// walk returns a handle of what a name of a directory stands for or, without a name,
// of the same node. It is ENOENT if there is no such entry.
func (c *connection) walk(from *handle, names ...string) (*handle, qid, Errno) {
	h := c.newHandle()
	r := newRequest(typeWalk).u32(from.fid).u32(h.fid).u16(uint16(len(names)))
	for _, name := range names {
		r.text(name)
	}
	f, errno := c.call(r, 2+len(names)*qidSize)
	if errno != 0 {
		h.unused()
		return nil, qid{}, errno
	}
	if n := f.u16(); int(n) != len(names) {
		h.unused()
		return nil, qid{}, syscall.ENOENT
	}
	if len(names) == 0 {
		return h, qid{}, 0
	}
	q := f.qid()
	if f.short {
		h.unused()
		return nil, q, c.fail("a reply of its was too short")
	}
	return h, q, 0
}

// Fsync implements fs.Data, and of directories.
func (i *inode) Fsync(dataOnly bool) Errno {
	place := &i.reader
	i.mu.Lock()
	if i.writer != nil {
		place = &i.writer
	}
	i.mu.Unlock()
	h, errno := i.temporarily(place, syscall.O_RDONLY)
	if errno != 0 {
		return errno
	}
	defer h.release()
	only := uint32(0)
	if dataOnly {
		only = 1
	}
	return i.system.c.do(newRequest(typeFsync).u32(h.fid).u32(only), 0)
}

// settle is Fsync for a file that is open for writing.
func (i *inode) settle() Errno {
	i.mu.Lock()
	open := i.writer != nil
	i.mu.Unlock()
	if !open {
		return 0
	}
	return i.Fsync(false)
}

// temporarily is opened, but for the caller alone if there is no such handle yet: it
// is for nodes that may not be held.
func (i *inode) temporarily(place **handle, flags uint32) (*handle, Errno) {
	if h := i.held(place); h != nil {
		return h, 0
	}
	return i.open(flags)
}

// The tree asks for these.
var (
	_ fs.Inode      = (*inode)(nil)
	_ fs.Opener     = (*inode)(nil)
	_ fs.FileSystem = (*System)(nil)
	_ fs.Remote     = (*System)(nil)
)
