// Package ninep lets the file tree (package fs) use a folder of the host's, by the
// protocol 9P2000.L: intro(5) of Plan 9, and the messages that Linux has added, as
// diod's protocol.md and Linux's include/net/9p/9p.h describe them. QEMU's virtio-9p
// is the server that it is tested with.
//
// It relies on package fs and on a Transport. It keeps neither data nor attributes:
// each call asks the host, so that what is changed there is seen at once. It must
// not follow symbolic links (the tree does), know a device, or believe what the
// host sends without checking it.
//
// A node's number is the host's (qid.path). The host may move, replace and remove
// names at any time; so each look-up brings a fresh fid, and a fid is checked for
// the node's number before something is changed by it. A file that is open has an
// open fid, by which its data can be reached whatever becomes of its name.
package ninep

import (
	"errors"
	"sync"
	"syscall"

	"pith/kernel/fs"
)

// System is a mounted folder.
type System struct {
	c        *connection
	source   string
	readOnly bool
	root     *inode

	mu    sync.Mutex
	nodes map[uint64]*inode // those that the tree holds, by number
}

// Options says how a folder is mounted.
type Options struct {
	Source   string // what /proc/mounts shows as its device
	ReadOnly bool
	// Report is told, once, that the host broke the protocol; it may be nil.
	Report func(sentence string)
}

// New mounts the folder that the server at the other end of t offers.
func New(t Transport, o Options) (*System, error) {
	c, err := dial(t, o.Report)
	if err != nil {
		return nil, err
	}
	s := &System{c: c, source: o.Source, readOnly: o.ReadOnly, nodes: map[uint64]*inode{}}
	h := c.newHandle()
	// Without a user's number new files belong to who runs the server.
	errno := c.do(newRequest(typeAttach).u32(h.fid).u32(noFid).text("").text("").u32(noUser), qidSize)
	if errno == 0 {
		s.root, errno = s.adopt(h, qid{})
	}
	switch {
	case errno != 0:
		return nil, errors.New("the host's folder can't be reached: " + errno.Error())
	case s.root.format != syscall.S_IFDIR:
		return nil, errors.New("what the host offers is no folder")
	}
	return s, nil
}

// Type implements fs.FileSystem.
func (s *System) Type() string { return "9p" }

// Source implements fs.FileSystem.
func (s *System) Source() string { return s.source }

// ReadOnly implements fs.FileSystem.
func (s *System) ReadOnly() bool { return s.readOnly }

// Remote implements fs.Remote.
func (s *System) Remote() {}

// Root implements fs.FileSystem.
func (s *System) Root() (fs.Inode, Errno) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.root.users++
	return s.root, 0
}

// Statfs implements fs.FileSystem.
func (s *System) Statfs(st *syscall.Statfs_t) Errno {
	const magic, size = 0x01021997, 4 + 4 + 6*8 + 4
	h := s.root.use()
	defer h.release()
	f, errno := s.c.call(newRequest(typeStatfs).u32(h.fid), size)
	if errno != 0 {
		return errno
	}
	f.u32() // the type of the host's file system
	*st = syscall.Statfs_t{
		Type: magic, Bsize: int64(f.u32()),
		Blocks: f.u64(), Bfree: f.u64(), Bavail: f.u64(), Files: f.u64(), Ffree: f.u64(),
	}
	st.Frsize = st.Bsize
	id := f.u64()
	st.Fsid.X__val = [2]int32{int32(id), int32(id >> 32)}
	st.Namelen = int64(f.u32())
	return s.whole(f)
}

// whole returns EIO for a reply that was too short.
func (s *System) whole(f fields) Errno {
	if f.short {
		return s.c.fail("a reply of its was too short")
	}
	return 0
}

// Sync implements fs.FileSystem. The protocol knows no such call: what is synced is
// the files that are open for writing.
func (s *System) Sync() (first Errno) {
	s.mu.Lock()
	var open []*inode
	for _, i := range s.nodes {
		open = append(open, i)
	}
	s.mu.Unlock()
	for _, i := range open {
		if errno := i.settle(); first == 0 {
			first = errno
		}
	}
	return first
}

// Close implements fs.FileSystem.
func (s *System) Close() Errno { return s.Sync() }

// adopt makes the tree's inode of a fid, which it takes over. q is what the server
// called the node; a zero one if it was not said.
func (s *System) adopt(h *handle, q qid) (*inode, Errno) {
	if i := s.known(q); i != nil {
		i.renew(h)
		return i, 0
	}
	a, errno := s.attributes(h)
	if errno != 0 {
		h.release()
		return nil, errno
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.nodes[a.number]
	if i == nil || i.format != a.format() {
		i = &inode{system: s, number: a.number, format: a.format(), last: a}
		s.nodes[a.number] = i
	}
	i.users++
	i.renew(h)
	return i, 0
}

// known returns the inode that the tree has of a node, or nil.
func (s *System) known(q qid) *inode {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.nodes[q.path]
	if i == nil || q == (qid{}) || i.kind() != q.typ&(qidDirectory|qidLink) {
		return nil
	}
	i.users++
	return i
}
