package fs

import "syscall"

// Flags of Open that package syscall lacks.
const (
	OPath    = 0x200000
	OTmpfile = 0x400000 | syscall.O_DIRECTORY
)

// Opened is what Open found or made.
type Opened struct {
	Node    *Node
	Dir     *Node  // the directory of the entry, or nil
	Name    string // the entry's name
	Created bool
}

// Open finds the node that a path leads to or, with O_CREAT, makes a regular
// file there, with the given permission bits; it then does what O_EXCL,
// O_TRUNC, O_DIRECTORY, O_NOFOLLOW, O_PATH and O_TMPFILE ask for. It looks at
// no other flag but the access mode.
func (t *Tree) Open(base *Node, path string, flags int, mode uint32) (Opened, Errno) {
	return t.OpenConfined(base, path, flags, mode, 0)
}

// OpenConfined is Open with limits to where the path may lead: Resolve... flags.
func (t *Tree) OpenConfined(base *Node, path string, flags int, mode uint32, confine uint64) (Opened, Errno) {
	if confine&^resolveAll != 0 || confine&(ResolveBeneath|ResolveInRoot) == ResolveBeneath|ResolveInRoot {
		return Opened{}, syscall.EINVAL
	}
	if confine&ResolveCached != 0 && flags&(syscall.O_CREAT|syscall.O_TRUNC|OTmpfile&^syscall.O_DIRECTORY) != 0 {
		return Opened{}, syscall.EAGAIN
	}
	if flags&OPath != 0 {
		flags &= OPath | syscall.O_DIRECTORY | syscall.O_NOFOLLOW
	}
	if flags&OTmpfile == OTmpfile {
		return t.openTemporary(base, path, flags, mode, confine)
	}
	var o Opened
	var errno Errno
	if flags&syscall.O_CREAT != 0 {
		o, errno = t.create(base, path, flags, mode, confine)
	} else {
		o, errno = t.find(base, path, flags, confine)
	}
	if errno == 0 {
		errno = o.allowed(flags)
	}
	if errno != 0 {
		return Opened{}, errno
	}
	if o.Created && o.Dir != nil {
		t.Emit(Event{Node: o.Node, Dir: o.Dir, Name: o.Name, Mask: syscall.IN_CREATE})
	}
	return o, o.truncate(flags)
}

// find is Open without O_CREAT.
func (t *Tree) find(base *Node, path string, flags int, confine uint64) (Opened, Errno) {
	w := t.reader()
	w.limit(base, confine)
	defer w.done()
	follow := flags&syscall.O_NOFOLLOW == 0 || endsInSlash(path)
	at, errno := w.resolve(base, path, follow)
	if errno != 0 {
		return Opened{}, errno
	}
	node, errno := at.existing()
	return Opened{Node: node, Dir: at.dir, Name: at.name}, errno
}

// create is Open with O_CREAT.
func (t *Tree) create(base *Node, path string, flags int, mode uint32, confine uint64) (Opened, Errno) {
	w := t.writer()
	w.limit(base, confine)
	defer w.done()
	exclusive := flags&syscall.O_EXCL != 0
	at, errno := w.resolveNew(base, path, !exclusive && flags&syscall.O_NOFOLLOW == 0)
	switch {
	case errno != 0:
		return Opened{}, errno
	case at.node != nil && exclusive:
		return Opened{}, syscall.EEXIST
	case at.node != nil && at.node.IsDir():
		return Opened{}, syscall.EISDIR
	case at.node != nil:
		return Opened{Node: at.node, Dir: at.dir, Name: at.name}, 0
	}
	if errno := at.dir.accepts(); errno != 0 {
		return Opened{}, errno
	}
	node := t.NewNode(syscall.S_IFREG|mode&0o7777, 0)
	if errno := at.dir.put(at.name, node); errno != 0 {
		return Opened{}, errno
	}
	return Opened{Node: node, Dir: at.dir, Name: at.name, Created: true}, 0
}

// openTemporary is Open with O_TMPFILE: a file without a name.
func (t *Tree) openTemporary(base *Node, path string, flags int, mode uint32, confine uint64) (Opened, Errno) {
	if flags&syscall.O_ACCMODE == syscall.O_RDONLY {
		return Opened{}, syscall.EINVAL
	}
	found, errno := t.find(base, path, flags&^syscall.O_NOFOLLOW, confine)
	dir := found.Node
	switch {
	case errno != 0:
		return Opened{}, errno
	case !dir.IsDir():
		return Opened{}, syscall.ENOTDIR
	case dir.real != nil:
		return Opened{}, syscall.EOPNOTSUPP
	}
	node := t.NewUnnamed(mode)
	node.unnameable = flags&syscall.O_EXCL != 0
	return Opened{Node: node, Created: true}, 0
}

// NewUnnamed returns a regular file that has no name and may never get one.
// Its data is given back by its last Release.
func (t *Tree) NewUnnamed(mode uint32) *Node {
	node := t.NewNode(syscall.S_IFREG|mode&0o7777, 0)
	node.links = 0
	return node
}

// allowed checks a node against the flags that it is to be opened with.
func (o *Opened) allowed(flags int) Errno {
	writes := flags&syscall.O_ACCMODE != syscall.O_RDONLY || flags&syscall.O_TRUNC != 0
	switch n := o.Node; {
	case flags&syscall.O_DIRECTORY != 0 && !n.IsDir():
		return syscall.ENOTDIR
	case flags&OPath != 0:
		return 0
	case n.IsLink():
		return syscall.ELOOP
	case n.IsDir() && writes:
		return syscall.EISDIR
	case n.format == syscall.S_IFSOCK:
		return syscall.ENXIO
	case n.source != nil && writes:
		return syscall.EACCES
	case writes && n.IsRegular() && n.readOnly():
		return syscall.EROFS
	}
	return 0
}

// truncate does what O_TRUNC asks for.
func (o *Opened) truncate(flags int) Errno {
	if flags&syscall.O_TRUNC == 0 || o.Created || !o.Node.IsRegular() {
		return 0
	}
	return o.Node.Truncate(0)
}

// limit makes the walk a confined one.
func (w *walker) limit(base *Node, confine uint64) {
	if confine == 0 {
		return
	}
	w.confine, w.start = confine, base
	if confine&ResolveInRoot != 0 {
		w.root = base
	}
}
