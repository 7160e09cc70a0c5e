package fs

import "syscall"

// place is where a path leads: an entry of a directory that may be there or
// not.
type place struct {
	dir   *Node  // nil when the path leads to a node without an entry
	name  string // "." or ".." or "/" for the special last components
	node  *Node  // nil if there is no such entry
	slash bool   // the path ended in a slash
	long  bool   // name is too long
}

// special reports whether the last component was no ordinary name.
func (p *place) special() bool { return p.name == "." || p.name == ".." || p.name == "/" }

// busy reports whether something is mounted at the place.
func (p *place) busy() bool { return p.node != nil && p.dir != nil && p.node.tree != p.dir.tree }

// walker is one resolution of a path (path_resolution(7)). It holds the lock
// of the tree that it is in, until done.
type walker struct {
	root   *Node
	locked *Tree // nil: none yet
	write  bool  // lock for changes
	links  int   // symbolic links followed so far

	confine uint64 // Resolve... flags
	start   *Node  // where ResolveBeneath began
}

// Flags of OpenConfined (openat2(2)).
const (
	ResolveNoMounts = 1 << iota // no crossing of mount points
	ResolveNoMagic              // no links that lead straight to a node
	ResolveNoLinks              // no symbolic links at all
	ResolveBeneath              // nothing outside of the base
	ResolveInRoot               // the base is the root
	ResolveCached               // nothing that waits
	resolveAll      = ResolveCached<<1 - 1
)

// reader and writer begin a resolution; the caller calls done.
func (t *Tree) reader() walker { return walker{root: t.home.root} }
func (t *Tree) writer() walker { return walker{root: t.home.root, write: true} }

// enter locks the tree of a node, and no other.
func (w *walker) enter(t *Tree) {
	if w.locked == t {
		return
	}
	w.done()
	w.locked = t
	if w.write {
		t.mu.Lock()
	} else {
		t.mu.RLock()
	}
}

// done unlocks.
func (w *walker) done() {
	switch {
	case w.locked == nil:
	case w.write:
		w.locked.mu.Unlock()
	default:
		w.locked.mu.RUnlock()
	}
	w.locked = nil
}

// resolve walks a path from base. follow says whether a symbolic link in the
// last place is followed. The lock of the place's directory is held when it
// returns.
func (w *walker) resolve(base *Node, path string, follow bool) (place, Errno) {
	return w.resolveAs(base, path, follow, false)
}

// resolveNew is resolve for a file that is to be made: see walk.
func (w *walker) resolveNew(base *Node, path string, follow bool) (place, Errno) {
	return w.resolveAs(base, path, follow, true)
}

func (w *walker) resolveAs(base *Node, path string, follow, create bool) (place, Errno) {
	if len(path) > pathMax {
		return place{}, syscall.ENAMETOOLONG
	}
	if path == "" {
		return place{}, syscall.ENOENT
	}
	return w.walk(base, path, follow, create)
}

// walk is resolve. create says that the last component is to be made, so that
// neither it nor the link that leads there may have a slash behind it (EISDIR).
func (w *walker) walk(base *Node, path string, follow, create bool) (place, Errno) {
	dir := base
	if path[0] == '/' {
		if w.confine&ResolveBeneath != 0 {
			return place{}, syscall.EXDEV
		}
		dir = w.root.top()
		if w.confine&ResolveNoMounts != 0 && dir.tree != base.tree {
			return place{}, syscall.EXDEV
		}
	}
	w.enter(dir.tree)
	at := place{dir: dir, name: "/", node: dir}
	for rest := path; ; {
		name, more, last := component(rest)
		if name == "" { // nothing but slashes
			return at, 0
		}
		if !dir.IsDir() {
			return place{}, syscall.ENOTDIR
		}
		if len(name) > nameMax && !(create && last && more != "") {
			return place{dir: dir, name: name, long: last}, syscall.ENAMETOOLONG
		}
		node, errno := w.child(dir, name)
		if errno == 0 && w.confine != 0 {
			node, errno = w.confined(dir, name, node)
		}
		if errno != 0 {
			return place{}, errno
		}
		at = place{dir: dir, name: name, node: node, slash: last && more != ""}
		if create && at.slash && !at.special() {
			return place{}, syscall.EISDIR
		}
		if at.node != nil && at.node.IsLink() && (!last || follow) {
			next, errno := w.follow(at, create && last)
			if errno != 0 {
				return place{}, errno
			}
			next.slash = next.slash || at.slash
			at = next
		}
		if last {
			return at, 0
		}
		if at.node == nil {
			return place{}, syscall.ENOENT
		}
		dir, rest = at.node, more
		w.enter(dir.tree)
	}
}

// confined is a step of a confined walk.
func (w *walker) confined(dir *Node, name string, to *Node) (*Node, Errno) {
	if name == ".." && dir == w.start && w.confine&(ResolveBeneath|ResolveInRoot) != 0 {
		if w.confine&ResolveBeneath != 0 {
			return nil, syscall.EXDEV
		}
		w.enter(dir.tree)
		return dir, 0
	}
	if w.confine&ResolveNoMounts != 0 && to != nil && to.tree != dir.tree {
		return nil, syscall.EXDEV
	}
	return to, 0
}

// component splits the first name off a path. more is what follows, with its
// slashes; last says that no name is in there.
func component(path string) (name, more string, last bool) {
	start := 0
	for start < len(path) && path[start] == '/' {
		start++
	}
	end := start
	for end < len(path) && path[end] != '/' {
		end++
	}
	name, more = path[start:end], path[end:]
	for i := range len(more) {
		if more[i] != '/' {
			return name, more, false
		}
	}
	return name, more, true
}

// child returns a directory's entry, or nil. Where something is mounted, that
// is the mounted file system's root.
func (w *walker) child(dir *Node, name string) (*Node, Errno) {
	switch {
	case name == ".":
		return dir, 0
	case name == "..":
		return w.parent(dir), 0
	case dir.dynamic != nil:
		return dir.dynamic.Lookup(name), 0
	case dir.real != nil:
		return dir.lookupReal(name)
	}
	dir.filled()
	if e := dir.children[name]; e != nil {
		return e.node.top(), 0
	}
	return nil, 0
}

// top returns the root of what is mounted on a node, or the node itself.
func (n *Node) top() *Node {
	for m := n.over.Load(); m != nil; m = n.over.Load() {
		n = m.root
	}
	return n
}

// parent returns the directory above, across mounts.
func (w *walker) parent(dir *Node) *Node {
	for dir.tree.mounted != nil && dir == dir.tree.root {
		dir = dir.tree.mounted.covers
	}
	w.enter(dir.tree)
	return dir.above()
}

// above returns a directory's parent in its own tree; the root's is itself.
// The tree is locked.
func (n *Node) above() *Node {
	if at := n.at.Load(); n.real != nil && at != nil {
		return at.dir
	}
	return n.parent
}

// follow goes where a symbolic link leads.
func (w *walker) follow(at place, create bool) (place, Errno) {
	w.links++
	if w.links > linkMax || w.confine&ResolveNoLinks != 0 {
		return place{}, syscall.ELOOP
	}
	if at.node.jump != nil {
		switch {
		case w.confine&ResolveNoMagic != 0:
			return place{}, syscall.ELOOP
		case w.confine&(ResolveBeneath|ResolveInRoot) != 0:
			return place{}, syscall.EXDEV
		}
		node := at.node.jump()
		if node == nil {
			return place{}, syscall.ENOENT
		}
		return place{name: "/", node: node}, 0
	}
	target, errno := at.node.Readlink()
	if errno != 0 {
		return place{}, errno
	}
	if target == "" { // a damaged file system's, or a host's
		return place{}, syscall.ENOENT
	}
	return w.walk(at.dir, target, true, create)
}

// Lookup returns the node that a path leads to, from base if it is relative.
// follow says whether a symbolic link in the last place is followed; one with
// a slash behind it always is.
func (t *Tree) Lookup(base *Node, path string, follow bool) (*Node, Errno) {
	w := t.reader()
	defer w.done()
	at, errno := w.resolve(base, path, follow || endsInSlash(path))
	if errno != 0 {
		return nil, errno
	}
	return at.existing()
}

func endsInSlash(path string) bool { return path != "" && path[len(path)-1] == '/' }

// existing returns the node of a place, which must be a directory if the path
// said so.
func (p *place) existing() (*Node, Errno) {
	switch {
	case p.node == nil:
		return nil, syscall.ENOENT
	case p.slash && !p.node.IsDir():
		return nil, syscall.ENOTDIR
	}
	return p.node, 0
}

// Path returns the absolute path of a directory, or ENOENT if it was removed.
func (t *Tree) Path(dir *Node) (string, Errno) {
	w := t.reader()
	defer w.done()
	path := ""
	for n := dir; ; {
		for n.tree.mounted != nil && n == n.tree.root {
			n = n.tree.mounted.covers
		}
		if n == w.root {
			break
		}
		w.enter(n.tree)
		up := n.above()
		if n.removed || up == nil {
			return "", syscall.ENOENT
		}
		path = "/" + up.nameOf(n) + path
		n = up
	}
	if path == "" {
		path = "/"
	}
	return path, 0
}

// nameOf returns a child's name. The tree is locked.
func (n *Node) nameOf(child *Node) string {
	if at := child.at.Load(); at != nil && at.dir == n {
		return at.name
	}
	for _, e := range n.listing {
		if e.node == child {
			return e.name
		}
	}
	return "?"
}
