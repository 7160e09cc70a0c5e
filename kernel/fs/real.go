package fs

import (
	"syscall"
	"time"
)

// The functions of this file are what a Node does by its mounted file system.

// lookupReal is child for a mounted file system. The tree is locked.
func (n *Node) lookupReal(name string) (*Node, Errno) {
	i, errno := n.real.Lookup(name)
	switch errno {
	case 0:
		return n.tree.nodeOf(i, n, name).top(), 0
	case syscall.ENOENT:
		return nil, 0
	}
	return nil, errno
}

// putReal makes an entry for a fresh node, which becomes the file system's.
// The tree is locked for changes.
func (n *Node) putReal(name string, node *Node) Errno {
	i, errno := n.real.Create(name, NewInode{
		Mode: node.format | node.mode, Rdev: node.rdev, Target: node.target, Uid: node.uid, Gid: node.gid,
	})
	if errno != 0 {
		return errno
	}
	node.tree, node.inode, node.real = n.tree, i.Number(), i
	node.children, node.target = nil, ""
	node.moveTo(n, name)
	n.tree.mounted.mu.Lock()
	n.tree.adopt(node)
	n.tree.mounted.mu.Unlock()
	return 0
}

// moveReal is move in a mounted file system.
func moveReal(from, to *place, exchange bool) Errno {
	errno := from.dir.real.Rename(from.name, to.dir.real, to.name, exchange)
	if errno != 0 {
		return errno
	}
	from.node.moveTo(to.dir, to.name)
	switch {
	case to.node == nil:
	case exchange:
		to.node.moveTo(from.dir, from.name)
	default:
		to.node.removed = to.node.IsDir()
		to.node.expel()
	}
	return 0
}

// readOnly reports whether the node is sealed or lies in a file system that is
// read only.
func (n *Node) readOnly() bool {
	return n.sealed.Load() || n.tree.mounted != nil && n.tree.mounted.readOnly
}

// changeReal is SetAttr, with what Linux checks first.
func (n *Node) changeReal(a Attr) Errno {
	if n.readOnly() {
		return syscall.EROFS
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if a.Set&SetSize != 0 && n.data.shared != nil && a.Size > int64(len(n.data.shared)) {
		return syscall.ENOSPC
	}
	if errno := n.real.SetAttr(a); errno != 0 {
		return errno
	}
	if a.Set&SetSize != 0 && n.data.shared != nil {
		n.cut(a.Size)
	}
	return 0
}

// chownReal is Chown: the bits that it takes off are part of the change.
func (n *Node) chownReal(uid, gid uint32) Errno {
	a := Attr{Uid: uid, Gid: gid}
	if uid != ^uint32(0) {
		a.Set |= SetUid
	}
	if gid != ^uint32(0) {
		a.Set |= SetGid
	}
	if mode := n.Mode(); n.IsRegular() && mode&(syscall.S_ISUID|syscall.S_ISGID) != 0 {
		a.Set |= SetMode
		a.Mode = unprivileged(mode & 0o7777)
	}
	return n.changeReal(a)
}

// statReal is Stat. The copy keeps st on the stack of who asks, for nodes in memory too.
func (n *Node) statReal(st *syscall.Stat_t) Errno {
	var found syscall.Stat_t
	errno := n.real.Stat(&found)
	found.Dev, found.Ino = n.tree.device, n.inode
	*st = found
	return errno
}

// sizeReal is Size; an error is size 0.
func (n *Node) sizeReal() int64 {
	var st syscall.Stat_t
	n.real.Stat(&st)
	return st.Size
}

// writeReal is WriteAt. What is mapped changes with it. The caller holds n.mu.
func (n *Node) writeReal(p []byte, off int64, add bool) (int, int64, Errno) {
	if add {
		off = n.sizeReal()
	}
	d := &n.data
	if d.shared != nil {
		if off >= int64(len(d.shared)) {
			return 0, off, syscall.ENOSPC
		}
		p = p[:min(int64(len(p)), int64(len(d.shared))-off)]
	}
	done, errno := n.real.WriteAt(p, off)
	if d.shared != nil {
		copy(d.shared[off:], p[:done])
		d.extend(off, off+int64(done))
	}
	if done > 0 {
		return done, off, 0
	}
	return 0, off, errno
}

// viewSize is the most that View reads of a mounted file system at once.
const viewSize = 64 << 10

// viewReal is View, by way of a buffer.
func (n *Node) viewReal(off int64, max int, f func(p []byte)) {
	p := make([]byte, min(max, viewSize))
	done, _ := n.ReadAt(p, off)
	f(p[:done])
}

// Flush writes back what programs changed in memory that Share made the
// file's. There is no record of that, so it compares.
func (n *Node) Flush() Errno {
	if n.real == nil {
		return 0
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.flush()
}

// flush is Flush. The caller holds n.mu.
func (n *Node) flush() Errno {
	d := &n.data
	if d.shared == nil || n.readOnly() {
		return 0
	}
	old := make([]byte, min(viewSize, d.size))
	for off := int64(0); off < d.size; off += viewSize {
		now := d.shared[off:min(off+viewSize, d.size)]
		had, errno := n.real.ReadAt(old[:len(now)], off)
		if errno != 0 {
			return errno
		}
		if string(old[:had]) == string(now) {
			continue
		}
		if _, errno := n.real.WriteAt(now, off); errno != 0 {
			return errno
		}
	}
	return 0
}

// Fsync makes the node durable: fsync(2), or with dataOnly fdatasync(2). What
// is in memory alone needs nothing.
func (n *Node) Fsync(dataOnly bool) Errno {
	if n.real == nil {
		return 0
	}
	if errno := n.Flush(); errno != 0 {
		return errno
	}
	return n.real.Fsync(dataOnly)
}

// Statfs fills in what statfs(2) reports about the node's file system.
func (n *Node) Statfs(st *syscall.Statfs_t) Errno {
	if n.real != nil {
		errno := n.tree.mounted.system.Statfs(st)
		if n.tree.mounted.readOnly {
			st.Flags |= syscall.MS_RDONLY
		}
		return errno
	}
	const magic = 0x01021994 // tmpfs
	limit, used := n.tree.Usage()
	*st = syscall.Statfs_t{
		Type: magic, Bsize: pageSize, Frsize: pageSize, Namelen: nameMax,
		Blocks: uint64(limit / pageSize), Bfree: uint64((limit - used) / pageSize),
		Files: 1 << 32, Ffree: 1<<32 - n.tree.Files(),
	}
	st.Bavail = st.Bfree
	if m := n.tree.mounted; m != nil {
		*st = syscall.Statfs_t{Type: m.magic, Bsize: pageSize, Frsize: pageSize, Namelen: nameMax}
	}
	return 0
}

// SyncFS makes the node's file system durable: syncfs(2).
func (n *Node) SyncFS() Errno {
	if n.real == nil {
		return 0
	}
	n.tree.flush()
	return n.tree.mounted.system.Sync()
}

// Unshare ends what Share began: the file's contents are the file system's
// again, as Flush left them. It is for files of mounted file systems that nobody maps
// any more.
func (n *Node) Unshare() {
	n.mu.Lock()
	n.data = data{}
	n.mu.Unlock()
}

// Mounted reports whether the node is of a mounted file system.
func (n *Node) Mounted() bool { return n.real != nil }

// Remote reports whether others change the file at the same time: see Remote.
func (n *Node) Remote() bool {
	if n.real == nil {
		return false
	}
	_, ok := n.tree.mounted.system.(Remote)
	return ok
}

// setTimesReal is SetTimes.
func (n *Node) setTimesReal(accessed, modified time.Time) Errno {
	a := Attr{Accessed: accessed, Modified: modified}
	if !accessed.IsZero() {
		a.Set |= SetAccessed
	}
	if !modified.IsZero() {
		a.Set |= SetModified
	}
	return n.changeReal(a)
}

// allocateReal is Allocate. A mapping sees a hole at once. The caller holds
// n.mu.
func (n *Node) allocateReal(mode uint32, off, size int64) Errno {
	d := &n.data
	if d.shared != nil && off+size > int64(len(d.shared)) && mode&keepSize == 0 {
		return syscall.ENOSPC
	}
	errno := n.real.Allocate(mode, off, size)
	if errno != 0 || d.shared == nil {
		return errno
	}
	if mode&punchHole != 0 && off < d.size {
		clear(d.shared[off:min(off+size, d.size)])
	}
	d.resize(n.sizeReal())
	return 0
}

// nextReal is Next: all of the file counts as data, as lseek(2) allows.
func (n *Node) nextReal(off int64, hole bool) (int64, Errno) {
	size := n.sizeReal()
	switch {
	case off < 0 || off >= size:
		return 0, syscall.ENXIO
	case hole:
		return size, 0
	}
	return off, 0
}

// shareReal is Share: the file is read into memory, and what is written goes
// to both from then on. The caller holds n.mu.
func (n *Node) shareReal(memory []byte, resized func(size int64)) Errno {
	d := &n.data
	if d.shared != nil {
		if errno := n.flush(); errno != 0 {
			return errno
		}
	}
	size := n.sizeReal()
	if int64(len(memory)) < size {
		return syscall.ENOMEM
	}
	if _, errno := n.real.ReadAt(memory[:size], 0); errno != 0 {
		return errno
	}
	d.shared, d.size, d.resized = memory, size, resized
	resized(size)
	return 0
}
