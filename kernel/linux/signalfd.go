package linux

import (
	"sync"
	"syscall"

	"pith/kernel/socket"
)

// Signals is the signals that the program was sent, which are the lower half's.
type Signals interface {
	// Watch has tell called, on a goroutine, after signals were sent. Once.
	Watch(tell func()) bool
	// Take takes one of the signals in mask (bit n-1 is signal n) that the
	// running thread has pending, or only looks at it; sig 0 is none.
	Take(mask uint64, look bool) (sig int, code int32)
}

// signalfd is a descriptor from which signals are read that the reading thread
// has blocked (signalfd(2)). A goroutine that reads it should be locked to its
// thread, as on Linux: it is told of signals to that thread, and of those to the
// process that found all threads blocking them and came to this one.
type signalfd struct {
	file
	inode uint64

	mu   sync.Mutex
	mask uint64
}

// signalfds is all that are open.
var signalfds struct {
	mu       sync.Mutex
	open     map[*signalfd]bool
	watching bool
}

// sizeofSiginfo is struct signalfd_siginfo's size.
const sizeofSiginfo = 128

func sysSignalfd(c call) (uintptr, Errno) { return c.signalfd(0) }

func sysSignalfd4(c call) (uintptr, Errno) { return c.signalfd(c.a4) }

func (c call) signalfd(flags uintptr) (uintptr, Errno) {
	if flags&^(syscall.O_NONBLOCK|syscall.O_CLOEXEC) != 0 || c.a3 != 8 {
		return 0, syscall.EINVAL
	}
	mask, errno := get[uint64](c.address(c.a2))
	if errno != 0 {
		return 0, errno
	}
	if int32(c.a1) != -1 {
		return c.setSignalMask(mask)
	}
	s := &signalfd{mask: mask, inode: nextInode()}
	s.begin(s, syscall.O_RDWR|flags&syscall.O_NONBLOCK, true)
	if errno := s.join(); errno != 0 {
		return 0, errno
	}
	return install(&s.file, flags)
}

// setSignalMask changes what an open signalfd is about.
func (c call) setSignalMask(mask uint64) (uintptr, Errno) {
	f, errno := open(c.a1)
	if errno != 0 {
		return 0, errno
	}
	s, ok := f.object.(*signalfd)
	if !ok {
		return 0, syscall.EINVAL
	}
	s.mu.Lock()
	s.mask = mask
	s.mu.Unlock()
	s.watch.notify(readable)
	return c.a1, 0
}

// join puts a signalfd among those that are told of signals.
func (s *signalfd) join() Errno {
	signalfds.mu.Lock()
	defer signalfds.mu.Unlock()
	if !signalfds.watching {
		if !config.Signals.Watch(tellSignalfds) {
			return syscall.ENFILE
		}
		signalfds.watching, signalfds.open = true, map[*signalfd]bool{}
	}
	signalfds.open[s] = true
	return 0
}

// tellSignalfds has the readers of all signalfds look again.
func tellSignalfds() {
	signalfds.mu.Lock()
	defer signalfds.mu.Unlock()
	for s := range signalfds.open {
		s.watch.notify(readable)
	}
}

func (s *signalfd) wanted() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mask
}

// read fills p with structs signalfd_siginfo.
func (s *signalfd) read(p []byte) (n int, errno Errno) {
	if len(p) < sizeofSiginfo {
		return 0, syscall.EINVAL
	}
	for ; len(p)-n >= sizeofSiginfo; n += sizeofSiginfo {
		sig, code := config.Signals.Take(s.wanted(), false)
		if sig == 0 {
			break
		}
		info := p[n : n+sizeofSiginfo]
		clear(info)
		store32(info, uint32(sig))
		store32(info[8:], uint32(code))
		store32(info[12:], uint32(processID())) // its sender; user 0
	}
	if n == 0 {
		return 0, syscall.EAGAIN
	}
	return n, 0
}

func (s *signalfd) write([]byte) (int, Errno) { return 0, syscall.EINVAL }

func (s *signalfd) readiness() socket.Readiness {
	if sig, _ := config.Signals.Take(s.wanted(), true); sig != 0 {
		return readable
	}
	return 0
}

func (s *signalfd) stat(st *syscall.Stat_t) Errno {
	anonymous(st, 0o600, s.inode)
	return 0
}

func (s *signalfd) close() {
	signalfds.mu.Lock()
	delete(signalfds.open, s)
	signalfds.mu.Unlock()
}
