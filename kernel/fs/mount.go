package fs

import (
	"runtime"
	"sync"
	"syscall"
	"weak"
)

// Mount is one file system's place in the tree.
type Mount struct {
	Path   string     // where it was mounted
	System FileSystem // nil for a tree of generated files
	Device uint64     // st_dev of its nodes

	tree *Tree
}

// Root returns the directory at the top of the file system.
func (m Mount) Root() *Node { return m.tree.root }

// mounts is a tree's mounted file systems.
type mounts struct {
	mu   sync.Mutex
	list []Mount
	last uint64 // how many device numbers were given out
}

// mounted is what a Tree that stands for a mounted file system has in
// addition. Its lock orders the calls of names, as package fs promises to a
// FileSystem.
type mounted struct {
	system   FileSystem // nil: see Attach
	readOnly bool
	covers   *Node // the directory that it is mounted on

	kind  string // Attach's
	magic int64  // Attach's

	mu    sync.Mutex
	nodes map[uint64]weak.Pointer[Node] // by inode number: those in use
}

// Mount puts a file system at a directory, whose own entries are hidden from
// then on. What was mounted there before is hidden as well.
func (t *Tree) Mount(path string, system FileSystem) Errno {
	on, errno := t.Lookup(t.root, path, true)
	if errno != 0 {
		return errno
	}
	if !on.IsDir() {
		return syscall.ENOTDIR
	}
	root, errno := system.Root()
	if errno != 0 {
		return errno
	}
	t.mounts.mu.Lock()
	defer t.mounts.mu.Unlock()
	t.mounts.last++
	m := &Tree{home: t, device: Device + t.mounts.last, mounted: &mounted{
		system:   system,
		readOnly: system.ReadOnly(),
		covers:   on,
		nodes:    map[uint64]weak.Pointer[Node]{},
	}}
	m.root = m.nodeOf(root, nil, "")
	m.root.parent = m.root
	t.mounts.list = append(t.mounts.list, Mount{path, system, m.device, m})
	on.over.Store(m)
	return 0
}

// Attach puts a tree of generated files such as /proc at a directory, of type
// kind, whose statfs(2) reports magic. Its entries are what Fill says; programs
// make and remove none.
func (t *Tree) Attach(path, kind string, magic int64) (*Tree, Errno) {
	on, errno := t.Lookup(t.root, path, true)
	if errno != 0 {
		return nil, errno
	}
	t.mounts.mu.Lock()
	defer t.mounts.mu.Unlock()
	t.mounts.last++
	m := &Tree{home: t, device: Device + t.mounts.last, mounted: &mounted{covers: on, kind: kind, magic: magic}}
	m.root = m.NewNode(syscall.S_IFDIR|0o555, 0)
	m.root.parent = m.root
	t.mounts.list = append(t.mounts.list, Mount{Path: path, Device: m.device, tree: m})
	on.over.Store(m)
	return m, 0
}

// Type is the file system's name, as in /proc/mounts.
func (m Mount) Type() string {
	if m.System == nil {
		return m.tree.mounted.kind
	}
	return m.System.Type()
}

// Source is the device's name there.
func (m Mount) Source() string {
	if m.System == nil {
		return m.tree.mounted.kind
	}
	return m.System.Source()
}

// ReadOnly reports whether nothing can be changed.
func (m Mount) ReadOnly() bool { return m.tree.mounted.readOnly }

// Unmount takes the file system that was mounted last at a path away and
// closes it; EINVAL if there is none, EBUSY while a file of it is open.
func (t *Tree) Unmount(path string) Errno {
	t.mounts.mu.Lock()
	defer t.mounts.mu.Unlock()
	for i := len(t.mounts.list) - 1; i >= 0; i-- {
		m := t.mounts.list[i]
		if m.Path != path || m.System == nil {
			continue
		}
		if m.tree.busy() {
			return syscall.EBUSY
		}
		m.tree.mounted.covers.over.Store(nil)
		t.mounts.list = append(t.mounts.list[:i:i], t.mounts.list[i+1:]...)
		return m.System.Close()
	}
	return syscall.EINVAL
}

// busy reports whether a node is open.
func (t *Tree) busy() bool {
	t.mounted.mu.Lock()
	defer t.mounted.mu.Unlock()
	for _, w := range t.mounted.nodes {
		if n := w.Value(); n != nil && n.held() {
			return true
		}
	}
	return false
}

// Mounts lists what is mounted, in the order in which it was.
func (t *Tree) Mounts() []Mount {
	t.mounts.mu.Lock()
	defer t.mounts.mu.Unlock()
	return append([]Mount(nil), t.mounts.list...)
}

// Sync makes all mounted file systems durable and returns the first error.
func (t *Tree) Sync() (first Errno) {
	for _, m := range t.Mounts() {
		if m.System == nil {
			continue
		}
		m.tree.flush()
		if errno := m.System.Sync(); first == 0 {
			first = errno
		}
	}
	return first
}

// Close closes all mounted file systems, as a machine does at its end.
func (t *Tree) Close() (first Errno) {
	all := t.Mounts()
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].System == nil {
			continue
		}
		all[i].tree.flush()
		if errno := all[i].System.Close(); first == 0 {
			first = errno
		}
	}
	return first
}

// flush writes back what programs changed through mappings.
func (t *Tree) flush() {
	t.mounted.mu.Lock()
	var nodes []*Node
	for _, w := range t.mounted.nodes {
		if n := w.Value(); n != nil {
			nodes = append(nodes, n)
		}
	}
	t.mounted.mu.Unlock()
	for _, n := range nodes {
		n.Flush()
	}
}

// nodeOf returns the tree's node for an inode, which it takes over. dir and
// name are where it was found.
func (t *Tree) nodeOf(i Inode, dir *Node, name string) *Node {
	m := t.mounted
	m.mu.Lock()
	defer m.mu.Unlock()
	number := i.Number()
	if n := m.nodes[number].Value(); n != nil && n.format == i.Format() { // a host may give a number to another node
		i.Forget()
		n.moveTo(dir, name)
		return n
	}
	n := &Node{tree: t, inode: number, format: i.Format(), real: i}
	n.moveTo(dir, name)
	t.adopt(n)
	return n
}

// adopt notes a node that has become one of this file system's. The caller
// holds t.mounted.mu.
func (t *Tree) adopt(n *Node) {
	t.mounted.nodes[n.inode] = weak.Make(n)
	runtime.AddCleanup(n, t.forget, n.real)
}

// forget is called some time after the tree lost its last pointer to a node.
func (t *Tree) forget(i Inode) {
	t.mounted.mu.Lock()
	if w, ok := t.mounted.nodes[i.Number()]; ok && w.Value() == nil {
		delete(t.mounted.nodes, i.Number())
	}
	t.mounted.mu.Unlock()
	i.Forget()
}

// moveTo notes where a node is, for ".." and for the observer. The caller holds Tree.mu, or
// the node is new.
func (n *Node) moveTo(dir *Node, name string) {
	if at := n.at.Load(); dir != nil && (at == nil || at.dir != dir || at.name != name) {
		n.at.Store(&entry{name: name, node: n, dir: dir})
	}
}

// expel makes the tree forget a node that has neither name nor opener: its
// number may come to mean another.
func (n *Node) expel() {
	m := n.tree.mounted
	if n.held() || n.Links() > 0 {
		return
	}
	m.mu.Lock()
	if m.nodes[n.inode].Value() == n {
		delete(m.nodes, n.inode)
	}
	m.mu.Unlock()
}
