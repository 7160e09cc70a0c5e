package ext4

import "syscall"

const (
	firstAhead = 8 // blocks to read ahead of a reader in sequence, growing
	mostAhead  = 256
	pastCache  = 32 // blocks: such a piece of a large file does not go into the cache
)

// ReadAt reads a regular file. Fewer bytes than asked for are the file's end.
func (f *FS) ReadAt(in *Inode, p []byte, off int64) (n int, errno Errno) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trim()
	if !in.plain() || off < 0 {
		return 0, syscall.EINVAL
	}
	n, missing := f.readCached(in, p, off)
	if missing {
		f.mu.Unlock()
		in.io.RLock() // so that no block changes its place while f.mu is not held
		f.mu.Lock()
		defer in.io.RUnlock()
		var more int
		more, errno = f.readOn(in, p[n:], off+int64(n))
		n += more
	}
	if errno == 0 {
		f.accessed(in)
	}
	return n, errno
}

// readCached reads what is in memory. missing says that there is more.
func (f *FS) readCached(in *Inode, p []byte, off int64) (n int, missing bool) {
	p = in.upTo(p, off)
	for n < len(p) {
		at := uint64(off) + uint64(n)
		page := f.cached(in, uint32(at>>f.blockShift))
		if page == nil {
			return n, true
		}
		n += copy(p[n:], page.data[at&uint64(f.s.blockSize-1):])
	}
	return n, false
}

// upTo cuts p where a file ends.
func (in *Inode) upTo(p []byte, off int64) []byte {
	if size := in.size(); uint64(off) < size {
		return p[:min(uint64(len(p)), size-uint64(off))]
	}
	return nil
}

// readOn is ReadAt from the first byte on that is not in memory. The caller holds in.io.
func (f *FS) readOn(in *Inode, p []byte, off int64) (n int, errno Errno) {
	p = in.upTo(p, off)
	for n < len(p) {
		got, errno := f.readSome(in, p[n:], uint64(off)+uint64(n))
		if errno != 0 {
			return n, errno
		}
		n += got
	}
	return n, 0
}

// readSome reads up to the end of a page, of a hole, or of what lies together.
func (f *FS) readSome(in *Inode, p []byte, off uint64) (int, Errno) {
	index, skip := uint32(off>>f.blockShift), int(off&uint64(f.s.blockSize-1))
	if page := f.cached(in, index); page != nil {
		return copy(p, page.data[skip:]), 0
	}
	block, run, unwritten, errno := f.find(in, index)
	if errno != 0 {
		return 0, errno
	}
	if block == 0 || unwritten {
		n := min(uint64(len(p)), uint64(run)<<f.blockShift-uint64(skip))
		clear(p[:n])
		return int(n), 0
	}
	if whole := uint32(min(uint64(len(p))>>f.blockShift, uint64(run))); skip == 0 && whole >= pastCache && f.exceedsCache(in) {
		return f.readPast(in, index, block, whole, p)
	}
	want := uint32((uint64(skip+len(p)) + uint64(f.s.blockSize) - 1) >> f.blockShift)
	return f.fetch(in, index, block, min(run, f.readAhead(in, index, want)), p, skip)
}

// exceedsCache tells whether a file would push most others out of the cache, and its own
// beginning before its end is read.
func (f *FS) exceedsCache(in *Inode) bool { return in.size()>>f.blockShift > uint64(f.maxPages/2) }

// readPast reads n blocks, up to one that is in memory, and keeps none: the host's cache
// has them, and a copy fewer is made.
func (f *FS) readPast(in *Inode, index uint32, block uint64, n uint32, p []byte) (int, Errno) {
	n = in.missing(index, n)
	in.next, in.ahead = index+n, 0
	p = p[:uint64(n)<<f.blockShift]
	return len(p), f.readUnlocked(block, p)
}

// readUnlocked reads blocks of a file whose io the caller holds; f.mu is given up
// meanwhile.
func (f *FS) readUnlocked(block uint64, into ...[]byte) Errno {
	f.mu.Unlock()
	defer f.mu.Lock()
	return f.readData(block, into...)
}

// missing is how many of n blocks, at least one, come before one that is in memory.
func (in *Inode) missing(index, n uint32) uint32 {
	for i := uint32(1); i < n; i++ {
		if in.pages[index+i] != nil {
			return i
		}
	}
	return n
}

// readAhead is how many blocks to read where want are needed.
func (f *FS) readAhead(in *Inode, index, want uint32) uint32 {
	if index == in.next && index > 0 {
		in.ahead = min(max(2*in.ahead, firstAhead), mostAhead)
	} else {
		in.ahead = 0
	}
	left := uint32((in.size()-1)>>f.blockShift) - index + 1
	n := min(want+in.ahead, left, maxPieces, uint32(max(f.maxPages/4, 1)))
	in.next = index + n
	return n
}

// fetch reads n blocks into pages, up to one that is there already, and copies
// what p takes.
func (f *FS) fetch(in *Inode, index uint32, block uint64, n uint32, p []byte, skip int) (int, Errno) {
	parts := make([][]byte, in.missing(index, n))
	for i := range parts {
		parts[i] = f.pageData()
	}
	if errno := f.readUnlocked(block, parts...); errno != 0 {
		return 0, errno
	}
	done := 0
	for i, data := range parts {
		if done < len(p) {
			done += copy(p[done:], data[skip:])
			skip = 0
		}
		if at := index + uint32(i); in.pages[at] == nil { // else another reader was faster
			f.keep(in, at, data)
		}
	}
	return done, 0
}
