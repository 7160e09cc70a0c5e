package linux

import (
	"slices"
	"sync"
	"sync/atomic"

	"pith/kernel/socket"
)

// watcher is told of changes of readiness. notify may be called with the
// locks of whatever changed held: it must not call that, block or allocate.
// It may be called without cause.
type watcher interface {
	notify(r socket.Readiness)
}

// watchers hands changes of readiness on: to the Go runtime's poller by
// descriptor number, to epoll instances, to goroutines that wait.
type watchers struct {
	fd   atomic.Int32              // first descriptor's number plus 1, or 0
	list atomic.Pointer[[]watcher] // the others; never changed in place

	mu sync.Mutex // held to replace list
}

// notify tells all watchers. It takes no lock of its own.
func (w *watchers) notify(r socket.Readiness) {
	if fd := w.fd.Load(); fd != 0 {
		poller.Ready(fd-1, uint32(r))
	}
	list := w.list.Load()
	if list == nil {
		return
	}
	for _, other := range *list {
		other.notify(r)
	}
}

func (w *watchers) add(other watcher) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []watcher
	if old := w.list.Load(); old != nil {
		if slices.Contains(*old, other) {
			return
		}
		list = slices.Clone(*old)
	}
	list = append(list, other)
	w.list.Store(&list)
}

func (w *watchers) remove(other watcher) {
	w.mu.Lock()
	defer w.mu.Unlock()
	old := w.list.Load()
	if old == nil {
		return
	}
	list := slices.DeleteFunc(slices.Clone(*old), func(o watcher) bool { return o == other })
	if len(list) == 0 {
		w.list.Store(nil)
		return
	}
	w.list.Store(&list)
}

// notifyOnce tells all watchers and forgets them.
func (w *watchers) notifyOnce(r socket.Readiness) {
	if w.list.Load() == nil {
		return
	}
	w.mu.Lock()
	list := w.list.Swap(nil)
	w.mu.Unlock()
	if list == nil {
		return
	}
	for _, other := range *list {
		other.notify(r)
	}
}

// descriptor is a watcher: the runtime's poller, for a further descriptor of
// the same file.
type descriptor int32

func (d descriptor) notify(r socket.Readiness) { poller.Ready(int32(d), uint32(r)) }

func (w *watchers) addDescriptor(fd int32) {
	if !w.fd.CompareAndSwap(0, fd+1) {
		w.add(descriptor(fd))
	}
}

func (w *watchers) removeDescriptor(fd int32) {
	if !w.fd.CompareAndSwap(fd+1, 0) {
		w.remove(descriptor(fd))
	}
}

// close wakes all watchers for good. Those that watch from an epoll instance
// drop the file.
func (w *watchers) close() {
	list := w.list.Load()
	if list == nil {
		return
	}
	for _, other := range *list {
		if item, ok := other.(*epollItem); ok {
			item.drop()
			continue
		}
		other.notify(anything)
	}
}

// waiter is a goroutine that waits.
type waiter struct{ woken chan struct{} }

func newWaiter() *waiter { return &waiter{make(chan struct{}, 1)} }

func (w *waiter) notify(socket.Readiness) {
	select {
	case w.woken <- struct{}{}:
	default:
	}
}
