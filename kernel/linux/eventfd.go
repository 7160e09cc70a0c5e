package linux

import (
	"sync"
	"syscall"

	"pith/kernel/socket"
)

// eventfd is an event counter (eventfd(2)).
type eventfd struct {
	file
	semaphore bool
	inode     uint64

	mu    sync.Mutex
	count uint64
}

const (
	efdSemaphore = 1
	efdMax       = ^uint64(0) - 1
)

func sysEventfd(c call) (uintptr, Errno) { return newEventfd(c.a1, 0) }

func sysEventfd2(c call) (uintptr, Errno) { return newEventfd(c.a1, c.a2) }

func newEventfd(initial, flags uintptr) (uintptr, Errno) {
	if flags&^(efdSemaphore|syscall.O_NONBLOCK|syscall.O_CLOEXEC) != 0 {
		return 0, syscall.EINVAL
	}
	e := &eventfd{semaphore: flags&efdSemaphore != 0, count: uint64(uint32(initial)), inode: nextInode()}
	e.begin(e, syscall.O_RDWR|flags&syscall.O_NONBLOCK, true)
	return install(&e.file, flags)
}

func (e *eventfd) read(p []byte) (int, Errno) {
	if len(p) < 8 {
		return 0, syscall.EINVAL
	}
	e.mu.Lock()
	took := e.count
	if e.semaphore {
		took = min(took, 1)
	}
	e.count -= took
	e.mu.Unlock()
	if took == 0 {
		return 0, syscall.EAGAIN
	}
	store64(p, took)
	e.watch.notify(writable)
	return 8, 0
}

func (e *eventfd) write(p []byte) (int, Errno) {
	if len(p) < 8 {
		return 0, syscall.EINVAL
	}
	add := load64(p)
	if add > efdMax {
		return 0, syscall.EINVAL
	}
	e.mu.Lock()
	fits := add <= efdMax-e.count
	if fits {
		e.count += add
	}
	e.mu.Unlock()
	if !fits {
		return 0, syscall.EAGAIN
	}
	e.watch.notify(readable)
	return 8, 0
}

func (e *eventfd) readiness() (r socket.Readiness) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.count > 0 {
		r |= readable
	}
	if e.count < efdMax {
		r |= writable
	}
	return r
}

func (e *eventfd) stat(st *syscall.Stat_t) Errno {
	anonymous(st, 0o600, e.inode)
	return 0
}

func (e *eventfd) close() {}
