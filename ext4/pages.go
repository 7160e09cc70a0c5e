package ext4

import (
	"slices"
	"syscall"
)

// page is one block of a file's contents in memory.
type page struct {
	in          *Inode
	index       uint32
	data        []byte
	newer, past *page // in order of use
}

// pageList is all pages, the most recently used one first. Its zero value is empty.
type pageList struct {
	first, last *page
	count       int
}

func (l *pageList) push(p *page) {
	p.past, p.newer = l.first, nil
	if l.first != nil {
		l.first.newer = p
	} else {
		l.last = p
	}
	l.first = p
	l.count++
}

func (l *pageList) remove(p *page) {
	if p.newer != nil {
		p.newer.past = p.past
	} else {
		l.first = p.past
	}
	if p.past != nil {
		p.past.newer = p.newer
	} else {
		l.last = p.newer
	}
	l.count--
}

// cached returns a page that is in memory, or nil.
func (f *FS) cached(in *Inode, index uint32) *page {
	p := in.pages[index]
	if p != nil && f.pages.first != p {
		f.pages.remove(p)
		f.pages.push(p)
	}
	return p
}

// keep puts a page into memory, for which others may have to go.
func (f *FS) keep(in *Inode, index uint32, data []byte) *page {
	for f.pages.count >= f.maxPages {
		old := f.pages.last
		if old.in.dirty[old.index] != nil && f.writeBack(old.in) != 0 {
			break // the file system is read-only from now on; nothing is lost by it
		}
		f.pages.remove(old)
		delete(old.in.pages, old.index)
		if len(f.spare) < maxPieces {
			f.spare = append(f.spare, old.data)
		}
	}
	p := &page{in: in, index: index, data: data}
	if in.pages == nil {
		in.pages, in.dirty = map[uint32]*page{}, map[uint32]*page{}
	}
	in.pages[index] = p
	f.pages.push(p)
	return p
}

// pageData is memory for a page, with anything in it: of one that had to go, if there is.
func (f *FS) pageData() []byte {
	last := len(f.spare) - 1
	if last < 0 {
		return make([]byte, f.s.blockSize)
	}
	data := f.spare[last]
	f.spare = f.spare[:last]
	return data
}

// pollute marks a page as newer than the device.
func (f *FS) pollute(p *page) {
	if p.in.dirty[p.index] == nil {
		p.in.dirty[p.index] = p
		f.dirtyPages++
		f.wake()
	}
}

// dropPages forgets a file's pages from one on.
func (f *FS) dropPages(in *Inode, from uint32) {
	for index, p := range in.pages {
		if index < from {
			continue
		}
		f.pages.remove(p)
		delete(in.pages, index)
		if in.dirty[index] != nil {
			delete(in.dirty, index)
			f.dirtyPages--
		}
	}
}

// pageOf returns a page of a file, from the device if need be. Holes and what lies
// behind the end are zeros.
func (f *FS) pageOf(in *Inode, index uint32) (*page, Errno) {
	if p := f.cached(in, index); p != nil {
		return p, 0
	}
	block, _, unwritten, errno := f.find(in, index)
	if errno != 0 {
		return nil, errno
	}
	data := make([]byte, f.s.blockSize)
	if block != 0 && !unwritten {
		if errno := f.readData(block, data); errno != 0 {
			return nil, errno
		}
	}
	return f.keep(in, index, data), 0
}

func (f *FS) readData(block uint64, into ...[]byte) Errno {
	if err := f.dev.Read(f.offset(block), into...); err != nil {
		f.report("a file can't be read: " + err.Error())
		return syscall.EIO
	}
	return 0
}

// writeBack writes a file's dirty pages, neighbours together. Each has a block.
func (f *FS) writeBack(in *Inode) Errno {
	if len(in.dirty) == 0 {
		return 0
	}
	order := make([]uint32, 0, len(in.dirty))
	for index := range in.dirty {
		order = append(order, index)
	}
	slices.Sort(order)
	for len(order) > 0 {
		n, errno := f.writePages(in, order)
		if errno != 0 {
			return errno
		}
		for _, index := range order[:n] {
			delete(in.dirty, index)
		}
		f.dirtyPages -= n
		order = order[n:]
	}
	return 0
}

// writePages writes as many of the first pages as lie together on the device.
func (f *FS) writePages(in *Inode, order []uint32) (int, Errno) {
	block, run, unwritten, errno := f.find(in, order[0])
	if errno != 0 {
		return 0, errno
	}
	if block == 0 || unwritten {
		return 0, f.damaged("a file's contents have no place")
	}
	var parts [][]byte
	for i, index := range order {
		if index != order[0]+uint32(i) || uint32(i) >= run || i == maxPieces {
			break
		}
		parts = append(parts, in.dirty[index].data)
	}
	if err := f.dev.Write(f.offset(block), parts...); err != nil {
		return 0, f.failed("a file can't be written: " + err.Error())
	}
	return len(parts), 0
}

// writeAll writes dirty pages of all files.
func (f *FS) writeAll() Errno {
	for _, in := range f.inodes {
		if errno := f.writeBack(in); errno != 0 {
			return errno
		}
	}
	return 0
}
