package linux

import (
	"sync"
	"syscall"

	"pith/kernel/fs"
)

// Space is the machine's one address space. A file that is mapped shared has
// all its bytes in one piece of memory, and each mapping shows that memory at
// its own address, with its own protection.
type Space interface {
	// Alias maps size bytes as mmap does, to show the memory at source. What
	// isn't mayWrite can't be made writable later.
	Alias(addr, size, prot, flags, source uintptr, mayWrite bool) (uintptr, Errno)
	// Source returns the address of the memory that is shown first in
	// [addr, addr+size); 0 if there is none.
	Source(addr, size uintptr) uintptr
	// Aliased tells whether memory in [start, end) is shown anywhere.
	Aliased(start, end uintptr) bool
	// SetLimit says that of the memory in [start, end) only what lies before
	// limit may be shown: access to the rest is a bus error. What was there is
	// forgotten.
	SetLimit(start, end, limit uintptr) Errno
}

// sharing is the files that are mapped shared, or were.
var sharing struct {
	mu    sync.Mutex
	files map[*fs.Node]*shared
}

// shared is one such file's memory.
type shared struct {
	node        *fs.Node
	start, size uintptr
	mapped      bool // shown somewhere; the node is held then
	changed     bool // may hold what a mounted file system has not been told of
}

// minShared is how much address space a shared file gets at least, so that it
// can grow while it is mapped. Memory is taken only when it is touched.
const minShared = 1 << 30

// mapShared shows the file's own memory.
func (c call) mapShared(f *file, r *regular) (uintptr, Errno) {
	if r.contents != nil {
		return 0, syscall.ENODEV
	}
	end := c.a6 + c.a2
	if end < c.a6 || end > 1<<40 {
		return 0, syscall.ENOMEM
	}
	mayWrite := f.mayWrite()
	if seals, errno := r.node.Seals(); errno == 0 && seals&(fs.SealWrite|fs.SealFutureWrite) != 0 {
		if c.a3&syscall.PROT_WRITE != 0 {
			return 0, syscall.EPERM
		}
		mayWrite = false
	}
	sharing.mu.Lock()
	defer sharing.mu.Unlock()
	s, errno := shareUpTo(r.node, end)
	if errno != 0 {
		return 0, errno
	}
	at, errno := config.Space.Alias(c.a1, c.a2, c.a3, c.a4, s.start+c.a6, mayWrite)
	if errno == 0 && !s.mapped {
		errno = s.node.Acquire()
		s.mapped = errno == 0
		s.node.SetMapped(s.mapped)
	}
	s.changed = s.changed || s.mapped && mayWrite
	sweep()
	return at, errno
}

// shareUpTo returns a file's memory, of at least size bytes. Once it is mapped
// it can't move to a larger one. The caller holds sharing.mu.
func shareUpTo(node *fs.Node, size uintptr) (*shared, Errno) {
	old := sharing.files[node]
	switch {
	case old != nil && size <= old.size:
		return old, 0
	case old != nil && old.mapped:
		return nil, syscall.ENOMEM
	}
	size = (max(minShared, size, 2*uintptr(node.Size())) + pageSize - 1) &^ (pageSize - 1)
	start, errno := reserve(size)
	if errno != 0 {
		return nil, errno
	}
	resized := func(now int64) {
		if errno := config.Space.SetLimit(start, start+size, start+uintptr(now)); errno != 0 {
			complain("cannot tell the end of a mapped file: " + errno.Error())
		}
	}
	if errno := node.Share(memory(address{at: start}, size), resized); errno != 0 {
		rawTrap(syscall.SYS_MUNMAP, start, size, 0, 0, 0, 0)
		return nil, errno
	}
	if old != nil {
		rawTrap(syscall.SYS_MUNMAP, old.start, old.size, 0, 0, 0, 0)
	}
	s := &shared{node: node, start: start, size: size}
	if sharing.files == nil {
		sharing.files = map[*fs.Node]*shared{}
	}
	sharing.files[node] = s
	return s, 0
}

// reserve returns address space that gets memory where it is touched. It may be
// larger than the machine's memory, so it is asked for without access first.
func reserve(size uintptr) (uintptr, Errno) {
	const flags = syscall.MAP_SHARED | syscall.MAP_ANON | syscall.MAP_NORESERVE
	start, _, errno := rawTrap(syscall.SYS_MMAP, 0, size, syscall.PROT_NONE, flags, failed, 0)
	if errno != 0 {
		return 0, Errno(errno)
	}
	_, _, errno = rawTrap(syscall.SYS_MPROTECT, start, size, syscall.PROT_READ|syscall.PROT_WRITE, 0, 0, 0)
	if errno != 0 {
		rawTrap(syscall.SYS_MUNMAP, start, size, 0, 0, 0, 0)
		return 0, Errno(errno)
	}
	return start, 0
}

// sharedAt returns the file whose memory an address lies in, or nil.
func sharedAt(at uintptr) *shared {
	if at == 0 || at == nowhere {
		return nil
	}
	sharing.mu.Lock()
	defer sharing.mu.Unlock()
	for _, s := range sharing.files {
		if at >= s.start && at < s.start+s.size {
			return s
		}
	}
	return nil
}

// replacing does what may take mappings in [addr, addr+size) away, and lets
// files go that nothing shows any more.
func (c call) replacing(addr, size uintptr, do func() (uintptr, Errno)) (uintptr, Errno) {
	if config.Space.Source(addr, size) == 0 {
		return do()
	}
	sharing.mu.Lock()
	defer sharing.mu.Unlock()
	r, errno := do()
	sweep()
	return r, errno
}

// sweep lets go of files that nothing shows any more. The caller holds
// sharing.mu.
func sweep() {
	for _, s := range sharing.files {
		if s.mapped && !config.Space.Aliased(s.start, s.start+s.size) {
			s.mapped = false
			s.node.SetMapped(false)
			s.writeBack()
			s.node.Release()
		}
		s.release()
	}
}

// writeBack brings what was changed to the mounted file system that a file is of,
// while the file is still there: one without a name goes with its last opener. The
// caller holds sharing.mu.
func (s *shared) writeBack() {
	if !s.changed || !s.node.Mounted() || s.node.Links() == 0 {
		return
	}
	if errno := s.node.Flush(); errno != 0 {
		complain("cannot write back a mapped file: " + errno.Error())
		return
	}
	s.changed = false
}

// release gives the memory of a file back that is neither mapped, nor open,
// nor has a name. The caller holds sharing.mu.
func (s *shared) release() {
	if s.mapped || s.node.Reachable() {
		return
	}
	if s.node.Mounted() {
		s.writeBack()
		s.node.Unshare()
	}
	delete(sharing.files, s.node)
	rawTrap(syscall.SYS_MUNMAP, s.start, s.size, 0, 0, 0, 0)
}

// releaseShared is release for a file that was closed.
func releaseShared(node *fs.Node) {
	if node.Reachable() {
		return
	}
	sharing.mu.Lock()
	defer sharing.mu.Unlock()
	if s := sharing.files[node]; s != nil {
		s.release()
	}
}
