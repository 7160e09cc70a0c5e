package fs

import (
	"sync/atomic"
	"syscall"
)

// mirror is a FileSystem that keeps its nodes in another Tree: what a mounted
// one does can then be compared with what a Tree does by itself.
type mirror struct {
	tree     *Tree
	readOnly bool
	given    atomic.Int64 // inodes returned and not yet forgotten
	synced   atomic.Int64
	closed   bool
}

func newMirror() *mirror { return &mirror{tree: New(0)} }

func (m *mirror) Type() string         { return "mirror" }
func (m *mirror) Source() string       { return "none" }
func (m *mirror) ReadOnly() bool       { return m.readOnly }
func (m *mirror) Root() (Inode, Errno) { return m.give(m.tree.root), 0 }
func (m *mirror) Sync() Errno          { m.synced.Add(1); return 0 }
func (m *mirror) Close() Errno         { m.closed = true; return 0 }

func (m *mirror) Statfs(st *syscall.Statfs_t) Errno {
	*st = syscall.Statfs_t{Type: 4711, Bsize: 512}
	return 0
}

func (m *mirror) give(n *Node) Inode {
	m.given.Add(1)
	return &mirrored{m, n}
}

// mirrored is an Inode of a mirror.
type mirrored struct {
	m *mirror
	n *Node
}

func (i *mirrored) Number() uint64                          { return i.n.inode }
func (i *mirrored) Format() uint32                          { return i.n.format }
func (i *mirrored) Stat(st *syscall.Stat_t) Errno           { return i.n.Stat(st) }
func (i *mirrored) Hold() Errno                             { return i.n.Acquire() }
func (i *mirrored) Drop()                                   { i.n.Release() }
func (i *mirrored) Forget()                                 { i.m.given.Add(-1) }
func (i *mirrored) Readlink() (string, Errno)               { return i.n.Readlink() }
func (i *mirrored) Fsync(bool) Errno                        { return 0 }
func (i *mirrored) ReadAt(p []byte, off int64) (int, Errno) { return i.n.ReadAt(p, off) }
func (i *mirrored) Allocate(mode uint32, off, size int64) Errno {
	return i.n.Allocate(mode, off, size)
}

func (i *mirrored) SetAttr(a Attr) Errno {
	if a.Set&SetSize != 0 {
		if errno := i.n.Truncate(a.Size); errno != 0 {
			return errno
		}
	}
	if a.Set&SetMode != 0 {
		i.n.Chmod(a.Mode)
	}
	return 0
}

func (i *mirrored) WriteAt(p []byte, off int64) (int, Errno) {
	n, _, errno := i.n.WriteAt(p, off, false)
	return n, errno
}

func (i *mirrored) Lookup(name string) (Inode, Errno) {
	if e := i.n.children[name]; e != nil {
		return i.m.give(e.node), 0
	}
	return nil, syscall.ENOENT
}

func (i *mirrored) Create(name string, n NewInode) (Inode, Errno) {
	node := i.m.tree.NewNode(n.Mode, n.Rdev)
	node.target = n.Target
	i.n.enter(name, node)
	return i.m.give(node), 0
}

func (i *mirrored) Link(name string, node Inode) Errno {
	return i.n.link(name, node.(*mirrored).n)
}

func (i *mirrored) Unlink(name string, directory bool) Errno {
	if directory {
		return i.m.tree.Rmdir(i.n, name)
	}
	return i.m.tree.Unlink(i.n, name)
}

func (i *mirrored) Rename(name string, to Inode, toName string, exchange bool) Errno {
	flags := uint(0)
	if exchange {
		flags = RenameExchange
	}
	return i.m.tree.Rename(i.n, name, to.(*mirrored).n, toName, flags)
}

func (i *mirrored) ReadDir(pos int64, f func(Entry) bool) Errno {
	return i.m.tree.ReadDir(i.n, max(pos, 2), f)
}
