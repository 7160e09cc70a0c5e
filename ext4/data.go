package ext4

import (
	"math"
	"syscall"
)

const (
	chunkBlocks = 64 // most blocks that one step of a write takes
	writeCredit = 96 // what such a step may change: 16 pieces, and nodes of the tree
	writePieces = 16
	writeSpare  = 12 // blocks that the tree may need
)

func (in *Inode) plain() bool { return in.format() == syscall.S_IFREG }

// maxSize is the largest file: block numbers have 32 bits.
func (f *FS) maxSize() uint64 { return (math.MaxUint32 - 1) << f.blockShift }

// WriteAt writes p to a regular file at off, or at its end if add is set, and
// returns how much and where. Less than all comes with an error only if it is
// nothing.
func (f *FS) WriteAt(in *Inode, p []byte, off int64, add bool) (done int, at int64, errno Errno) {
	if !in.plain() || off < 0 {
		return 0, off, syscall.EINVAL
	}
	if !add && uint64(off) >= f.maxSize() {
		return 0, off, syscall.EFBIG
	}
	in.io.Lock()
	defer in.io.Unlock()
	at = off
	for done < len(p) {
		n, where, errno := f.writeSome(in, p[done:], uint64(at)+uint64(done), add && done == 0)
		if errno != 0 {
			if done > 0 {
				errno = 0
			}
			return done, at, errno
		}
		if done == 0 {
			at = int64(where)
		}
		done += n
	}
	return done, at, 0
}

// writeSome is one step of a write, in one transaction.
func (f *FS) writeSome(in *Inode, p []byte, off uint64, add bool) (n int, at uint64, errno Errno) {
	for tries := 0; ; tries++ {
		if errno := f.begin(writeCredit); errno != 0 {
			return 0, 0, errno
		}
		if add {
			off = in.size()
		}
		n, errno = f.writeIn(in, p, off)
		busy, id := f.busyBlocks, f.j.running.id
		f.end()
		if errno != syscall.ENOSPC || busy == 0 || tries > 0 {
			return n, off, errno
		}
		// What was deleted a moment ago can be had after a commit.
		if errno := f.commit(id); errno != 0 {
			return 0, 0, errno
		}
	}
}

func (f *FS) writeIn(in *Inode, p []byte, off uint64) (int, Errno) {
	if in.flags()&flagImmutable != 0 {
		return 0, syscall.EPERM
	}
	if off >= f.maxSize() {
		return 0, syscall.EFBIG
	}
	first, skip := uint32(off>>f.blockShift), off&uint64(f.s.blockSize-1)
	p = p[:min(uint64(len(p)), chunkBlocks<<f.blockShift-skip, f.maxSize()-off)]
	count := uint32((skip + uint64(len(p)) + uint64(f.s.blockSize) - 1) >> f.blockShift)
	if errno := f.zeroTail(in, off); errno != 0 {
		return 0, errno
	}
	got, errno := f.back(in, first, count, false)
	if errno != 0 {
		return 0, errno
	}
	p = p[:min(uint64(len(p)), uint64(got)<<f.blockShift-skip)]
	n, errno := f.fill(in, p, first, int(skip))
	if errno != 0 {
		return 0, f.halfDone(errno)
	}
	f.touch(in, timeModify, timeChange)
	put16(in.raw, uint16(in.mode()&^killBits(in.mode())))
	if end := off + uint64(n); end > in.size() {
		in.setSize(end)
		f.j.running.ordered[in] = true // no size without the bytes that it counts
		return n, f.grown(in)
	}
	if f.j.running.ordered[in] {
		return n, f.store(in)
	}
	return n, f.storeTimes(in)
}

// killBits are the bits of a mode that a write takes away.
func killBits(mode uint32) uint32 {
	if mode&0o010 != 0 {
		return mode & (syscall.S_ISUID | syscall.S_ISGID)
	}
	return mode & syscall.S_ISUID
}

// grown stores an inode whose size has grown, maybe beyond what old kernels take.
func (f *FS) grown(in *Inode) Errno {
	if in.size() > math.MaxInt32 && f.s.ro&roLargeFile == 0 {
		f.s.ro |= roLargeFile
		if errno := f.changeSuper(func(b []byte) { put32(b[0x64:], f.s.ro) }); errno != 0 {
			return errno
		}
	}
	return f.store(in)
}

// fill copies p into pages, and bounds how many are dirty.
func (f *FS) fill(in *Inode, p []byte, index uint32, skip int) (n int, errno Errno) {
	for n < len(p) {
		page, errno := f.pageFor(in, index, skip == 0 && len(p)-n >= int(f.s.blockSize))
		if errno != 0 {
			return n, errno
		}
		n += copy(page.data[skip:], p[n:])
		f.pollute(page)
		index, skip = index+1, 0
	}
	if f.dirtyPages > f.maxPages/2 {
		if errno := f.writeBack(in); errno != 0 {
			return n, errno
		}
	}
	if f.dirtyPages > f.maxPages/2 {
		return n, f.writeAll()
	}
	return n, 0
}

// pageFor is pageOf for a page of which the whole is about to be written.
func (f *FS) pageFor(in *Inode, index uint32, whole bool) (*page, Errno) {
	if !whole {
		return f.pageOf(in, index)
	}
	if p := f.cached(in, index); p != nil {
		return p, 0
	}
	return f.keep(in, index, f.pageData()), 0
}

// back makes sure that blocks of a file have a place on the device, from the first
// one on, and returns for how many. unwritten says that nobody will write to
// them now; else their pages exist, dirty, afterwards.
func (f *FS) back(in *Inode, first, count uint32, unwritten bool) (uint32, Errno) {
	at, end := first, first+count
	for range writePieces {
		if at == end {
			break
		}
		block, run, fresh, errno := f.find(in, at)
		if errno != 0 {
			return 0, errno
		}
		n := min(run, end-at)
		switch {
		case block != 0 && (!fresh || unwritten):
			in.goal = block + uint64(n)
		case block != 0:
			if f.available() < writeSpare {
				return f.backed(at, first)
			}
			errno = f.convert(in, at, n, block)
		default:
			n, errno = f.place(in, at, n, unwritten)
			if n == 0 && errno == 0 {
				return f.backed(at, first)
			}
		}
		if errno != 0 {
			return 0, errno
		}
		at += n
	}
	return at - first, 0
}

// backed is the result of back where there is no more room.
func (f *FS) backed(at, first uint32) (uint32, Errno) {
	if at == first {
		return 0, syscall.ENOSPC
	}
	return at - first, 0
}

// convert makes an unwritten piece an ordinary one.
func (f *FS) convert(in *Inode, at, n uint32, block uint64) Errno {
	_, errno := f.cutExtents(in, uint64(at), uint64(at)+uint64(n), false)
	if errno == 0 {
		errno = f.addExtent(in, extent{logical: at, n: n, physical: block})
	}
	if errno != 0 {
		return f.halfDone(errno)
	}
	return f.fresh0(in, at, n)
}

// place gives a hole blocks, as many as there are in one piece: none if the disk is
// full.
func (f *FS) place(in *Inode, at, n uint32, unwritten bool) (uint32, Errno) {
	room := f.available()
	if room <= writeSpare {
		return 0, 0
	}
	most := uint32(maxExtent)
	if unwritten {
		most--
	}
	block, n, errno := f.allocate(f.goalOf(in), uint32(min(uint64(min(n, most)), room-writeSpare)))
	if errno != 0 || n == 0 {
		return 0, errno
	}
	f.addBlocks(in, int64(n))
	if errno := f.addExtent(in, extent{logical: at, n: n, physical: block, unwritten: unwritten}); errno != 0 {
		return 0, f.halfDone(errno)
	}
	in.goal = block + uint64(n)
	if unwritten {
		return n, 0
	}
	return n, f.fresh0(in, at, n)
}

// fresh0 makes dirty pages of zeros for blocks that were never written, and sees to
// it that they are on the device before the transaction is.
func (f *FS) fresh0(in *Inode, at, n uint32) Errno {
	f.j.running.ordered[in] = true
	for i := at; i < at+n; i++ {
		p := f.cached(in, i)
		if p == nil {
			p = f.keep(in, i, make([]byte, f.s.blockSize))
		}
		f.pollute(p)
	}
	return 0
}

// goalOf is where a file's next block is best taken from.
func (f *FS) goalOf(in *Inode) uint64 {
	if in.goal == 0 {
		// Files of a group begin at different places in it.
		group := (in.number - 1) / f.s.inodesPerGroup
		in.goal = f.s.groupStart(group) + uint64(in.number%16)*uint64(f.s.groupBlocks(group)/16)
		if steps, errno := f.way(in, math.MaxUint32-1); errno == 0 && in.hasBlocks() {
			if leaf := steps[len(steps)-1]; leaf.i >= 0 {
				last := leaf.extent(leaf.i)
				in.goal = last.physical + uint64(last.n)
			}
		}
	}
	return in.goal
}

// zeroTail makes what lies behind a file's end in its last block zeros, where the
// file is about to grow to off or beyond.
func (f *FS) zeroTail(in *Inode, off uint64) Errno {
	size := in.size()
	in0 := size & uint64(f.s.blockSize-1)
	if in0 == 0 || off < size {
		return 0
	}
	index := uint32(size >> f.blockShift)
	block, _, unwritten, errno := f.find(in, index)
	if errno != 0 || block == 0 || unwritten {
		return errno
	}
	p, errno := f.pageOf(in, index)
	if errno != 0 {
		return errno
	}
	for _, b := range p.data[in0:] {
		if b != 0 {
			clear(p.data[in0:])
			f.pollute(p)
			break
		}
	}
	return 0
}

// Truncate sets a regular file's size.
func (f *FS) Truncate(in *Inode, size int64) Errno {
	switch {
	case in.isDir():
		return syscall.EISDIR
	case !in.plain() || size < 0:
		return syscall.EINVAL
	case uint64(size) > f.maxSize():
		return syscall.EFBIG
	}
	in.io.Lock()
	defer in.io.Unlock()
	if errno := f.begin(cutCredit); errno != 0 {
		return errno
	}
	more, errno := f.truncate(in, uint64(size))
	f.end()
	if errno == 0 && more {
		errno = f.finishCut(in)
	}
	return errno
}

// truncate is the first step of Truncate; more says that blocks are left to be
// freed, and that the inode is in the list of orphans meanwhile.
func (f *FS) truncate(in *Inode, size uint64) (more bool, errno Errno) {
	if in.flags()&(flagImmutable|flagAppend) != 0 {
		return false, syscall.EPERM
	}
	old := in.size()
	if errno := f.zeroTail(in, size); errno != 0 {
		return false, errno
	}
	in.setSize(size)
	f.touch(in, timeModify, timeChange)
	if size >= old {
		return false, f.grown(in)
	}
	if errno := f.zeroTail(in, size); errno != 0 {
		return false, errno
	}
	if len(in.dirty) > 0 {
		f.j.running.ordered[in] = true
	}
	from := (size + uint64(f.s.blockSize) - 1) >> f.blockShift
	f.dropPages(in, uint32(from))
	in.goal = 0
	more, errno = f.cutExtents(in, from, math.MaxUint32, true)
	if errno == 0 && more {
		errno = f.addOrphan(in)
	}
	if errno == 0 {
		errno = f.store(in)
	}
	if errno != 0 {
		return false, f.halfDone(errno)
	}
	return more, 0
}

// Modes of Allocate (fallocate(2)).
const (
	allocKeepSize  = 1
	allocPunchHole = 2
	allocZero      = 16
)

// Allocate is fallocate(2): it gives a range blocks (mode 0, or keeping the size),
// or makes a hole or zeros of it.
func (f *FS) Allocate(in *Inode, mode uint32, off, size int64) Errno {
	switch {
	case off < 0 || size <= 0:
		return syscall.EINVAL
	case off+size < 0 || uint64(off+size) > f.maxSize():
		return syscall.EFBIG
	case !in.plain():
		return syscall.ENODEV
	}
	in.io.Lock()
	defer in.io.Unlock()
	switch mode {
	case 0, allocKeepSize:
		return f.reserve(in, uint64(off), uint64(off+size), mode == 0)
	case allocPunchHole | allocKeepSize:
		return f.punch(in, uint64(off), uint64(off+size))
	case allocZero, allocZero | allocKeepSize:
		if errno := f.punch(in, uint64(off), uint64(off+size)); errno != 0 {
			return errno
		}
		return f.reserve(in, uint64(off), uint64(off+size), mode == allocZero)
	}
	return syscall.EOPNOTSUPP
}

// reserve gives a range blocks that read as zeros until they are written.
func (f *FS) reserve(in *Inode, from, to uint64, grow bool) Errno {
	at, end := uint32(from>>f.blockShift), uint32((to+uint64(f.s.blockSize)-1)>>f.blockShift)
	for tries := 0; ; {
		if errno := f.begin(writeCredit); errno != 0 {
			return errno
		}
		n, errno := f.back(in, at, end-at, true)
		at += n
		if at == end && errno == 0 && grow && to > in.size() {
			if errno = f.zeroTail(in, to); errno == 0 {
				in.setSize(to)
				errno = f.grown(in)
			}
		} else if errno == 0 {
			errno = f.store(in)
		}
		busy, id := f.busyBlocks, f.j.running.id
		f.end()
		if errno == syscall.ENOSPC && busy > 0 && tries == 0 {
			tries++
			errno = f.commit(id)
		}
		if errno != 0 || at == end {
			return errno
		}
	}
}

// punch makes a range of a file read as zeros: whole blocks are freed.
func (f *FS) punch(in *Inode, from, to uint64) Errno {
	bs := uint64(f.s.blockSize)
	first, last := (from+bs-1)>>f.blockShift, to>>f.blockShift
	for {
		if errno := f.beginWith(cutCredit, nameSpare); errno != 0 {
			return errno
		}
		to = min(to, in.size())
		errno := f.zeroRange(in, from, min(first<<f.blockShift, to))
		if errno == 0 && last >= first {
			errno = f.zeroRange(in, max(last<<f.blockShift, from), to)
		}
		more := false
		if errno == 0 && last > first {
			for i := range in.pages {
				if uint64(i) >= first && uint64(i) < last {
					f.dropPage(in, i)
				}
			}
			more, errno = f.cutExtents(in, first, last, true)
		}
		f.touch(in, timeModify, timeChange)
		if errno == 0 {
			errno = f.store(in)
		}
		if errno != 0 {
			errno = f.halfDone(errno)
		}
		f.end()
		if errno != 0 || !more {
			return errno
		}
	}
}

func (f *FS) dropPage(in *Inode, index uint32) {
	f.pages.remove(in.pages[index])
	delete(in.pages, index)
	if in.dirty[index] != nil {
		delete(in.dirty, index)
		f.dirtyPages--
	}
}

// zeroRange writes zeros into a range within one block, if that has a place.
func (f *FS) zeroRange(in *Inode, from, to uint64) Errno {
	if from >= to {
		return 0
	}
	index := uint32(from >> f.blockShift)
	block, _, unwritten, errno := f.find(in, index)
	if errno != 0 || block == 0 || unwritten {
		return errno
	}
	p, errno := f.pageOf(in, index)
	if errno != 0 {
		return errno
	}
	start := from & uint64(f.s.blockSize-1)
	clear(p.data[start : start+to-from])
	f.pollute(p)
	f.j.running.ordered[in] = true
	return 0
}

// Next finds the next data, or hole, at or behind off (lseek's SEEK_DATA and
// SEEK_HOLE); ENXIO behind the end.
func (f *FS) Next(in *Inode, off int64, hole bool) (int64, Errno) {
	f.mu.Lock()
	defer f.mu.Unlock()
	size := in.size()
	if off < 0 || uint64(off) >= size || !in.plain() {
		return 0, syscall.ENXIO
	}
	for at := uint64(off); at < size; {
		block, n, unwritten, errno := f.find(in, uint32(at>>f.blockShift))
		if errno != 0 {
			return 0, errno
		}
		if (block == 0 || unwritten) == hole {
			return int64(at), 0
		}
		at = (at>>f.blockShift + uint64(n)) << f.blockShift
	}
	if hole {
		return int64(size), 0
	}
	return 0, syscall.ENXIO
}

// Sync returns when a file is on the device: its contents and all that leads to
// them. With dataOnly its times need not be.
func (f *FS) Sync(in *Inode, dataOnly bool) Errno {
	f.mu.Lock()
	if f.broken {
		f.mu.Unlock()
		return syscall.EIO
	}
	if f.readOnly {
		f.mu.Unlock()
		return 0
	}
	errno := f.writeBack(in)
	id := in.tid
	if dataOnly {
		id = in.dataTid
	}
	done, frozen := int32(f.j.done-id) >= 0, int32(id-f.j.running.id) < 0
	f.mu.Unlock()
	if errno != 0 {
		return errno
	}
	if !done {
		if errno := f.commit(id); errno != 0 || !frozen {
			return errno
		}
		// That commit was under way, and may have flushed before the pages were written.
	}
	return f.flush()
}

// SyncAll returns when everything is on the device.
func (f *FS) SyncAll() Errno {
	f.mu.Lock()
	if f.broken {
		f.mu.Unlock()
		return syscall.EIO
	}
	if f.readOnly {
		f.mu.Unlock()
		return 0
	}
	errno := f.writeAll()
	id := f.j.running.id
	f.mu.Unlock()
	if errno != 0 {
		return errno
	}
	return f.commit(id)
}
