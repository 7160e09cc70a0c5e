package linux

import (
	"sync"
	"syscall"
	"time"

	"pith/kernel/socket"
)

// epoll is an epoll instance that a program made itself (epoll(7)). The Go
// runtime's own is in the lower half.
//
// Lock order: epoll.mu is taken inside the locks of whatever calls notify, so
// nothing that it guards may be done with a watched file's methods.
type epoll struct {
	file
	inode uint64

	mu    sync.Mutex
	items map[epollKey]*epollItem
	ready []*epollItem // may have events to report, in order of arrival
}

// epollKey is what a registration is known by.
type epollKey struct {
	fd   uint32
	file *file
}

// epollItem is one registration. It is a watcher of its file.
type epollItem struct {
	epoll *epoll
	key   epollKey

	// Guarded by epoll.mu:
	events uint32 // what is asked for; 0 after EPOLLONESHOT fired
	data   uint64
	queued bool // in epoll.ready
	gone   bool
}

// Flags of epoll_ctl(2) that package syscall has with other types.
const (
	epollET        = 1 << 31
	epollOneShot   = 1 << 30
	epollWakeup    = 1 << 29
	epollExclusive = 1 << 28
	epollFlags     = epollET | epollOneShot | epollWakeup | epollExclusive
	epollAlways    = syscall.EPOLLERR | syscall.EPOLLHUP
)

func sysEpollCreate(c call) (uintptr, Errno) {
	if int32(c.a1) <= 0 {
		return 0, syscall.EINVAL
	}
	return newEpoll(0)
}

func sysEpollCreate1(c call) (uintptr, Errno) {
	if c.a1&^syscall.O_CLOEXEC != 0 {
		return 0, syscall.EINVAL
	}
	return newEpoll(c.a1)
}

func newEpoll(flags uintptr) (uintptr, Errno) {
	e := &epoll{inode: nextInode(), items: map[epollKey]*epollItem{}}
	e.begin(e, syscall.O_RDWR, true)
	return install(&e.file, flags)
}

func epollOf(fd uintptr) (*epoll, Errno) {
	f, errno := open(fd)
	if errno != 0 {
		return nil, errno
	}
	e, ok := f.object.(*epoll)
	if !ok {
		return nil, syscall.EINVAL
	}
	return e, 0
}

func sysEpollCtl(c call) (uintptr, Errno) {
	var want, data = uint32(0), uint64(0)
	if c.a2 != syscall.EPOLL_CTL_DEL {
		event, errno := get[epollEvent](c.address(c.a4))
		if errno != 0 {
			return 0, errno
		}
		want, data = load32(event[:]), load64(event[epollDataAt:])
	}
	e, errno := epollOf(c.a1)
	f, errnoTarget := usable(c.a3)
	switch {
	case errno == syscall.EBADF || errnoTarget != 0:
		return 0, syscall.EBADF
	case !f.pollable:
		return 0, syscall.EPERM
	case errno != 0 || f == &e.file:
		return 0, syscall.EINVAL
	}
	if errno := e.exclusive(c.a2, want, f); errno != 0 {
		return 0, errno
	}
	key := epollKey{uint32(c.a3), f}
	switch c.a2 {
	case syscall.EPOLL_CTL_ADD:
		return 0, e.add(key, want, data)
	case syscall.EPOLL_CTL_MOD:
		return 0, e.modify(key, want, data)
	case syscall.EPOLL_CTL_DEL:
		return 0, e.delete(key)
	}
	return 0, syscall.EINVAL
}

// exclusive checks the use of EPOLLEXCLUSIVE: for a new registration, of a file
// that is no epoll instance, without EPOLLONESHOT and rarer events.
func (e *epoll) exclusive(op uintptr, want uint32, f *file) Errno {
	const allowed = syscall.EPOLLIN | syscall.EPOLLOUT | epollAlways | epollWakeup | epollET | epollExclusive
	if want&epollExclusive == 0 {
		return 0
	}
	if _, nested := f.object.(*epoll); nested || op != syscall.EPOLL_CTL_ADD || want&^allowed != 0 {
		return syscall.EINVAL
	}
	return 0
}

// nesting is held while an instance is added to another: two such additions at
// once could close a loop that neither sees.
var nesting sync.Mutex

func (e *epoll) add(key epollKey, want uint32, data uint64) Errno {
	if other, ok := key.file.object.(*epoll); ok {
		nesting.Lock()
		defer nesting.Unlock()
		if other.reaches(e, 0) {
			return syscall.ELOOP
		}
	}
	item := &epollItem{epoll: e, key: key, events: want | epollAlways, data: data}
	e.mu.Lock()
	if e.items[key] != nil {
		e.mu.Unlock()
		return syscall.EEXIST
	}
	e.items[key] = item
	e.mu.Unlock()
	key.file.watch.add(item)
	item.notify(anything) // what is ready now counts as an edge
	return 0
}

// reaches reports whether e watches, however indirectly, target; chains of
// more than five instances count as loops, as on Linux.
func (e *epoll) reaches(target *epoll, depth int) bool {
	if e == target || depth > 3 {
		return true
	}
	e.mu.Lock()
	var below []*epoll
	for key := range e.items {
		if other, ok := key.file.object.(*epoll); ok {
			below = append(below, other)
		}
	}
	e.mu.Unlock()
	for _, other := range below {
		if other.reaches(target, depth+1) {
			return true
		}
	}
	return false
}

func (e *epoll) modify(key epollKey, want uint32, data uint64) Errno {
	e.mu.Lock()
	item := e.items[key]
	fixed := item != nil && item.events&epollExclusive != 0
	if item != nil && !fixed {
		item.events, item.data = want|epollAlways, data
	}
	e.mu.Unlock()
	switch {
	case item == nil:
		return syscall.ENOENT
	case fixed:
		return syscall.EINVAL
	}
	item.notify(anything)
	return 0
}

func (e *epoll) delete(key epollKey) Errno {
	e.mu.Lock()
	item := e.items[key]
	if item != nil {
		delete(e.items, key)
		item.gone = true
	}
	e.mu.Unlock()
	if item == nil {
		return syscall.ENOENT
	}
	key.file.watch.remove(item)
	return 0
}

// drop removes a registration whose file is closed.
func (i *epollItem) drop() { i.epoll.delete(i.key) }

// notify puts the registration among those that may have something to report.
func (i *epollItem) notify(r socket.Readiness) {
	e := i.epoll
	e.mu.Lock()
	concerned := !i.gone && uint32(r)&i.events != 0
	if concerned && !i.queued {
		i.queued = true
		e.ready = append(e.ready, i)
	}
	e.mu.Unlock()
	if concerned {
		e.watch.notify(readable)
	}
}

// collect fills events with what there is to report and returns how many.
func (e *epoll) collect(events []byte) int {
	e.mu.Lock()
	queue := e.ready
	e.ready = nil
	for _, item := range queue {
		item.queued = false
	}
	e.mu.Unlock()
	n := 0
	for at, item := range queue {
		if (n+1)*epollEventSize > len(events) {
			e.requeue(queue[at:])
			break
		}
		if item.report(events[n*epollEventSize:]) {
			n++
		}
	}
	return n
}

// requeue puts registrations back that were not looked at.
func (e *epoll) requeue(items []*epollItem) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, item := range items {
		if !item.queued && !item.gone {
			item.queued = true
			e.ready = append(e.ready, item)
		}
	}
}

// report writes an event, if there is one, and reports whether it did.
func (i *epollItem) report(event []byte) bool {
	now := uint32(i.key.file.readiness())
	e := i.epoll
	e.mu.Lock()
	defer e.mu.Unlock()
	now &= i.events
	if i.gone || now == 0 {
		return false
	}
	store32(event, now)
	store64(event[epollDataAt:], i.data)
	switch {
	case i.events&epollOneShot != 0:
		i.events = 0
	case i.events&epollET == 0 && !i.queued: // level: look at it again next time
		i.queued = true
		e.ready = append(e.ready, i)
	}
	return true
}

func sysEpollWait(c call) (uintptr, Errno) {
	wait := forever
	if ms := int32(c.a4); ms >= 0 {
		wait = time.Duration(ms) * time.Millisecond
	}
	return c.epollWait(wait)
}

func sysEpollPwait2(c call) (uintptr, Errno) {
	wait := forever
	if c.a4 != 0 {
		ts, errno := get[syscall.Timespec](c.address(c.a4))
		switch {
		case errno != 0:
			return 0, errno
		case !validTime(ts):
			return 0, syscall.EINVAL
		}
		wait = duration(ts)
	}
	return c.epollWait(wait)
}

// forever is a time-out that never ends.
const forever = time.Duration(-1)

func (c call) epollWait(wait time.Duration) (uintptr, Errno) {
	e, errno := epollOf(c.a1)
	if errno != 0 {
		return 0, errno
	}
	most := int32(c.a3)
	if most <= 0 || int(most) > maxTransfer/epollEventSize {
		return 0, syscall.EINVAL
	}
	out := c.address(c.a2)
	if !out.writable(uintptr(most) * epollEventSize) {
		return 0, syscall.EFAULT
	}
	b := newBounce(out, min(uintptr(most)*epollEventSize, bounceSize))
	events := b.data[:min(int(most)*epollEventSize, len(b.data))]
	n := e.collect(events)
	if n == 0 && wait != 0 {
		n = e.await(events, wait)
	}
	b.deliver(n * epollEventSize)
	return uintptr(n), 0
}

// await is collect that waits.
func (e *epoll) await(events []byte, wait time.Duration) (n int) {
	w := newWaiter()
	e.watch.add(w)
	defer e.watch.remove(w)
	var late <-chan time.Time
	if wait != forever {
		t := time.NewTimer(wait)
		defer t.Stop()
		late = t.C
	}
	for {
		if n = e.collect(events); n > 0 || e.closed.Load() {
			return n
		}
		select {
		case <-w.woken:
		case <-late:
			return 0
		}
	}
}

func (e *epoll) read([]byte) (int, Errno)  { return 0, syscall.EINVAL }
func (e *epoll) write([]byte) (int, Errno) { return 0, syscall.EINVAL }

func (e *epoll) readiness() socket.Readiness {
	e.mu.Lock()
	queue := e.ready[:len(e.ready):len(e.ready)]
	e.mu.Unlock()
	for _, item := range queue {
		now := uint32(item.key.file.readiness())
		e.mu.Lock()
		wanted := !item.gone && now&item.events != 0
		e.mu.Unlock()
		if wanted {
			return readable
		}
	}
	return 0
}

func (e *epoll) stat(st *syscall.Stat_t) Errno {
	anonymous(st, 0o600, e.inode)
	return 0
}

func (e *epoll) close() {
	e.mu.Lock()
	var items []*epollItem
	for _, item := range e.items {
		item.gone = true
		items = append(items, item)
	}
	e.items, e.ready = nil, nil
	e.mu.Unlock()
	for _, item := range items {
		item.key.file.watch.remove(item)
	}
}
