package linux

import (
	"sync"
	"syscall"

	"pith/kernel/fs"
	"pith/kernel/socket"
)

// inotify is an instance of inotify(7). Events come from the tree's observer.
type inotify struct {
	file
	inode uint64

	mu      sync.Mutex
	watches map[int32]*inotifyWatch
	last    int32
	queue   []byte // struct inotify_event, one behind the other
	ends    []int  // each event's size, in order
}

// inotifyWatch is one node that an instance watches.
type inotifyWatch struct {
	node *fs.Node
	mask uint32
	id   int32
	// own is what the program itself did where others may do so too, by name: see
	// lookOut. nil elsewhere.
	own map[string]uint32
}

// did notes what the program did. The caller holds the instance's mu.
func (w *inotifyWatch) did(name string, what uint32) {
	if w.own != nil {
		w.own[name] |= what
	}
}

// maxEvents is how many events an instance holds (max_queued_events).
const maxEvents = 16384

// Flags of inotify_add_watch(2) that package syscall has with other types.
const (
	inMaskAdd    = 0x20000000
	inMaskCreate = 0x10000000
	inDontFollow = syscall.IN_DONT_FOLLOW
	inOnlydir    = syscall.IN_ONLYDIR
	inOneshot    = 0x80000000
	inAllEvents  = syscall.IN_ALL_EVENTS
	inSelfEvents = syscall.IN_DELETE_SELF | syscall.IN_MOVE_SELF
	inExclUnlink = syscall.IN_EXCL_UNLINK
	inHeader     = syscall.SizeofInotifyEvent

	// inKnown is all that a mask may hold; one bit of it is needed.
	inKnown = inAllEvents | syscall.IN_UNMOUNT | syscall.IN_Q_OVERFLOW | syscall.IN_IGNORED | syscall.IN_ISDIR |
		inMaskAdd | inMaskCreate | inDontFollow | inOnlydir | inOneshot | inExclUnlink
	// inUses is events of open files, which may have no name any more.
	inUses = syscall.IN_ACCESS | syscall.IN_MODIFY | syscall.IN_CLOSE
)

// instances is all inotify instances.
var instances struct {
	mu   sync.Mutex
	all  map[*inotify]bool
	once sync.Once
}

func sysInotifyInit(call) (uintptr, Errno) { return newInotify(0) }

func sysInotifyInit1(c call) (uintptr, Errno) { return newInotify(c.a1) }

func newInotify(flags uintptr) (uintptr, Errno) {
	if flags&^(syscall.O_NONBLOCK|syscall.O_CLOEXEC) != 0 {
		return 0, syscall.EINVAL
	}
	i := &inotify{inode: nextInode(), watches: map[int32]*inotifyWatch{}}
	i.begin(i, syscall.O_RDONLY|flags, true)
	instances.mu.Lock()
	if instances.all == nil {
		instances.all = map[*inotify]bool{}
	}
	instances.all[i] = true
	instances.mu.Unlock()
	instances.once.Do(func() { tree.Observe(observe) })
	return install(&i.file, flags)
}

// observe hands a change in the tree to all instances.
func observe(e fs.Event) {
	instances.mu.Lock()
	list := make([]*inotify, 0, len(instances.all))
	for i := range instances.all {
		list = append(list, i)
	}
	instances.mu.Unlock()
	for _, i := range list {
		i.observe(e)
	}
}

// observe queues an event for each watch that it concerns: those of the node
// itself, and those of its directory with the node's name.
func (i *inotify) observe(e fs.Event) {
	i.mu.Lock()
	before := len(i.ends)
	what := e.Mask & inAllEvents
	// The directory hears of it before the file does, as on Linux.
	for _, w := range i.watches {
		if e.Dir != nil && w.node == e.Dir {
			w.did(e.Name, what)
		}
		if w.node == e.Node {
			w.did("", what)
		}
		if e.Dir != nil && w.node == e.Dir && what&inSelfEvents == 0 && what&w.mask != 0 && !w.ignores(e) {
			i.push(w, e.Mask, e.Cookie, e.Name)
			i.dropOneshot(w)
		}
	}
	for _, w := range i.watches {
		if w.node != e.Node {
			continue
		}
		if what&(syscall.IN_CREATE|syscall.IN_DELETE|syscall.IN_MOVE) == 0 && what&w.mask != 0 {
			i.push(w, e.Mask, e.Cookie, "")
			i.dropOneshot(w)
		}
		if what&syscall.IN_DELETE_SELF != 0 && i.watches[w.id] == w {
			i.drop(w)
		}
	}
	more := len(i.ends) > before
	i.mu.Unlock()
	if more {
		i.watch.notify(readable)
	}
}

// ignores reports whether a watch doesn't want to hear of files that have no name
// any more (IN_EXCL_UNLINK), and an event is of one.
func (w *inotifyWatch) ignores(e fs.Event) bool {
	return w.mask&inExclUnlink != 0 && e.Mask&inUses != 0 && e.Node != nil && e.Node.Links() == 0
}

// dropOneshot ends a watch that was for one event. The caller holds i.mu.
func (i *inotify) dropOneshot(w *inotifyWatch) {
	if w.mask&inOneshot != 0 {
		i.drop(w)
	}
}

// push queues an event, unless it is the same as the one before. The caller
// holds i.mu.
func (i *inotify) push(w *inotifyWatch, mask, cookie uint32, name string) {
	size := inHeader
	if name != "" {
		size += (len(name) + 1 + 15) &^ 15
	}
	e := make([]byte, size)
	store32(e, uint32(w.id))
	store32(e[4:], mask)
	store32(e[8:], cookie)
	store32(e[12:], uint32(size-inHeader))
	copy(e[inHeader:], name)
	if n := len(i.ends); n > 0 && string(i.queue[len(i.queue)-i.ends[n-1]:]) == string(e) {
		return
	}
	if len(i.ends) == maxEvents {
		i.overflow()
		return
	}
	if len(i.ends) > maxEvents {
		return
	}
	i.queue = append(i.queue, e...)
	i.ends = append(i.ends, size)
}

// overflow tells that events were lost. The caller holds i.mu.
func (i *inotify) overflow() {
	e := make([]byte, inHeader)
	store32(e, ^uint32(0))
	store32(e[4:], syscall.IN_Q_OVERFLOW)
	i.queue = append(i.queue, e...)
	i.ends = append(i.ends, inHeader)
}

// drop removes a watch, and tells so. The caller holds i.mu.
func (i *inotify) drop(w *inotifyWatch) {
	delete(i.watches, w.id)
	i.push(w, syscall.IN_IGNORED, 0, "")
}

func inotifyOf(fd uintptr) (*inotify, Errno) {
	f, errno := open(fd)
	if errno != 0 {
		return nil, errno
	}
	i, ok := f.object.(*inotify)
	if !ok {
		return nil, syscall.EINVAL
	}
	return i, 0
}

func sysInotifyAddWatch(c call) (uintptr, Errno) {
	i, errno := inotifyOf(c.a1)
	if errno != 0 {
		return 0, errno
	}
	mask := uint32(c.a3)
	if mask&inKnown == 0 || mask&(inMaskAdd|inMaskCreate) == inMaskAdd|inMaskCreate {
		return 0, syscall.EINVAL
	}
	flags := uintptr(0)
	if mask&inDontFollow != 0 {
		flags = atSymlinkNo
	}
	node, errno := c.node(cwd, c.a2, flags)
	switch {
	case errno != 0:
		return 0, errno
	case mask&inOnlydir != 0 && !node.IsDir():
		return 0, syscall.ENOTDIR
	}
	var seen map[string]glance
	if changedOutside(node) {
		if seen, errno = look(node); errno != 0 {
			return 0, errno
		}
	}
	return i.add(node, mask, seen)
}

// add watches a node, or changes what its watch is for. seen, if not nil, is what was there
// where others change it.
func (i *inotify) add(node *fs.Node, mask uint32, seen map[string]glance) (uintptr, Errno) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, w := range i.watches {
		if w.node != node {
			continue
		}
		switch {
		case mask&inMaskCreate != 0:
			return 0, syscall.EEXIST
		case mask&inMaskAdd != 0:
			w.mask |= mask
		default:
			w.mask = mask
		}
		return uintptr(w.id), 0
	}
	i.last++
	w := &inotifyWatch{node: node, mask: mask, id: i.last}
	i.watches[i.last] = w
	if seen != nil {
		w.own = map[string]uint32{}
		go i.lookOut(w, seen)
	}
	return uintptr(i.last), 0
}

func sysInotifyRmWatch(c call) (uintptr, Errno) {
	i, errno := inotifyOf(c.a1)
	if errno != 0 {
		return 0, errno
	}
	i.mu.Lock()
	w := i.watches[int32(c.a2)]
	if w != nil {
		i.drop(w)
	}
	i.mu.Unlock()
	if w == nil {
		return 0, syscall.EINVAL
	}
	i.watch.notify(readable)
	return 0, 0
}

func (i *inotify) read(p []byte) (int, Errno) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.ends) == 0 {
		return 0, syscall.EAGAIN
	}
	n, events := 0, 0
	for events < len(i.ends) && n+i.ends[events] <= len(p) {
		n += i.ends[events]
		events++
	}
	if events == 0 {
		return 0, syscall.EINVAL
	}
	copy(p, i.queue[:n])
	i.queue, i.ends = i.queue[n:], i.ends[events:]
	return n, 0
}

func (i *inotify) write([]byte) (int, Errno) { return 0, syscall.EBADF }

func (i *inotify) readiness() socket.Readiness {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.ends) > 0 {
		return readable
	}
	return 0
}

func (i *inotify) stat(st *syscall.Stat_t) Errno {
	anonymous(st, 0o600, i.inode)
	return 0
}

func (i *inotify) close() {
	instances.mu.Lock()
	delete(instances.all, i)
	instances.mu.Unlock()
	i.mu.Lock()
	clear(i.watches) // nobody looks out any more
	i.mu.Unlock()
}

func (i *inotify) ioctl(_ call, request uintptr, arg address) (uintptr, Errno) {
	if request != fionread {
		return 0, syscall.ENOTTY
	}
	i.mu.Lock()
	n := int32(len(i.queue))
	i.mu.Unlock()
	return 0, put(arg, &n)
}
