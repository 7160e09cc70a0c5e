package ext4

import "errors"

// Flags of a group: what mkfs left unwritten.
const (
	groupNoInodes = 1 // the inode bitmap and table
	groupNoBlocks = 2 // the block bitmap
	groupZeroed   = 4 // the inode table was zeroed
)

// group is a group descriptor.
type group struct {
	blockBitmap, inodeBitmap, table            uint64
	freeBlocks, freeInodes, dirs, unusedInodes uint32
	flags                                      uint16
	blockSum, inodeSum                         uint32

	// busy are blocks that were freed by a transaction that is not yet on the
	// device: until then they must not be used again. nil: none.
	busy      []byte
	busyCount uint32
}

// decodeGroup reads a descriptor.
func (s *super) decodeGroup(d []byte) (g group) {
	g.blockBitmap, g.inodeBitmap, g.table = uint64(le32(d)), uint64(le32(d[4:])), uint64(le32(d[8:]))
	g.freeBlocks, g.freeInodes, g.dirs = uint32(le16(d[0xc:])), uint32(le16(d[0xe:])), uint32(le16(d[0x10:]))
	g.flags, g.unusedInodes = le16(d[0x12:]), uint32(le16(d[0x1c:]))
	g.blockSum, g.inodeSum = uint32(le16(d[0x18:])), uint32(le16(d[0x1a:]))
	if s.descSize < 64 {
		return g
	}
	g.blockBitmap, g.inodeBitmap, g.table = split32(d, d[0x20:]), split32(d[4:], d[0x24:]), split32(d[8:], d[0x28:])
	g.freeBlocks, g.freeInodes = split16(d[0xc:], d[0x2c:]), split16(d[0xe:], d[0x2e:])
	g.dirs, g.unusedInodes = split16(d[0x10:], d[0x30:]), split16(d[0x1c:], d[0x32:])
	g.blockSum, g.inodeSum = split16(d[0x18:], d[0x38:]), split16(d[0x1a:], d[0x3a:])
	return g
}

// encodeGroup writes what can change of a descriptor, and its checksum.
func (s *super) encodeGroup(d []byte, number uint32, g *group) {
	put16(d[0xc:], uint16(g.freeBlocks))
	put16(d[0xe:], uint16(g.freeInodes))
	put16(d[0x10:], uint16(g.dirs))
	put16(d[0x12:], g.flags)
	put16(d[0x18:], uint16(g.blockSum))
	put16(d[0x1a:], uint16(g.inodeSum))
	put16(d[0x1c:], uint16(g.unusedInodes))
	if s.descSize >= 64 {
		put16(d[0x2c:], uint16(g.freeBlocks>>16))
		put16(d[0x2e:], uint16(g.freeInodes>>16))
		put16(d[0x30:], uint16(g.dirs>>16))
		put16(d[0x32:], uint16(g.unusedInodes>>16))
		put16(d[0x38:], uint16(g.blockSum>>16))
		put16(d[0x3a:], uint16(g.inodeSum>>16))
	}
	put16(d[0x1e:], s.groupSum(d, number))
}

// groupSum is a descriptor's checksum; the old one counts as zero, or is left
// out.
func (s *super) groupSum(d []byte, number uint32) uint16 {
	d = d[:s.descSize]
	switch {
	case s.csum():
		crc := crc32c(crcOf32(s.seed, number), d[:0x1e])
		crc = crc32c(crc, []byte{0, 0})
		return uint16(crc32c(crc, d[0x20:]))
	case s.ro&roGroupCsum != 0:
		crc := crc16(0xffff, s.uuid[:])
		crc = crc16(crc, []byte{byte(number), byte(number >> 8), byte(number >> 16), byte(number >> 24)})
		return crc16(crc16(crc, d[:0x1e]), d[0x20:])
	}
	return 0
}

// bitmapSum is the checksum of a bitmap of n bits, as far as a descriptor holds
// it.
func (s *super) bitmapSum(bitmap []byte, n uint32) uint32 {
	if !s.csum() {
		return 0
	}
	crc := crc32c(s.seed, bitmap[:n/8])
	if s.descSize < 64 {
		crc &= 0xffff
	}
	return crc
}

// loadGroups reads and checks all descriptors.
func (f *FS) loadGroups() error {
	s := f.s
	f.groups = make([]group, s.groups)
	for i := range f.groups {
		b, errno := f.buffer(s.descBlock(uint32(i) / s.descsPerBlock()))
		if errno != 0 {
			return errors.New("its group descriptors can't be read")
		}
		d := b.data[uint32(i)%s.descsPerBlock()*s.descSize:][:s.descSize]
		if (s.csum() || s.ro&roGroupCsum != 0) && s.groupSum(d, uint32(i)) != le16(d[0x1e:]) {
			return errors.New("its group descriptors are damaged (checksum): run e2fsck on it")
		}
		g := s.decodeGroup(d)
		if !s.inRange(g.blockBitmap, 1) || !s.inRange(g.inodeBitmap, 1) || !s.inRange(g.table, uint64(s.tableBlocks())) ||
			g.freeBlocks > s.groupBlocks(uint32(i)) || g.freeInodes > s.inodesPerGroup || g.unusedInodes > s.inodesPerGroup {
			return errors.New("its group descriptors are damaged: run e2fsck on it")
		}
		if s.ro&(roGroupCsum|roMetadataCsum) == 0 {
			g.flags = 0
		}
		f.groups[i] = g
		f.freeBlocks += uint64(g.freeBlocks)
		f.freeInodes += uint64(g.freeInodes)
	}
	return nil
}

// storeGroup puts a descriptor that was changed into the transaction.
func (f *FS) storeGroup(number uint32) Errno {
	s := f.s
	b, errno := f.buffer(s.descBlock(number / s.descsPerBlock()))
	if errno != 0 {
		return errno
	}
	s.encodeGroup(f.change(b)[number%s.descsPerBlock()*s.descSize:][:s.descSize], number, &f.groups[number])
	return 0
}

// blockBitmap returns a group's bitmap of blocks.
func (f *FS) blockBitmap(number uint32) (*buffer, Errno) {
	g := &f.groups[number]
	if g.flags&groupNoBlocks != 0 {
		b := f.fresh(g.blockBitmap)
		f.s.emptyBlockBitmap(b.data, number, g)
		g.flags &^= groupNoBlocks
		g.blockSum = f.s.bitmapSum(b.data, f.s.perGroup)
		return b, f.storeGroup(number)
	}
	return f.bitmap(g.blockBitmap, g.blockSum, f.s.perGroup)
}

// inodeBitmap returns a group's bitmap of inodes. It must be about to be
// changed.
func (f *FS) inodeBitmap(number uint32) (*buffer, Errno) {
	g := &f.groups[number]
	if g.flags&groupNoInodes != 0 {
		b := f.fresh(g.inodeBitmap)
		f.s.padBitmap(b.data, f.s.inodesPerGroup)
		g.flags &^= groupNoInodes
		g.inodeSum = f.s.bitmapSum(b.data, f.s.inodesPerGroup)
		return b, f.storeGroup(number)
	}
	return f.bitmap(g.inodeBitmap, g.inodeSum, f.s.inodesPerGroup)
}

func (f *FS) bitmap(block uint64, sum, n uint32) (*buffer, Errno) {
	b, errno := f.buffer(block)
	if errno != 0 || b.checked {
		return b, errno
	}
	if f.s.bitmapSum(b.data, n) != sum {
		return nil, f.damaged("a bitmap has a wrong checksum")
	}
	b.checked = true
	return b, 0
}

// emptyBlockBitmap fills in the bitmap of a group that holds nothing but
// descriptors, bitmaps and its inode table.
func (s *super) emptyBlockBitmap(b []byte, number uint32, g *group) {
	for i := range s.baseBlocks(number) {
		setBit(b, i)
	}
	s.setIn(b, number, g.blockBitmap, 1)
	s.setIn(b, number, g.inodeBitmap, 1)
	s.setIn(b, number, g.table, s.tableBlocks())
	s.padBitmap(b, s.groupBlocks(number))
}

// setIn marks those of n blocks that lie in a group.
func (s *super) setIn(b []byte, group uint32, block uint64, n uint32) {
	start, count := s.groupStart(group), uint64(s.groupBlocks(group))
	for i := block; i < block+uint64(n); i++ {
		if i >= start && i < start+count {
			setBit(b, uint32(i-start))
		}
	}
}

// padBitmap marks what is behind the first n bits.
func (s *super) padBitmap(b []byte, n uint32) {
	for i := n; i < 8*s.blockSize; i++ {
		setBit(b, i)
	}
}
