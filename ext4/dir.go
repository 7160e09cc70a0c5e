package ext4

import "syscall"

// A directory is a file of blocks full of entries: inode (4 bytes), length of the
// entry (2), length of the name (1), type (1), name. With checksums each block ends
// with an entry of 12 bytes that holds one.
const (
	entryHeader = 8
	tailSize    = 12
	tailType    = 0xde
	nameMax     = 255
)

// names is a directory's entries, in memory.
type names struct {
	slots map[string]slot
	room  []uint16 // the largest gap, by block
	hint  int      // where the last entry went
}

// slot is one entry.
type slot struct {
	number uint32
	kind   byte
	at     uint32 // offset in the directory
}

// entrySize is how many bytes an entry needs.
func entrySize(name int) int { return (entryHeader + name + 3) &^ 3 }

// entryEnd is where entries of a block end.
func (f *FS) entryEnd() int {
	if f.s.csum() {
		return int(f.s.blockSize) - tailSize
	}
	return int(f.s.blockSize)
}

// entries calls visit for each entry of a block, used or not, and refuses a
// block that is damaged. gap is what could be cut off the entry.
func (f *FS) entries(b []byte, end int, visit func(at, length, gap int)) Errno {
	for at := 0; at < end; {
		if at+entryHeader > end {
			return f.damaged("a directory is damaged")
		}
		length, name := int(le16(b[at+4:])), int(b[at+6])
		if length < entrySize(name) || length < 12 || length%4 != 0 || at+length > end || le32(b[at:]) > f.s.inodes {
			return f.damaged("a directory is damaged")
		}
		gap := length
		if le32(b[at:]) != 0 {
			gap -= entrySize(name)
		}
		visit(at, length, gap)
		at += length
	}
	return 0
}

// dirBlock loads block i of a directory. end is where its entries end: blocks of
// an index have entries (of no use) that fill them.
func (f *FS) dirBlock(in *Inode, i uint32) (b *buffer, end int, errno Errno) {
	block, _, unwritten, errno := f.find(in, i)
	if errno != 0 {
		return nil, 0, errno
	}
	if block == 0 || unwritten {
		return nil, 0, f.damaged("a directory has a hole")
	}
	if b, errno = f.buffer(block); errno != 0 {
		return nil, 0, errno
	}
	if in.flags()&flagIndex != 0 && f.indexBlock(b.data, i) {
		return b, int(f.s.blockSize), 0
	}
	if f.s.csum() && !b.checked && !f.goodDirBlock(in, b.data) {
		return nil, 0, f.damaged("a directory has a wrong checksum")
	}
	b.checked = true
	return b, f.entryEnd(), 0
}

// indexBlock tells whether a block of a hashed directory holds hashes.
func (f *FS) indexBlock(b []byte, i uint32) bool {
	return i == 0 || le32(b) == 0 && uint32(le16(b[4:])) == f.s.blockSize
}

func (f *FS) goodDirBlock(in *Inode, b []byte) bool {
	tail := b[len(b)-tailSize:]
	return le32(tail) == 0 && le16(tail[4:]) == tailSize && tail[7] == tailType &&
		le32(tail[8:]) == crc32c(f.seed(in), b[:len(b)-tailSize])
}

// sealDir sets a directory block's checksum.
func (f *FS) sealDir(in *Inode, b []byte) {
	if !f.s.csum() {
		return
	}
	tail := b[len(b)-tailSize:]
	put32(tail, 0)
	put16(tail[4:], tailSize)
	tail[6], tail[7] = 0, tailType
	put32(tail[8:], crc32c(f.seed(in), b[:len(b)-tailSize]))
}

// read returns a directory's entries.
func (f *FS) read(in *Inode) (*names, Errno) {
	if !in.isDir() {
		return nil, syscall.ENOTDIR
	}
	if in.names != nil {
		return in.names, 0
	}
	size := in.size()
	if size%uint64(f.s.blockSize) != 0 || size == 0 || size>>f.blockShift > 1<<20 {
		return nil, f.damaged("a directory has an impossible size")
	}
	n := &names{slots: map[string]slot{}}
	for i := range uint32(size >> f.blockShift) {
		b, end, errno := f.dirBlock(in, i)
		if errno != 0 {
			return nil, errno
		}
		room, double := 0, false
		errno = f.entries(b.data, end, func(at, length, gap int) {
			if end == f.entryEnd() {
				room = max(room, gap)
			}
			if number := le32(b.data[at:]); number != 0 {
				name := string(b.data[at+entryHeader:][:b.data[at+6]])
				_, there := n.slots[name]
				double = double || there
				n.slots[name] = slot{number, b.data[at+7], i<<f.blockShift + uint32(at)}
			}
		})
		if errno == 0 && double {
			errno = f.damaged("a directory has a name twice")
		}
		if errno != 0 {
			return nil, errno
		}
		n.room = append(n.room, uint16(room))
	}
	if s := n.slots["."]; s.number != in.number {
		return nil, f.damaged("a directory doesn't begin with itself")
	}
	f.keepNames(in, n)
	return n, 0
}

// keepNames keeps a directory's entries, and drops others' if there are too many.
func (f *FS) keepNames(in *Inode, n *names) {
	in.names = n
	f.named += len(n.slots)
	if f.named <= f.maxNames {
		return
	}
	for _, other := range f.inodes {
		if other != in {
			f.dropNames(other)
		}
	}
}

func (f *FS) dropNames(in *Inode) {
	if in.names != nil {
		f.named -= len(in.names.slots)
		in.names = nil
	}
}

// plainDir turns a hashed directory into a plain one, before it is changed: Linux
// takes either, and what this package writes has no hashes.
func (f *FS) plainDir(in *Inode) Errno {
	if in.flags()&flagIndex == 0 {
		return 0
	}
	for i := range uint32(in.size() >> f.blockShift) {
		b, end, errno := f.dirBlock(in, i)
		if errno != 0 {
			return errno
		}
		if end == f.entryEnd() || !f.indexBlock(b.data, i) {
			continue
		}
		data, at := f.change(b), 0
		if i == 0 {
			at = 12 // ".." fills the block
		}
		put16(data[at+4:], uint16(f.entryEnd()-at))
		clear(data[at+entryHeader+int(data[at+6]) : f.entryEnd()])
		f.sealDir(in, data)
		b.checked = true
	}
	put32(in.raw[0x20:], in.flags()&^flagIndex)
	f.dropNames(in)
	return f.store(in)
}

// addEntry enters a name. The caller knows that it isn't there, and has space for
// one more block.
func (f *FS) addEntry(dir *Inode, name string, number uint32, kind byte) Errno {
	if errno := f.plainDir(dir); errno != 0 {
		return errno
	}
	n, errno := f.read(dir)
	if errno != 0 {
		return errno
	}
	need := entrySize(len(name))
	i := n.findRoom(need)
	if i < 0 {
		i = len(n.room)
		if errno := f.addDirBlock(dir, uint32(i)); errno != 0 {
			return errno
		}
		n.room = append(n.room, uint16(f.entryEnd()))
	}
	b, end, errno := f.dirBlock(dir, uint32(i))
	if errno != 0 {
		return errno
	}
	data := f.change(b)
	at := -1
	room := 0
	errno = f.entries(data, end, func(from, length, gap int) {
		if at < 0 && gap >= need {
			at = placeEntry(data, from, length, gap, name, number, kind)
			gap -= need
		}
		room = max(room, gap)
	})
	if errno == 0 && at < 0 {
		errno = f.damaged("a directory has less room than it had")
	}
	if errno != 0 {
		return errno
	}
	f.sealDir(dir, data)
	n.room[i], n.hint = uint16(room), i
	n.slots[name] = slot{number, kind, uint32(i)<<f.blockShift + uint32(at)}
	f.named++
	f.touch(dir, timeModify, timeChange)
	return f.store(dir)
}

// findRoom is a block with a gap of need bytes, or -1.
func (n *names) findRoom(need int) int {
	for i := n.hint; i < len(n.room); i++ {
		if int(n.room[i]) >= need {
			return i
		}
	}
	for i := range n.hint {
		if int(n.room[i]) >= need {
			return i
		}
	}
	return -1
}

// placeEntry writes an entry into the gap of another one, and returns where.
func placeEntry(b []byte, from, length, gap int, name string, number uint32, kind byte) int {
	at := from + length - gap
	if gap < length { // the other one is in use
		put16(b[from+4:], uint16(length-gap))
	}
	put32(b[at:], number)
	put16(b[at+4:], uint16(gap))
	b[at+6], b[at+7] = byte(len(name)), kind
	copy(b[at+entryHeader:], name)
	return at
}

// addDirBlock gives a directory an empty block.
func (f *FS) addDirBlock(dir *Inode, i uint32) Errno {
	block, n, errno := f.allocate(f.goalOf(dir), 1)
	if errno != 0 || n == 0 {
		return errno
	}
	f.addBlocks(dir, 1)
	if errno := f.addExtent(dir, extent{logical: i, n: 1, physical: block}); errno != 0 {
		return errno
	}
	b := f.fresh(block)
	put16(b.data[4:], uint16(f.entryEnd()))
	f.sealDir(dir, b.data)
	dir.goal = block + 1
	dir.setSize(uint64(i+1) << f.blockShift)
	return f.store(dir)
}

// removeName takes a name away.
func (f *FS) removeName(dir *Inode, name string) Errno {
	if errno := f.plainDir(dir); errno != 0 {
		return errno
	}
	n, errno := f.read(dir)
	if errno != 0 {
		return errno
	}
	s := n.slots[name]
	i := s.at >> f.blockShift
	b, end, errno := f.dirBlock(dir, i)
	if errno != 0 {
		return errno
	}
	data, before, room := f.change(b), -1, 0
	target := int(s.at & (f.s.blockSize - 1))
	errno = f.entries(data, end, func(at, length, _ int) {
		if at < target {
			before = at
		}
		if at != target {
			return
		}
		put32(data[at:], 0)
		if before >= 0 {
			put16(data[before+4:], le16(data[before+4:])+uint16(length))
			clear(data[at:min(at+entryHeader, at+length)])
		}
	})
	if errno == 0 {
		errno = f.entries(data, end, func(_, _, gap int) { room = max(room, gap) })
	}
	if errno != 0 {
		return errno
	}
	f.sealDir(dir, data)
	n.room[i], n.hint = uint16(room), min(n.hint, int(i))
	delete(n.slots, name)
	f.named--
	f.touch(dir, timeModify, timeChange)
	return f.store(dir)
}

// setEntry lets a name that is there stand for another inode.
func (f *FS) setEntry(dir *Inode, name string, number uint32, kind byte) Errno {
	if errno := f.plainDir(dir); errno != 0 {
		return errno
	}
	n, errno := f.read(dir)
	if errno != 0 {
		return errno
	}
	s, ok := n.slots[name]
	if !ok {
		return f.damaged("a directory lacks a name that it had")
	}
	b, _, errno := f.dirBlock(dir, s.at>>f.blockShift)
	if errno != 0 {
		return errno
	}
	data := f.change(b)
	at := s.at & (f.s.blockSize - 1)
	put32(data[at:], number)
	data[at+7] = kind
	f.sealDir(dir, data)
	n.slots[name] = slot{number, kind, s.at}
	f.touch(dir, timeModify, timeChange)
	return f.store(dir)
}

// newDir makes the first block of a directory.
func (f *FS) newDir(in *Inode, parent uint32) Errno {
	if errno := f.addDirBlock(in, 0); errno != 0 {
		return errno
	}
	b, end, errno := f.dirBlock(in, 0)
	if errno != 0 {
		return errno
	}
	data := f.change(b)
	firstEntries(data, end, in.number, parent)
	f.sealDir(in, data)
	return 0
}

// firstEntries writes "." and "..".
func firstEntries(b []byte, end int, self, parent uint32) {
	put32(b, self)
	put16(b[4:], 12)
	b[6], b[7], b[8] = 1, 2, '.'
	put32(b[12:], parent)
	put16(b[16:], uint16(end-12))
	b[18], b[19], b[20], b[21] = 2, 2, '.', '.'
}
