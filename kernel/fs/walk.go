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

// walker is one resolution of a path (path_resolution(7)).
type walker struct {
	tree  *Tree
	links int // symbolic links followed so far
}

// resolve walks a path from base. follow says whether a symbolic link in the
// last place is followed. The caller holds t.mu.
func (t *Tree) resolve(base *Node, path string, follow bool) (place, Errno) {
	return t.resolveAs(base, path, follow, false)
}

// resolveNew is resolve for a file that is to be made: see walk.
func (t *Tree) resolveNew(base *Node, path string, follow bool) (place, Errno) {
	return t.resolveAs(base, path, follow, true)
}

func (t *Tree) resolveAs(base *Node, path string, follow, create bool) (place, Errno) {
	if len(path) > pathMax {
		return place{}, syscall.ENAMETOOLONG
	}
	if path == "" {
		return place{}, syscall.ENOENT
	}
	w := walker{tree: t}
	return w.walk(base, path, follow, create)
}

// walk is resolve. create says that the last component is to be made, so that
// neither it nor the link that leads there may have a slash behind it (EISDIR).
func (w *walker) walk(base *Node, path string, follow, create bool) (place, Errno) {
	dir := base
	if path[0] == '/' {
		dir = w.tree.root
	}
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
		at = place{dir: dir, name: name, node: w.child(dir, name), slash: last && more != ""}
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
	}
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

// child returns a directory's entry, or nil.
func (w *walker) child(dir *Node, name string) *Node {
	switch {
	case name == ".":
		return dir
	case name == "..":
		return dir.parent
	case dir.dynamic != nil:
		return dir.dynamic.Lookup(name)
	}
	if e := dir.children[name]; e != nil {
		return e.node
	}
	return nil
}

// follow goes where a symbolic link leads.
func (w *walker) follow(at place, create bool) (place, Errno) {
	w.links++
	if w.links > linkMax {
		return place{}, syscall.ELOOP
	}
	if at.node.jump != nil {
		node := at.node.jump()
		if node == nil {
			return place{}, syscall.ENOENT
		}
		return place{name: "/", node: node}, 0
	}
	return w.walk(at.dir, at.node.target, true, create)
}

// Lookup returns the node that a path leads to, from base if it is relative.
// follow says whether a symbolic link in the last place is followed; one with
// a slash behind it always is.
func (t *Tree) Lookup(base *Node, path string, follow bool) (*Node, Errno) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	at, errno := t.resolve(base, path, follow || endsInSlash(path))
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
	t.mu.RLock()
	defer t.mu.RUnlock()
	if dir == t.root {
		return "/", 0
	}
	path := ""
	for n := dir; n != t.root; n = n.parent {
		if n.removed || n.parent == nil {
			return "", syscall.ENOENT
		}
		path = "/" + n.parent.nameOf(n) + path
	}
	return path, 0
}

// nameOf returns a child's name. The caller holds Tree.mu.
func (n *Node) nameOf(child *Node) string {
	for _, e := range n.listing {
		if e.node == child {
			return e.name
		}
	}
	return "?"
}
