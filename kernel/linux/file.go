package linux

import (
	"sync/atomic"
	"syscall"
	"time"

	"pith/kernel/socket"
)

// Readiness bits, as epoll counts them.
const (
	readable = socket.Readiness(syscall.EPOLLIN)
	writable = socket.Readiness(syscall.EPOLLOUT)
	hungUp   = socket.Readiness(syscall.EPOLLHUP)
	broken   = socket.Readiness(syscall.EPOLLERR)
	peerDone = socket.Readiness(syscall.EPOLLRDHUP)
	anything = readable | writable | hungUp | broken | peerDone
)

// object is what an open file stands for. None of its methods blocks: read and
// write return EAGAIN where they would have to, and the object calls
// file.watch.notify when it is worth another try.
type object interface {
	read(p []byte) (int, Errno)
	write(p []byte) (int, Errno)
	// readiness says what could be done right now.
	readiness() socket.Readiness
	// stat fills in what fstat reports.
	stat(st *syscall.Stat_t) Errno
	// close is called once, when the last descriptor is gone.
	close()
}

// positional is an object with positions: a file.
type positional interface {
	readAt(p []byte, off int64) (int, Errno)
	writeAt(p []byte, off int64) (int, Errno)
	seek(off int64, whence int) (int64, Errno)
}

// controllable is an object with ioctls of its own.
type controllable interface {
	ioctl(c call, request uintptr, arg address) (uintptr, Errno)
}

// file is an open file description (open(2)): what descriptors made by dup
// share. Objects embed it, so that opening something is one allocation.
type file struct {
	object
	flags  atomic.Uint32 // O_ACCMODE, O_NONBLOCK, O_APPEND, O_PATH, ...
	refs   atomic.Int32  // descriptors
	closed atomic.Bool
	watch  watchers
	owner  atomic.Int32 // F_SETOWN: kept, without effect

	readPatience, writePatience atomic.Int64 // SO_RCVTIMEO, SO_SNDTIMEO in ns; 0: forever
	pollable                    bool         // epoll may watch it; fixed
}

// begin sets a new file up with one reference.
func (f *file) begin(o object, flags uintptr, pollable bool) {
	f.object = o
	f.pollable = pollable
	f.flags.Store(uint32(flags &^ (syscall.O_CLOEXEC | syscall.O_CREAT | syscall.O_EXCL | syscall.O_NOCTTY | syscall.O_TRUNC)))
	f.refs.Store(1)
}

func (f *file) nonblocking() bool { return f.flags.Load()&syscall.O_NONBLOCK != 0 }

// mayRead and mayWrite look at the access mode.
func (f *file) mayRead() bool {
	return f.flags.Load()&(syscall.O_ACCMODE|oPath)&^syscall.O_RDWR == 0
}

func (f *file) mayWrite() bool {
	flags := f.flags.Load()
	return flags&syscall.O_ACCMODE != syscall.O_RDONLY && flags&oPath == 0
}

// announce tells the pollers that the file got a descriptor.
func (f *file) announce(fd int32) {
	if !f.pollable {
		storeds[fd/32].Or(1 << (uint(fd) % 32))
		return
	}
	f.watch.addDescriptor(fd)
	pollables[fd/32].Or(1 << (uint(fd) % 32))
	if r := f.readiness(); r != 0 {
		poller.Ready(fd, uint32(r))
	}
}

// conceal is announce's opposite.
func (f *file) conceal(fd int32) {
	if !f.pollable {
		storeds[fd/32].And(^uint32(1 << (uint(fd) % 32)))
		return
	}
	f.watch.removeDescriptor(fd)
	pollables[fd/32].And(^uint32(1 << (uint(fd) % 32)))
	poller.Forget(fd)
}

// unref drops one descriptor's reference.
func (f *file) unref() {
	if f.refs.Add(-1) > 0 {
		return
	}
	f.closed.Store(true)
	f.object.close()
	f.watch.close()
	releaseLocks(f)
}

// Read reads, and waits for something to read unless the file is in
// non-blocking mode.
func (f *file) doRead(p []byte) (int, Errno) {
	if !f.mayRead() {
		return 0, syscall.EBADF
	}
	n, errno := f.object.read(p)
	if errno != syscall.EAGAIN || f.nonblocking() {
		return n, errno
	}
	errno = f.retry(&f.readPatience, func() (errno Errno) {
		n, errno = f.object.read(p)
		return errno
	})
	return n, errno
}

// doWrite writes all of p, unless the file is in non-blocking mode or fails.
func (f *file) doWrite(p []byte) (int, Errno) {
	if !f.mayWrite() {
		return 0, syscall.EBADF
	}
	n, errno := f.object.write(p)
	if f.nonblocking() || errno == 0 && n == len(p) || errno != 0 && errno != syscall.EAGAIN {
		return n, errno
	}
	errno = f.retry(&f.writePatience, func() Errno {
		m, errno := f.object.write(p[n:])
		n += m
		if errno == 0 && m > 0 && n < len(p) {
			return syscall.EAGAIN
		}
		return errno
	})
	if n > 0 {
		return n, 0
	}
	return n, errno
}

// retry calls try until it returns something else than EAGAIN, waiting for
// changes of readiness in between, but no longer than patience says.
func (f *file) retry(patience *atomic.Int64, try func() Errno) Errno {
	w := newWaiter()
	f.watch.add(w)
	defer f.watch.remove(w)
	var late <-chan time.Time
	if limit := patience.Load(); limit > 0 {
		t := time.NewTimer(time.Duration(limit))
		defer t.Stop()
		late = t.C
	}
	for {
		if errno := try(); errno != syscall.EAGAIN {
			return errno
		}
		if f.closed.Load() {
			return syscall.EBADF
		}
		select {
		case <-w.woken:
		case <-late:
			return syscall.EAGAIN
		}
	}
}
