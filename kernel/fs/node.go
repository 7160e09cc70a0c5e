package fs

import (
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Node is one inode: what a name stands for. It stays usable after its last
// name is gone, as an open file does.
type Node struct {
	tree   *Tree
	inode  uint64
	format uint32 // syscall.S_IFREG, S_IFDIR, ...
	rdev   uint64

	// Extra is kernel/linux's own: what a pipe or socket node stands for.
	Extra atomic.Value

	real Inode                 // a mounted file system's node; set before the node has a name
	at   atomic.Pointer[entry] // the name that it got last; nil if none
	over atomic.Pointer[Tree]  // what is mounted on the directory

	// Guarded by Tree.mu:
	parent   *Node             // a directory's parent; the root's is itself
	children map[string]*entry // a directory's entries by name
	listing  []*entry          // the same in order of cookie
	cookie   int64             // last cookie given out
	removed  bool              // a directory that rmdir has taken away

	sealed atomic.Bool // of the image: neither it nor its entries change

	// Fixed before the node gets its name:
	unnameable bool          // made by O_TMPFILE and O_EXCL
	target     string        // a symbolic link's text
	source     func() []byte // a generated file's contents
	dynamic    Directory     // a generated directory's entries
	lazy       *lazy         // entries that are made at first use; nil if none
	jump       func() *Node  // where a magic link leads
	text       func() string // a magic link's text

	mu       sync.RWMutex // guards what follows
	mode     uint32       // permission bits
	uid, gid uint32
	links    uint32
	openers  int
	seals    uint32

	attributes map[string][]byte // extended ones

	born     time.Time
	accessed time.Time
	modified time.Time
	changed  time.Time
	data     data
}

// Directory is a directory whose entries are made when asked for.
type Directory interface {
	// Lookup returns the node of a name, or nil.
	Lookup(name string) *Node
	// List returns the names that there are now.
	List() []string
}

// NewFile returns a read-only file whose contents are made each time it is
// opened. mode holds permission bits only.
func (t *Tree) NewFile(mode uint32, source func() []byte) *Node {
	n := t.NewNode(syscall.S_IFREG|mode, 0)
	n.source = source
	return n
}

// NewDirectory returns a directory with generated entries.
func (t *Tree) NewDirectory(d Directory) *Node {
	n := t.NewNode(syscall.S_IFDIR|0o555, 0)
	n.dynamic = d
	return n
}

// NewJump returns a symbolic link that leads straight to a node, whatever its
// text says, as those in /proc/self/fd do.
func (t *Tree) NewJump(text func() string, jump func() *Node) *Node {
	n := t.NewNode(syscall.S_IFLNK|0o777, 0)
	n.text, n.jump = text, jump
	return n
}

// NewLink returns a symbolic link without a name.
func (t *Tree) NewLink(target string) *Node {
	n := t.NewNode(syscall.S_IFLNK|0o777, 0)
	n.target = target
	return n
}

// IsDir reports whether the node is a directory.
func (n *Node) IsDir() bool { return n.format == syscall.S_IFDIR }

// IsRegular reports whether the node is a regular file.
func (n *Node) IsRegular() bool { return n.format == syscall.S_IFREG }

// IsLink reports whether the node is a symbolic link.
func (n *Node) IsLink() bool { return n.format == syscall.S_IFLNK }

// Format returns the node's type, one of syscall.S_IF...
func (n *Node) Format() uint32 { return n.format }

// ReadOnly reports whether the node never changes: it is the image's, or in a
// file system that is read only.
func (n *Node) ReadOnly() bool { return n.readOnly() }

// Inode returns the node's inode number.
func (n *Node) Inode() uint64 { return n.inode }

// Rdev returns a device node's number.
func (n *Node) Rdev() uint64 { return n.rdev }

// Tree returns the tree that the node belongs to.
func (n *Node) Tree() *Tree { return n.tree }

// Generated returns the contents of a generated file as they are now; ok is
// false for any other node.
func (n *Node) Generated() (contents []byte, ok bool) {
	if n.source == nil {
		return nil, false
	}
	return n.source(), true
}

// Stat fills in what stat(2) reports.
func (n *Node) Stat(st *syscall.Stat_t) Errno {
	if n.real != nil {
		return n.statReal(st)
	}
	n.filled()
	n.mu.RLock()
	defer n.mu.RUnlock()
	*st = syscall.Stat_t{
		Dev:     n.tree.device,
		Ino:     n.inode,
		Nlink:   uint64(n.links),
		Mode:    n.format | n.mode,
		Uid:     n.uid,
		Gid:     n.gid,
		Rdev:    n.rdev,
		Size:    n.sizeLocked(),
		Blksize: pageSize,
		Blocks:  n.data.taken * (pageSize / 512),
		Atim:    timespec(n.accessed),
		Mtim:    timespec(n.modified),
		Ctim:    timespec(n.changed),
	}
	return 0
}

// sizeLocked is st_size. The caller holds n.mu.
func (n *Node) sizeLocked() int64 {
	switch {
	case n.IsLink() && n.text == nil:
		return int64(len(n.target))
	case n.IsRegular():
		return n.data.size
	}
	return 0
}

func timespec(t time.Time) syscall.Timespec {
	return syscall.NsecToTimespec(t.UnixNano())
}

// Mode returns type and permission bits.
func (n *Node) Mode() uint32 {
	if n.real != nil {
		st := syscall.Stat_t{Mode: n.format}
		n.real.Stat(&st)
		return st.Mode
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.format | n.mode
}

// Chmod sets the permission bits (12 bits).
func (n *Node) Chmod(mode uint32) Errno {
	if n.real != nil {
		if errno := n.changeReal(Attr{Set: SetMode, Mode: mode & 0o7777}); errno != 0 {
			return errno
		}
	} else {
		n.mu.Lock()
		n.mode = mode & 0o7777
		n.changed = time.Now()
		n.mu.Unlock()
	}
	n.Tell(syscall.IN_ATTRIB)
	return 0
}

// Chown sets owner and group; all ones keeps the one that there is. As on
// Linux it takes the set-user-ID bit, and set-group-ID where the group may
// execute, off a regular file.
func (n *Node) Chown(uid, gid uint32) Errno {
	if n.real != nil {
		if errno := n.chownReal(uid, gid); errno != 0 {
			return errno
		}
	} else {
		n.chown(uid, gid)
	}
	n.Tell(syscall.IN_ATTRIB)
	return 0
}

func (n *Node) chown(uid, gid uint32) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if uid != ^uint32(0) {
		n.uid = uid
	}
	if gid != ^uint32(0) {
		n.gid = gid
	}
	if n.IsRegular() {
		n.mode = unprivileged(n.mode)
	}
	n.changed = time.Now()
}

// unprivileged is the permissions of a file that got another owner.
func unprivileged(mode uint32) uint32 {
	mode &^= syscall.S_ISUID
	if mode&0o010 != 0 {
		mode &^= syscall.S_ISGID
	}
	return mode
}

// SetTimes sets the time of access and of modification; a zero time keeps the
// one that there is.
func (n *Node) SetTimes(accessed, modified time.Time) Errno {
	if n.real != nil {
		if errno := n.setTimesReal(accessed, modified); errno != 0 {
			return errno
		}
	} else {
		n.setTimes(accessed, modified)
	}
	n.Tell(syscall.IN_ATTRIB)
	return 0
}

func (n *Node) setTimes(accessed, modified time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !accessed.IsZero() {
		n.accessed = accessed
	}
	if !modified.IsZero() {
		n.modified = modified
	}
	n.changed = time.Now()
}

// Tell tells the observer of what happened to the node, by the name that it got
// last.
func (n *Node) Tell(mask uint32) {
	if n.tree.home.hook.Load() == nil {
		return
	}
	e := Event{Node: n, Mask: mask}
	if at := n.at.Load(); at != nil {
		e.Dir, e.Name = at.dir, at.name
	}
	n.tree.Emit(e)
}

// Born returns when the node was made; a zero time if it isn't known.
func (n *Node) Born() time.Time { return n.born }

// inherit makes a new node's group, and a directory's set-group-ID bit, those
// of a directory that has that bit.
func (n *Node) inherit(dir *Node) {
	var st syscall.Stat_t
	if dir.Stat(&st); st.Mode&syscall.S_ISGID == 0 {
		return
	}
	n.gid = st.Gid
	if n.IsDir() {
		n.mode |= syscall.S_ISGID
	}
}

// touch sets modification and change time to now. The caller does not hold
// n.mu.
func (n *Node) touch() {
	now := time.Now()
	n.mu.Lock()
	n.modified, n.changed = now, now
	n.mu.Unlock()
}

// addLinks changes the count of names. The caller does not hold n.mu.
func (n *Node) addLinks(by int) uint32 {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links += uint32(by)
	n.changed = time.Now()
	n.discard()
	return n.links
}

// Links returns the count of names.
func (n *Node) Links() uint32 {
	if n.real != nil {
		var st syscall.Stat_t
		n.real.Stat(&st)
		return uint32(st.Nlink)
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.links
}

// Readlink returns a symbolic link's text, or EINVAL.
func (n *Node) Readlink() (string, Errno) {
	switch {
	case !n.IsLink():
		return "", syscall.EINVAL
	case n.text != nil:
		return n.text(), 0
	case n.real != nil:
		return n.real.Readlink()
	}
	return n.target, 0
}
