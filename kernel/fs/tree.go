// Package fs is the file tree of a machine: directories, regular files,
// symbolic links, device nodes and generated files, all in memory. Its
// behaviour, error numbers included, is that of Linux's tmpfs as seen by a
// process of user 0 (path_resolution(7), open(2), rename(2), ...; Linux 6.1).
// File systems of other kinds are mounted into it: see FileSystem.
//
// It relies on packages below os only, because the file tree is what os is
// built on. It must not know what a file descriptor is: kernel/linux gives
// out descriptors and calls the tree.
//
// Everything here is ordinary Go on goroutines: it may allocate and take
// locks, and it never waits for anything but a lock, or a mounted file system.
package fs

import (
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Errno is Linux's error number; 0 is success.
type Errno = syscall.Errno

const (
	nameMax = 255  // longest name of one entry, in bytes (NAME_MAX)
	pathMax = 4095 // longest path, in bytes without the NUL (PATH_MAX)
	linkMax = 40   // symbolic links followed in one resolution (MAXSYMLINKS)

	// Device is the device number that the tree's own nodes report (st_dev).
	// Mounted file systems have those that follow.
	Device = 0x17
)

// Tree is one file tree. Its zero value is not usable: see New.
//
// A mounted file system is a Tree of its own inside the package, with its own
// lock: no two trees are locked at the same time, so that one that waits for a
// device holds up nobody else.
//
// Lock order: Tree.mu, then Node.mu, then mounted.mu.
type Tree struct {
	home    *Tree // the tree that programs see; itself, unless mounted
	mounted *mounted
	mounts  mounts
	device  uint64
	root    *Node
	inode   atomic.Uint64 // last inode number given out
	limit   int64         // pages that file data may take
	pages   atomic.Int64  // pages that file data takes
	hook    atomic.Pointer[func(Event)]

	mu sync.RWMutex // guards all names: Node.children, parent, removed
}

// New returns a tree with an empty root directory. Its file data may take
// limit bytes, then writes fail with ENOSPC; 0 means no limit.
func New(limit int64) *Tree {
	t := &Tree{limit: limit / pageSize, device: Device}
	t.home = t
	t.root = t.NewNode(syscall.S_IFDIR|0o755, 0)
	t.root.parent = t.root
	return t
}

// Root returns the root directory.
func (t *Tree) Root() *Node { return t.root }

// Usage returns the bytes that file data may take (0: no limit) and takes.
func (t *Tree) Usage() (limit, used int64) {
	return t.limit * pageSize, t.pages.Load() * pageSize
}

// Files returns how many inode numbers were given out.
func (t *Tree) Files() uint64 { return t.inode.Load() }

// NewNode returns a node of the given type and permissions (syscall.S_IF...
// and mode bits) that has no name yet. rdev is a device node's number.
func (t *Tree) NewNode(mode uint32, rdev uint64) *Node {
	now := time.Now()
	n := &Node{tree: t, inode: t.inode.Add(1), format: mode & syscall.S_IFMT, rdev: rdev}
	n.mode = mode &^ syscall.S_IFMT
	n.links = 1
	n.born, n.accessed, n.modified, n.changed = now, now, now, now
	n.seals = SealSeal
	if n.IsDir() {
		n.links = 2
		n.children = make(map[string]*entry)
	}
	return n
}

// takePages accounts for n more pages (negative: gives them back). It reports
// false when the limit is reached.
func (t *Tree) takePages(n int64) bool {
	if t.pages.Add(n) <= t.limit || t.limit == 0 || n < 0 {
		return true
	}
	t.pages.Add(-n)
	return false
}

// Event tells of one change in the tree, in inotify(7)'s terms.
type Event struct {
	Node   *Node  // the node concerned
	Dir    *Node  // the directory it is (or was) in; nil when not known
	Name   string // its name in Dir
	Mask   uint32 // one of syscall.IN_..., with IN_ISDIR where it applies
	Cookie uint32 // ties IN_MOVED_FROM to IN_MOVED_TO
}

// Observe makes f be told of each change. f must not call the tree.
func (t *Tree) Observe(f func(Event)) { t.hook.Store(&f) }

// Emit tells the observer of an event, if there is one.
func (t *Tree) Emit(e Event) {
	if f := t.home.hook.Load(); f != nil {
		const self = syscall.IN_DELETE_SELF | syscall.IN_MOVE_SELF
		if e.Node != nil && e.Node.IsDir() && e.Mask&self == 0 {
			e.Mask |= syscall.IN_ISDIR
		}
		(*f)(e)
	}
}
