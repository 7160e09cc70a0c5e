package linux

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"syscall"
)

// Descriptor numbers are below maxDescriptors (RLIMIT_NOFILE's hard limit).
const (
	maxDescriptors = 1 << 17
	chunkSize      = 1 << 10
)

// descriptors is the table of file descriptors. Looking one up takes no lock.
type descriptors struct {
	chunks [maxDescriptors / chunkSize]atomic.Pointer[chunk]

	mu    sync.Mutex // guards what follows and all changes of slots
	used  []uint64   // bit n: number n is taken
	first int        // no free number lies in a word of used before this
}

type chunk [chunkSize]slot

// slot is one descriptor.
type slot struct {
	file    atomic.Pointer[file]
	cloexec atomic.Bool // without effect: no program is ever executed
}

var fds descriptors

// pollables has a bit for each descriptor that epoll may watch.
var pollables [maxDescriptors / 32]atomic.Uint32

// Pollable reports whether a descriptor is open and of a kind that epoll can
// watch; epoll_ctl fails with EPERM for others. It may be called from the
// lower half: it takes no lock, allocates nothing, writes nothing.
//
//go:nosplit
//go:norace
func Pollable(fd int32) bool {
	if fd < 0 || fd >= maxDescriptors {
		return false
	}
	return pollables[fd/32].Load()>>(uint(fd)%32)&1 != 0
}

// storeds has a bit for each descriptor of a file or folder.
var storeds [maxDescriptors / 32]atomic.Uint32

// Stored reports whether a descriptor is open and a file's or folder's. It may be
// called from the lower half, as Pollable.
//
//go:nosplit
//go:norace
func Stored(fd int32) bool {
	return fd >= 0 && fd < maxDescriptors && storeds[fd/32].Load()>>(uint(fd)%32)&1 != 0
}

// slot returns a descriptor's slot, or nil if there never was one.
func (t *descriptors) slot(fd uintptr) *slot {
	if fd >= maxDescriptors {
		return nil
	}
	c := t.chunks[fd/chunkSize].Load()
	if c == nil {
		return nil
	}
	return &c[fd%chunkSize]
}

// open returns the open file behind a descriptor, or EBADF.
func (t *descriptors) open(fd uintptr) (*file, Errno) {
	// System calls take an int: its upper half means nothing.
	if s := t.slot(uintptr(uint32(fd))); s != nil {
		if f := s.file.Load(); f != nil {
			return f, 0
		}
	}
	return nil, syscall.EBADF
}

// add gives an open file the lowest free number that is not below least. The
// file's count of references must include it already.
func (t *descriptors) add(f *file, cloexec bool, least uintptr) (uintptr, Errno) {
	t.mu.Lock()
	fd, errno := t.take(int(least))
	if errno == 0 {
		t.set(fd, f, cloexec)
	}
	t.mu.Unlock()
	if errno != 0 {
		return failed, errno
	}
	f.announce(int32(fd))
	return uintptr(fd), 0
}

// take finds the lowest free number from least on and marks it. The caller
// holds t.mu.
func (t *descriptors) take(least int) (int, Errno) {
	limit := int(limits.descriptors.Load())
	for w := max(t.first, least/64); ; w++ {
		if w*64 >= limit {
			return 0, syscall.EMFILE
		}
		if w == len(t.used) {
			t.used = append(t.used, 0)
		}
		free := ^t.used[w]
		if w == least/64 {
			free &= ^uint64(0) << (least % 64)
		}
		if free == 0 {
			continue
		}
		fd := w*64 + bits.TrailingZeros64(free)
		if fd >= limit {
			return 0, syscall.EMFILE
		}
		t.used[w] |= 1 << (fd % 64)
		if t.used[t.first] == ^uint64(0) && least/64 <= t.first {
			t.first = w
		}
		return fd, 0
	}
}

// set fills a slot. The caller holds t.mu.
func (t *descriptors) set(fd int, f *file, cloexec bool) {
	c := t.chunks[fd/chunkSize].Load()
	if c == nil {
		c = new(chunk)
		t.chunks[fd/chunkSize].Store(c)
	}
	s := &c[fd%chunkSize]
	s.cloexec.Store(cloexec)
	s.file.Store(f)
}

// replace makes fd stand for f, as dup2 does, and closes what it stood for.
func (t *descriptors) replace(fd uintptr, f *file, cloexec bool) Errno {
	if fd >= uintptr(limits.descriptors.Load()) {
		return syscall.EBADF
	}
	t.mu.Lock()
	for int(fd/64) >= len(t.used) {
		t.used = append(t.used, 0)
	}
	t.used[fd/64] |= 1 << (fd % 64)
	var old *file
	if s := t.slot(fd); s != nil {
		old = s.file.Load()
	}
	if old != nil {
		old.conceal(int32(fd))
	}
	t.set(int(fd), f, cloexec)
	t.mu.Unlock()
	if old != nil {
		dropRecords(old)
		old.unref()
	}
	f.announce(int32(fd))
	return 0
}

// close takes a descriptor away.
func (t *descriptors) close(fd uintptr) Errno {
	fd = uintptr(uint32(fd))
	t.mu.Lock()
	s := t.slot(fd)
	if s == nil || s.file.Load() == nil {
		t.mu.Unlock()
		return syscall.EBADF
	}
	f := s.file.Load()
	s.file.Store(nil)
	f.conceal(int32(fd)) // before the number can be given out again
	t.used[fd/64] &^= 1 << (fd % 64)
	t.first = min(t.first, int(fd/64))
	t.mu.Unlock()
	dropRecords(f)
	f.unref()
	return 0
}

// each calls f for the numbers of all descriptors in [from, to].
func (t *descriptors) each(from, to uintptr, f func(fd uintptr)) {
	t.mu.Lock()
	var all []uintptr
	for w, word := range t.used {
		for ; word != 0; word &= word - 1 {
			fd := uintptr(w*64 + bits.TrailingZeros64(word))
			if fd >= from && fd <= to {
				all = append(all, fd)
			}
		}
	}
	t.mu.Unlock()
	for _, fd := range all {
		f(fd)
	}
}

// install gives a new open file a descriptor. flags are O_CLOEXEC and nothing
// else that matters here. On failure it closes the file.
func install(f *file, flags uintptr) (uintptr, Errno) {
	fd, errno := fds.add(f, flags&syscall.O_CLOEXEC != 0, 0)
	if errno != 0 {
		f.unref()
	}
	return fd, errno
}

// installTwo does it for both ends of a pair.
func installTwo(a, b *file, flags uintptr) (pair [2]int32, errno Errno) {
	fdA, errno := install(a, flags)
	if errno != 0 {
		b.unref()
		return pair, errno
	}
	fdB, errno := install(b, flags)
	if errno != 0 {
		fds.close(fdA)
		return pair, errno
	}
	return [2]int32{int32(fdA), int32(fdB)}, 0
}

// open returns the open file behind an argument.
func open(fd uintptr) (*file, Errno) {
	settle()
	return fds.open(fd)
}

// usable is open for calls that use more of a file than its place in the tree:
// EBADF for what was opened with O_PATH. Reads and writes need no such check, as
// the access mode covers it.
func usable(fd uintptr) (*file, Errno) {
	f, errno := open(fd)
	if errno == 0 && f.flags.Load()&oPath != 0 {
		return nil, syscall.EBADF
	}
	return f, errno
}
