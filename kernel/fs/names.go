package fs

import (
	"sort"
	"syscall"
	"time"
)

// entry is one name in a directory.
type entry struct {
	name   string
	node   *Node
	cookie int64 // position for readers; grows with each entry made
	dir    *Node
}

// enter gives a node a name. The tree is locked.
func (n *Node) enter(name string, node *Node) {
	n.cookie++
	e := &entry{name: name, node: node, cookie: n.cookie, dir: n}
	node.at.Store(e)
	n.children[name] = e
	n.listing = append(n.listing, e)
	if node.IsDir() {
		node.parent = n
		n.addLinks(1)
	}
	n.touch()
}

// remove takes a name away. The tree is locked.
func (n *Node) remove(name string) {
	e := n.children[name]
	delete(n.children, name)
	i := n.position(e.cookie)
	n.listing = append(n.listing[:i], n.listing[i+1:]...)
	if e.node.IsDir() {
		n.addLinks(-1)
	}
	n.touch()
}

// put gives a fresh node its first name. The tree is locked.
func (n *Node) put(name string, node *Node) Errno {
	node.inherit(n)
	node.tree = n.tree
	if n.real != nil {
		return n.putReal(name, node)
	}
	n.enter(name, node)
	return 0
}

// link gives a node another name. The tree is locked.
func (n *Node) link(name string, node *Node) Errno {
	if n.real != nil {
		return n.real.Link(name, node.real)
	}
	node.addLinks(1)
	n.enter(name, node)
	return 0
}

// unlink takes a place's name away. The tree is locked.
func (n *Node) unlink(at *place) Errno {
	if n.real != nil {
		return n.real.Unlink(at.name, at.node.IsDir())
	}
	n.remove(at.name)
	return 0
}

// lose takes that many from the count of names and returns what is left. For
// a mounted file system's node, that has done it already.
func (n *Node) lose(names int) uint32 {
	if n.real != nil {
		n.expel()
		return n.Links()
	}
	return n.addLinks(-names)
}

// position returns the index of the first entry with that cookie or a later
// one.
func (n *Node) position(cookie int64) int {
	return sort.Search(len(n.listing), func(i int) bool { return n.listing[i].cookie >= cookie })
}

// empty reports whether a directory may go: it has no entries. The tree is
// locked.
func (n *Node) empty() bool {
	n.filled()
	return len(n.listing) == 0 && n.dynamic == nil
}

// vacant resolves a path at which something is to be made, as Linux's
// filename_create does.
func (w *walker) vacant(base *Node, path string, directory bool) (place, Errno) {
	at, errno := w.resolve(base, path, false)
	switch {
	case errno != 0:
		return at, errno
	case at.special() || at.node != nil:
		return at, syscall.EEXIST
	case at.slash && !directory:
		return at, syscall.ENOENT
	}
	return at, at.dir.accepts()
}

// accepts says whether entries can be made in a directory.
func (n *Node) accepts() Errno {
	switch {
	case n.removed:
		return syscall.ENOENT
	case n.dynamic != nil:
		return syscall.EPERM
	case n.tree.mounted != nil && n.tree.mounted.system == nil:
		return syscall.ENOENT // as in Linux's /proc
	case n.readOnly():
		return syscall.EROFS
	}
	return 0
}

// Make puts a fresh node (see NewNode) at a path.
func (t *Tree) Make(base *Node, path string, node *Node) Errno {
	w := t.writer()
	at, errno := w.vacant(base, path, node.IsDir())
	if errno == 0 {
		errno = at.dir.put(at.name, node)
	}
	w.done()
	if errno == 0 {
		t.Emit(Event{Node: node, Dir: at.dir, Name: at.name, Mask: syscall.IN_CREATE})
	}
	return errno
}

// Mkdir makes a directory with the given permission bits.
func (t *Tree) Mkdir(base *Node, path string, mode uint32) Errno {
	return t.Make(base, path, t.NewNode(syscall.S_IFDIR|mode&0o1777, 0))
}

// Symlink makes a symbolic link.
func (t *Tree) Symlink(target string, base *Node, path string) Errno {
	switch {
	case target == "":
		return syscall.ENOENT
	case len(target) > pathMax:
		return syscall.ENAMETOOLONG
	}
	return t.Make(base, path, t.NewLink(target))
}

// Link gives a node another name. Directories get none (EPERM), nor does a
// node whose last name is gone (ENOENT), unless it never had one and revive
// is set.
func (t *Tree) Link(node *Node, base *Node, path string, revive bool) Errno {
	w := t.writer()
	at, errno := w.vacant(base, path, false)
	switch {
	case errno != 0:
	case node.IsDir():
		errno = syscall.EPERM
	case at.dir.tree != node.tree, node.sealed.Load():
		errno = syscall.EXDEV
	case node.Links() == 0 && (!revive || node.unnameable):
		errno = syscall.ENOENT
	default:
		errno = at.dir.link(at.name, node)
	}
	w.done()
	if errno == 0 {
		t.Emit(Event{Node: node, Dir: at.dir, Name: at.name, Mask: syscall.IN_CREATE})
	}
	return errno
}

// Unlink takes a name that is no directory's away.
func (t *Tree) Unlink(base *Node, path string) Errno {
	w := t.writer()
	at, errno := w.resolve(base, path, false)
	if errno == 0 {
		errno = at.unlinkable()
	}
	if errno == 0 {
		errno = at.dir.unlink(&at)
	}
	w.done()
	if errno != 0 {
		return errno
	}
	left := at.node.lose(1)
	t.Emit(Event{Node: at.node, Mask: syscall.IN_ATTRIB})
	if left == 0 && !at.node.held() {
		t.Emit(Event{Node: at.node, Mask: syscall.IN_DELETE_SELF})
	}
	t.Emit(Event{Node: at.node, Dir: at.dir, Name: at.name, Mask: syscall.IN_DELETE})
	return 0
}

func (p *place) unlinkable() Errno {
	switch {
	case p.special():
		return syscall.EISDIR
	case p.node == nil:
		return syscall.ENOENT
	case p.node.IsDir():
		return syscall.EISDIR
	case p.slash:
		return syscall.ENOTDIR
	case p.node.readOnly():
		return syscall.EROFS
	}
	return p.dir.accepts()
}

// Rmdir takes an empty directory away.
func (t *Tree) Rmdir(base *Node, path string) Errno {
	w := t.writer()
	at, errno := w.resolve(base, path, false)
	if errno == 0 {
		errno = at.removable()
	}
	if errno == 0 {
		errno = at.dir.unlink(&at)
	}
	if errno == 0 {
		at.node.removed = true
	}
	w.done()
	if errno != 0 {
		return errno
	}
	at.node.lose(2)
	t.Emit(Event{Node: at.node, Mask: syscall.IN_DELETE_SELF})
	t.Emit(Event{Node: at.node, Dir: at.dir, Name: at.name, Mask: syscall.IN_DELETE})
	return 0
}

func (p *place) removable() Errno {
	switch {
	case p.name == ".":
		return syscall.EINVAL
	case p.name == "..":
		return syscall.ENOTEMPTY
	case p.name == "/" || p.busy():
		return syscall.EBUSY
	case p.node == nil:
		return syscall.ENOENT
	case !p.node.IsDir():
		return syscall.ENOTDIR
	case !p.node.empty():
		return syscall.ENOTEMPTY
	case p.node.readOnly():
		return syscall.EROFS
	}
	return p.dir.accepts()
}

// Flags of Rename (renameat2(2)).
const (
	RenameNoReplace = 1
	RenameExchange  = 2
)

// Rename moves an entry, or exchanges two.
func (t *Tree) Rename(oldBase *Node, oldPath string, newBase *Node, newPath string, flags uint) Errno {
	if flags&^(RenameNoReplace|RenameExchange) != 0 || flags == RenameNoReplace|RenameExchange {
		return syscall.EINVAL
	}
	w := t.writer()
	from, to, errno := w.resolveTwo(oldBase, oldPath, newBase, newPath)
	if errno == 0 {
		errno = t.movable(&from, &to, flags)
	}
	if errno != 0 || from.node == to.node {
		w.done()
		return errno
	}
	errno = move(&from, &to, flags)
	w.done()
	if errno != 0 {
		return errno
	}
	t.moved(&from, &to, flags)
	return 0
}

// resolveTwo resolves what Rename moves and where to. The lock may have been
// another tree's in between, so the first place is looked at once more.
func (w *walker) resolveTwo(oldBase *Node, oldPath string, newBase *Node, newPath string) (from, to place, errno Errno) {
	if from, errno = w.resolveLong(oldBase, oldPath); errno != 0 {
		return from, to, errno
	}
	if to, errno = w.resolveLong(newBase, newPath); errno != 0 {
		return from, to, errno
	}
	switch {
	case from.dir == nil || to.dir == nil || from.special() || from.long:
		return from, to, 0
	case from.dir.tree != to.dir.tree:
		return from, to, syscall.EXDEV
	}
	w.enter(from.dir.tree)
	if from.node, errno = w.child(from.dir, from.name); errno == 0 && !to.special() && !to.long {
		to.node, errno = w.child(to.dir, to.name)
	}
	return from, to, errno
}

// resolveLong is resolve without following, and without an error for a last
// name that is too long: what else is wrong comes first.
func (w *walker) resolveLong(base *Node, path string) (place, Errno) {
	at, errno := w.resolve(base, path, false)
	if at.long {
		return at, 0
	}
	return at, errno
}

// movable checks what rename(2) demands, in Linux's order.
func (t *Tree) movable(from, to *place, flags uint) Errno {
	switch exchange := flags&RenameExchange != 0; {
	case from.special() || from.busy() || to.busy():
		return syscall.EBUSY
	case to.special() && flags&RenameNoReplace != 0:
		return syscall.EEXIST
	case to.special():
		return syscall.EBUSY
	case from.long:
		return syscall.ENAMETOOLONG
	case from.node == nil:
		return syscall.ENOENT
	case to.long:
		return syscall.ENAMETOOLONG
	case to.node != nil && flags&RenameNoReplace != 0:
		return syscall.EEXIST
	case to.node == nil && exchange:
		return syscall.ENOENT
	case exchange && !to.node.IsDir() && to.slash:
		return syscall.ENOTDIR
	case !from.node.IsDir() && (from.slash || !exchange && to.slash):
		return syscall.ENOTDIR
	case from.node.contains(to.dir):
		return syscall.EINVAL
	case to.node != nil && to.node.contains(from.dir) && exchange:
		return syscall.EINVAL
	case to.node != nil && to.node.contains(from.dir):
		return syscall.ENOTEMPTY
	case from.node == to.node:
		return 0
	}
	if from.node.readOnly() || to.node != nil && to.node.readOnly() {
		return syscall.EROFS
	}
	if errno := from.dir.accepts(); errno != 0 {
		return errno
	}
	if errno := to.dir.accepts(); errno != 0 {
		return errno
	}
	if to.node == nil || flags&RenameExchange != 0 {
		return 0
	}
	switch {
	case from.node.IsDir() && !to.node.IsDir():
		return syscall.ENOTDIR
	case !from.node.IsDir() && to.node.IsDir():
		return syscall.EISDIR
	case to.node.IsDir() && !to.node.empty():
		return syscall.ENOTEMPTY
	}
	return 0
}

// contains reports whether dir is the directory n or lies below it.
func (n *Node) contains(dir *Node) bool {
	if !n.IsDir() {
		return false
	}
	for dir != nil {
		up := dir.above()
		if dir == n {
			return true
		}
		if up == dir {
			return false
		}
		dir = up
	}
	return false
}

// move does a rename that movable allowed. The tree is locked.
func move(from, to *place, flags uint) Errno {
	exchange := flags&RenameExchange != 0
	if from.dir.real != nil {
		return moveReal(from, to, exchange)
	}
	from.dir.remove(from.name)
	if to.node != nil {
		to.dir.remove(to.name)
	}
	to.dir.enter(to.name, from.node)
	switch {
	case to.node == nil:
	case exchange:
		from.dir.enter(from.name, to.node)
	case to.node.IsDir():
		to.node.removed = true
		to.node.addLinks(-2)
	default:
		to.node.addLinks(-1)
	}
	from.node.addLinks(0) // its change time
	return 0
}

// moved tells the observer about a rename.
func (t *Tree) moved(from, to *place, flags uint) {
	if t.home.hook.Load() == nil {
		return
	}
	cookie := uint32(t.home.inode.Add(1))
	t.Emit(Event{Node: from.node, Dir: from.dir, Name: from.name, Mask: syscall.IN_MOVED_FROM, Cookie: cookie})
	t.Emit(Event{Node: from.node, Dir: to.dir, Name: to.name, Mask: syscall.IN_MOVED_TO, Cookie: cookie})
	replaced := to.node != nil && flags&RenameExchange == 0
	if replaced {
		t.Emit(Event{Node: to.node, Mask: syscall.IN_ATTRIB})
	}
	t.Emit(Event{Node: from.node, Mask: syscall.IN_MOVE_SELF})
	if replaced && to.node.Links() == 0 && !to.node.held() {
		t.Emit(Event{Node: to.node, Mask: syscall.IN_DELETE_SELF})
	}
}

// Entry is one name that ReadDir tells of.
type Entry struct {
	Name   string
	Inode  uint64
	Format uint32 // the node's type, syscall.S_IF...
	Next   int64  // position behind this entry
}

// ReadDir calls f for each entry behind position pos, "." and ".." first,
// until f returns false. f must not call the tree. A directory that was
// removed has no entries any more (ENOENT).
func (t *Tree) ReadDir(dir *Node, pos int64, f func(Entry) bool) Errno {
	if dir.dynamic != nil {
		return t.readDynamic(dir, pos, f)
	}
	w := t.reader()
	defer w.done()
	up := w.parent(dir)
	w.enter(dir.tree)
	if dir.removed {
		return syscall.ENOENT
	}
	if pos < 1 && !f(Entry{".", dir.inode, syscall.S_IFDIR, 1}) {
		return 0
	}
	if pos < 2 && !f(Entry{"..", up.inode, syscall.S_IFDIR, 2}) {
		return 0
	}
	if dir.real != nil {
		return dir.real.ReadDir(pos, f)
	}
	dir.filled()
	dir.read()
	for _, e := range dir.listing[dir.position(max(pos, 2)-1):] {
		if !f(Entry{e.name, e.node.inode, e.node.format, e.cookie + 2}) {
			break
		}
	}
	return 0
}

// read sets a directory's time of access: see access.
func (n *Node) read() {
	n.mu.Lock()
	if n.accessed.Compare(n.modified) <= 0 {
		n.accessed = time.Now()
	}
	n.mu.Unlock()
}

// readDynamic is ReadDir for a generated directory: positions count entries.
func (t *Tree) readDynamic(dir *Node, pos int64, f func(Entry) bool) Errno {
	names := append([]string{".", ".."}, dir.dynamic.List()...)
	for i, name := range names {
		if int64(i) < pos {
			continue
		}
		e := Entry{name, dir.inode, syscall.S_IFDIR, int64(i) + 1}
		if i >= 2 {
			node := dir.dynamic.Lookup(name)
			if node == nil { // gone since it was listed
				continue
			}
			e.Inode, e.Format = node.inode, node.format
		}
		if !f(e) {
			break
		}
	}
	return 0
}
