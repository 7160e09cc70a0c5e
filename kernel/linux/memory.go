package linux

import (
	"sync"
	"syscall"

	"pith/kernel/fs"
)

// sharing is the files that are mapped shared. A machine has one address
// space: such a file's contents are moved to one piece of memory, and the
// mapping is that memory. It is read and written through the file as before.
var sharing = struct {
	mu    sync.Mutex
	files map[*fs.Node]*shared
}{files: map[*fs.Node]*shared{}}

// shared is one such file's memory.
type shared struct {
	node        *fs.Node
	start, size uintptr
	mapped      int // mappings that were not unmapped
}

// minShared is how much address space a shared file gets at least, so that it
// can grow while it is mapped. Memory is taken only when it is touched.
const minShared = 1 << 30

const pageSize = 4096

// trapMemory hands a call on memory to the lower half.
func (c call) trapMemory(trap uintptr) (uintptr, Errno) {
	r, _, errno := rawTrap(trap, c.a1, c.a2, c.a3, c.a4, c.a5, c.a6)
	return r, Errno(errno)
}

// sysMmap hands anonymous mappings to the lower half, and makes mappings of
// files out of them.
func sysMmap(c call) (uintptr, Errno) {
	if c.a4&syscall.MAP_ANON != 0 {
		return c.trapMemory(syscall.SYS_MMAP)
	}
	f, errno := open(c.a5)
	if errno != 0 {
		return 0, errno
	}
	if d, ok := f.object.(*memoryDevice); ok && d.node.Rdev() == devZero {
		c.a4, c.a5, c.a6 = c.a4|syscall.MAP_ANON, failed, 0
		return c.trapMemory(syscall.SYS_MMAP)
	}
	r, ok := f.object.(*regular)
	switch {
	case !ok:
		return 0, syscall.ENODEV
	case c.a2 == 0 || c.a6%pageSize != 0 || int64(c.a6) < 0:
		return 0, syscall.EINVAL
	case !f.mayRead():
		return 0, syscall.EACCES
	}
	const sharedValidate = 3 // MAP_SHARED_VALIDATE
	switch c.a4 & 0xf {
	case syscall.MAP_PRIVATE:
		return c.mapPrivate(r)
	case syscall.MAP_SHARED, sharedValidate:
		if c.a3&syscall.PROT_WRITE != 0 && !f.mayWrite() {
			return 0, syscall.EACCES
		}
		switch {
		case !r.node.Remote():
			return c.mapShared(r)
		case !f.mayWrite():
			return c.mapPrivate(r) // as the file is now
		}
		return 0, syscall.ENODEV
	}
	return 0, syscall.EINVAL
}

// mapPrivate maps fresh memory and reads the file into it.
func (c call) mapPrivate(r *regular) (uintptr, Errno) {
	m := c
	m.a3 = syscall.PROT_READ | syscall.PROT_WRITE
	m.a4 = c.a4&^0xf | syscall.MAP_PRIVATE | syscall.MAP_ANON
	m.a5, m.a6 = failed, 0
	at, errno := m.trapMemory(syscall.SYS_MMAP)
	if errno != 0 {
		return 0, errno
	}
	r.readAt(memory(address{at: at}, c.a2), int64(c.a6))
	if c.a3 != m.a3 {
		_, _, e := rawTrap(syscall.SYS_MPROTECT, at, c.a2, c.a3, 0, 0, 0)
		return at, Errno(e)
	}
	return at, 0
}

// mapShared returns a place in the file's own memory.
func (c call) mapShared(r *regular) (uintptr, Errno) {
	const fixed = syscall.MAP_FIXED | 0x100000 // MAP_FIXED_NOREPLACE
	if c.a4&fixed != 0 || r.contents != nil {
		return 0, syscall.ENODEV
	}
	end := c.a6 + c.a2
	if end < c.a6 || end > 1<<40 {
		return 0, syscall.ENOMEM
	}
	sharing.mu.Lock()
	defer sharing.mu.Unlock()
	s := sharing.files[r.node]
	if s == nil || end > s.size {
		var errno Errno
		if s, errno = share(r.node, s, end); errno != 0 {
			return 0, errno
		}
	}
	if errno := r.node.Acquire(); errno != 0 {
		return 0, errno
	}
	s.mapped++
	return s.start + c.a6, 0
}

// share gives a file memory of at least size bytes. Once it is mapped it can't
// move to a larger one. The caller holds sharing.mu.
func share(node *fs.Node, old *shared, size uintptr) (*shared, Errno) {
	if old != nil && old.mapped > 0 {
		return nil, syscall.ENOMEM
	}
	size = max(minShared, 2*size, 2*uintptr(node.Size()))
	size = (size + pageSize - 1) &^ (pageSize - 1)
	start, errno := reserve(size)
	if errno != 0 {
		return nil, errno
	}
	if errno := node.Share(memory(address{at: start}, size)); errno != 0 {
		rawTrap(syscall.SYS_MUNMAP, start, size, 0, 0, 0, 0)
		return nil, errno
	}
	if old != nil {
		rawTrap(syscall.SYS_MUNMAP, old.start, old.size, 0, 0, 0, 0)
	}
	s := &shared{node: node, start: start, size: size}
	sharing.files[node] = s
	return s, 0
}

// reserve returns address space that gets memory where it is touched. It may be
// larger than the machine's memory, so it is asked for without access first.
func reserve(size uintptr) (uintptr, Errno) {
	const flags = syscall.MAP_PRIVATE | syscall.MAP_ANON | syscall.MAP_NORESERVE
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

// sharedAt returns the shared file whose memory an address lies in, or nil.
// The caller holds sharing.mu.
func sharedAt(at uintptr) *shared {
	for _, s := range sharing.files {
		if at >= s.start && at < s.start+s.size {
			return s
		}
	}
	return nil
}

// sysMunmap leaves a shared file's memory alone: it is the file.
func sysMunmap(c call) (uintptr, Errno) {
	sharing.mu.Lock()
	s := sharedAt(c.a1)
	if s != nil && s.mapped > 0 {
		s.mapped--
		s.node.Release()
		s.release()
	}
	sharing.mu.Unlock()
	if s != nil {
		return 0, 0
	}
	return c.trapMemory(syscall.SYS_MUNMAP)
}

// release gives the memory of a file back that is neither mapped, nor open,
// nor has a name. The caller holds sharing.mu.
func (s *shared) release() {
	if s.mapped > 0 || s.node.Reachable() {
		return
	}
	if s.node.Mounted() {
		if errno := s.node.Unshare(); errno != 0 {
			complain("cannot write back a mapped file: " + errno.Error())
			return
		}
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

// sysMsync writes a mapped file of a mounted file system back.
func sysMsync(c call) (uintptr, Errno) {
	const async, invalidate, sync = 1, 2, 4
	if c.a1%pageSize != 0 || c.a3&^(async|invalidate|sync) != 0 || c.a3&(async|sync) == async|sync {
		return 0, syscall.EINVAL
	}
	sharing.mu.Lock()
	s := sharedAt(c.a1)
	sharing.mu.Unlock()
	switch {
	case s == nil:
		return c.trapMemory(syscall.SYS_MSYNC)
	case c.a3&sync != 0:
		return 0, s.node.Fsync(true)
	}
	return 0, s.node.Flush()
}

func sysMprotect(c call) (uintptr, Errno) { return c.onShared(syscall.SYS_MPROTECT) }
func sysMadvise(c call) (uintptr, Errno)  { return c.onShared(syscall.SYS_MADVISE) }

// onShared hands a call on to the lower half unless it is about a shared
// file's memory, whose protection and contents it must not change.
func (c call) onShared(trap uintptr) (uintptr, Errno) {
	sharing.mu.Lock()
	s := sharedAt(c.a1)
	sharing.mu.Unlock()
	if s != nil {
		return 0, 0
	}
	return c.trapMemory(trap)
}

// sysMremap can't grow a shared mapping.
func sysMremap(c call) (uintptr, Errno) {
	sharing.mu.Lock()
	s := sharedAt(c.a1)
	sharing.mu.Unlock()
	switch {
	case s == nil:
		return c.remap()
	case c.a3 <= c.a2 || c.a1+c.a3 <= s.start+s.size:
		return c.a1, 0
	}
	return 0, syscall.ENOMEM
}

// remap is mremap for memory that is no file's: more of it is elsewhere, with a
// copy of what was there.
func (c call) remap() (uintptr, Errno) {
	const mayMove = 1
	from, old, want := c.a1, (c.a2+pageSize-1)&^(pageSize-1), (c.a3+pageSize-1)&^(pageSize-1)
	switch {
	case from%pageSize != 0 || want == 0 || c.a4&^mayMove != 0:
		return 0, syscall.EINVAL
	case old == 0 || !(address{at: from}).writable(old):
		return 0, syscall.EFAULT
	case want <= old:
		if want < old {
			rawTrap(syscall.SYS_MUNMAP, from+want, old-want, 0, 0, 0, 0)
		}
		return from, 0
	case c.a4&mayMove == 0:
		return 0, syscall.ENOMEM
	}
	const access, flags = syscall.PROT_READ | syscall.PROT_WRITE, syscall.MAP_PRIVATE | syscall.MAP_ANON
	to, _, errno := rawTrap(syscall.SYS_MMAP, 0, want, access, flags, failed, 0)
	if errno != 0 {
		return 0, Errno(errno)
	}
	copy(memory(address{at: to}, old), memory(address{at: from}, old))
	rawTrap(syscall.SYS_MUNMAP, from, old, 0, 0, 0, 0)
	return to, 0
}

// sysMincore: all that is mapped is in memory, for there is no other place.
func sysMincore(c call) (uintptr, Errno) {
	switch {
	case c.a1%pageSize != 0:
		return 0, syscall.EINVAL
	case c.a2 > 0 && !(address{at: c.a1}).holds(c.a2):
		return 0, syscall.ENOMEM
	}
	pages := (c.a2 + pageSize - 1) / pageSize
	p, b, errno := output(c.address(c.a3), pages)
	if errno != 0 {
		return 0, errno
	}
	for i := range p {
		p[i] = 1
	}
	b.deliver(len(p))
	return 0, 0
}
