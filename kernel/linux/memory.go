package linux

import (
	"syscall"
)

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
		return c.anonymous()
	}
	f, errno := usable(c.a5)
	if errno != 0 {
		return 0, errno
	}
	if d, ok := f.object.(*memoryDevice); ok && d.node.Rdev() == devZero {
		c.a4, c.a5, c.a6 = c.a4|syscall.MAP_ANON, failed, 0
		return c.anonymous()
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
	c.a2 = (c.a2 + pageSize - 1) &^ (pageSize - 1)
	const sharedValidate = 3 // MAP_SHARED_VALIDATE
	switch c.a4 & sharedBits {
	case syscall.MAP_PRIVATE:
		return c.mapPrivate(r)
	case syscall.MAP_SHARED, sharedValidate:
		if c.a3&syscall.PROT_WRITE != 0 && !f.mayWrite() {
			return 0, syscall.EACCES
		}
		switch {
		case !r.node.Remote():
			return c.mapShared(f, r)
		case !f.mayWrite():
			return c.mapPrivate(r) // as the file is now
		}
		return 0, syscall.ENODEV
	}
	return 0, syscall.EINVAL
}

// anonymous maps memory that is no file's.
func (c call) anonymous() (uintptr, Errno) {
	if kind := c.a4 & sharedBits; kind != syscall.MAP_SHARED && kind != syscall.MAP_PRIVATE {
		return 0, syscall.EINVAL
	}
	if c.a4&syscall.MAP_FIXED == 0 {
		return c.trapMemory(syscall.SYS_MMAP)
	}
	return c.replacing(c.a1, c.a2, func() (uintptr, Errno) { return c.trapMemory(syscall.SYS_MMAP) })
}

// mapPrivate maps fresh memory and reads the file into it, as it is now.
func (c call) mapPrivate(r *regular) (uintptr, Errno) {
	m := c
	m.a3 = syscall.PROT_READ | syscall.PROT_WRITE
	m.a4 = c.a4&^sharedBits | syscall.MAP_PRIVATE | syscall.MAP_ANON
	m.a5, m.a6 = failed, 0
	at, errno := m.anonymous()
	if errno != 0 {
		return 0, errno
	}
	there := uintptr(min(max(pageEnd(r.size())-int64(c.a6), 0), int64(c.a2)))
	r.readAt(memory(address{at: at}, there), int64(c.a6))
	if there < c.a2 {
		flags := uintptr(syscall.MAP_FIXED | syscall.MAP_PRIVATE)
		if _, errno := config.Space.Alias(at+there, c.a2-there, c.a3, flags, nowhere, true); errno != 0 {
			return 0, errno
		}
	}
	if c.a3 != m.a3 && there > 0 {
		_, _, e := rawTrap(syscall.SYS_MPROTECT, at, there, c.a3, 0, 0, 0)
		return at, Errno(e)
	}
	return at, 0
}

// sharedBits is MAP_SHARED and MAP_PRIVATE.
const sharedBits = 0xf

// nowhere is the address of memory that is never there: what is behind a file's
// end shows it.
const nowhere = 1 << 62

// pageEnd returns the end of the page that ends at or holds off.
func pageEnd(off int64) int64 { return (off + pageSize - 1) &^ (pageSize - 1) }

func sysMunmap(c call) (uintptr, Errno) {
	if c.a2 == 0 {
		return 0, syscall.EINVAL
	}
	return c.replacing(c.a1, c.a2, func() (uintptr, Errno) { return c.trapMemory(syscall.SYS_MUNMAP) })
}

// sysMsync writes a mapped file of a mounted file system back.
func sysMsync(c call) (uintptr, Errno) {
	const async, invalidate, sync = 1, 2, 4
	switch {
	case c.a1%pageSize != 0 || c.a3&^(async|invalidate|sync) != 0 || c.a3&(async|sync) == async|sync:
		return 0, syscall.EINVAL
	case c.a2 == 0:
		return 0, 0
	}
	s := sharedAt(config.Space.Source(c.a1, c.a2))
	switch {
	case s != nil && c.a3&sync != 0:
		return 0, s.node.Fsync(true)
	case s != nil:
		return 0, s.node.Flush()
	case !(address{at: c.a1}).holds(c.a2):
		return 0, syscall.ENOMEM
	}
	return 0, 0
}

// sysMadvise knows what files are, and hands the rest to the lower half.
func sysMadvise(c call) (uintptr, Errno) {
	const free, remove = 8, 9
	if c.a3 != free && c.a3 != remove || c.a2 == 0 {
		return c.trapMemory(syscall.SYS_MADVISE)
	}
	source := config.Space.Source(c.a1, c.a2)
	s := sharedAt(source)
	switch {
	case c.a3 == free && s == nil:
		return c.trapMemory(syscall.SYS_MADVISE)
	case s == nil || c.a3 == free || c.a1%pageSize != 0:
		return 0, syscall.EINVAL
	}
	const hole, keepSize = 2, 1
	return 0, s.node.Allocate(hole|keepSize, int64(source-s.start), pageEnd(int64(c.a2)))
}

func sysMremap(c call) (uintptr, Errno) {
	const fixed = 2
	if c.a4&fixed == 0 {
		return c.replacing(c.a1, c.a2, func() (uintptr, Errno) { return c.trapMemory(syscall.SYS_MREMAP) })
	}
	return c.replacing(c.a5, c.a3, func() (uintptr, Errno) { return c.trapMemory(syscall.SYS_MREMAP) })
}

// sysMlock: memory is never paged out.
func sysMlock(c call) (uintptr, Errno) {
	if c.a2 > 0 && !(address{at: c.a1}).holds(c.a2) {
		return 0, syscall.ENOMEM
	}
	return 0, 0
}

func sysMlock2(c call) (uintptr, Errno) {
	const onFault = 1
	if c.a3&^onFault != 0 {
		return 0, syscall.EINVAL
	}
	return sysMlock(c)
}

func sysMlockall(c call) (uintptr, Errno) {
	const current, future, onFault = 1, 2, 4
	if c.a1 == 0 || c.a1 == onFault || c.a1&^(current|future|onFault) != 0 {
		return 0, syscall.EINVAL
	}
	return 0, 0
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
