package ext4

import (
	"errors"
	"time"
)

// MakeOptions describe a file system to be made.
type MakeOptions struct {
	UUID  [16]byte  // identifies it
	Hash  [16]byte  // secret seed that Linux hashes names with
	Label string    // up to 16 bytes
	Time  time.Time // when it was made
}

// MinSize is the smallest device that Make takes, in bytes.
const MinSize = 16 << 20

const (
	makeBlock      = 4096
	makeInodeSize  = 256
	makeInodeRatio = 16384 // bytes of the device for each inode
	makeDescSize   = 64
	lostFound      = 11
)

// Make makes an empty ext4 file system on a device that reads as zeros, with blocks
// of 4096 bytes, checksums and a journal. It writes only what is not zero, so that a
// sparse file stays one.
func Make(dev Device, o MakeOptions) error {
	if dev.Size() < MinSize {
		return errors.New("a volume has at least 16 MiB")
	}
	m := newMaker(dev, o)
	steps := []func() error{m.placeGroups, m.makeJournal, m.makeDirectories, m.makeInodes, m.writeBitmaps, m.writeDescriptors, m.writeSuper}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return dev.Flush()
}

// maker is a file system in the making.
type maker struct {
	dev    Device
	o      MakeOptions
	s      *super
	f      *FS // for checksums; it is not mounted
	groups []group

	next      uint64 // the first free block of group 0 and those behind it
	journal   []extent
	root      uint64
	lost      uint64 // first block of lost+found
	lostSize  uint32 // blocks
	logBlocks uint32
	raw       [lostFound + 1][]byte // inodes
}

func newMaker(dev Device, o MakeOptions) *maker {
	s := &super{
		blockSize: makeBlock, blocks: uint64(dev.Size()) / makeBlock, perGroup: 8 * makeBlock,
		inodeSize: makeInodeSize, firstInode: 11, descSize: makeDescSize, wantExtra: 32,
		compat: compatJournal, incompat: incompatFiletype | incompatExtents | incompat64,
		ro:      roSparse | roLargeFile | roHugeFile | roDirNlink | roExtraIsize | roMetadataCsum,
		journal: journalInode, state: stateValid, uuid: o.UUID,
	}
	s.seed = crc32c(^uint32(0), s.uuid[:])
	s.groups = uint32((s.blocks + uint64(s.perGroup) - 1) / uint64(s.perGroup))
	const perBlock = makeBlock / makeInodeSize
	want := s.blocks * makeBlock / makeInodeRatio / uint64(s.groups)
	s.inodesPerGroup = uint32(max((want+perBlock-1)/perBlock*perBlock, 2*perBlock))
	// A last group that has no room for its own tables is left out.
	if last := s.groupBlocks(s.groups - 1); s.groups > 1 && last < s.baseBlocks(s.groups-1)+s.tableBlocks()+64 {
		s.groups--
		s.blocks -= uint64(last)
	}
	s.inodes = s.inodesPerGroup * s.groups
	m := &maker{dev: dev, o: o, s: s, logBlocks: journalBlocks(s.blocks)}
	m.f = newFS(dev, s, Options{Now: func() time.Time { return o.Time }})
	return m
}

// journalBlocks is how long a log suits: 4 MiB at least, 64 MiB at most.
func journalBlocks(blocks uint64) uint32 {
	switch {
	case blocks < 128<<20/makeBlock:
		return 1024
	case blocks < 1<<30/makeBlock:
		return 2048
	case blocks < 16<<30/makeBlock:
		return 4096
	}
	return 16384
}

// placeGroups puts each group's bitmaps and inode table at its start.
func (m *maker) placeGroups() error {
	s := m.s
	m.groups = make([]group, s.groups)
	for i := range m.groups {
		g, number := &m.groups[i], uint32(i)
		at := s.groupStart(number) + uint64(s.baseBlocks(number))
		g.blockBitmap, g.inodeBitmap, g.table = at, at+1, at+2
		used := s.baseBlocks(number) + 2 + s.tableBlocks()
		g.freeBlocks = s.groupBlocks(number) - used
		g.freeInodes, g.unusedInodes = s.inodesPerGroup, s.inodesPerGroup
		g.flags = groupNoInodes | groupZeroed
		if number != 0 && number != s.groups-1 {
			g.flags |= groupNoBlocks
		}
		if i == 0 {
			m.next = uint64(used)
		}
	}
	m.f.groups = m.groups
	return nil
}

// take gives out n blocks from the start of the device on, in pieces.
func (m *maker) take(n uint32) (pieces []extent, err error) {
	logical := uint32(0)
	for number := uint32(0); n > 0; number++ {
		if number == m.s.groups {
			return nil, errors.New("the volume is too small")
		}
		g := &m.groups[number]
		part := min(n, g.freeBlocks, maxExtent)
		if part == 0 {
			continue
		}
		at := m.s.groupStart(number) + uint64(m.s.groupBlocks(number)-g.freeBlocks)
		pieces = append(pieces, extent{logical: logical, n: part, physical: at})
		g.freeBlocks -= part
		g.flags &^= groupNoBlocks
		logical, n = logical+part, n-part
	}
	return pieces, nil
}

// makeJournal writes an empty log.
func (m *maker) makeJournal() (err error) {
	if m.journal, err = m.take(m.logBlocks); err != nil {
		return err
	}
	b := make([]byte, makeBlock)
	putBE32(b, logMagic)
	putBE32(b[4:], logSuper2)
	putBE32(b[0xc:], makeBlock)
	putBE32(b[0x10:], m.logBlocks)
	putBE32(b[0x14:], 1)
	putBE32(b[logSequence:], 1)
	putBE32(b[0x28:], logHasRevoke|logHas64|logCsum3)
	copy(b[0x30:], m.o.UUID[:])
	putBE32(b[0x40:], 1)
	b[0x50] = logCrc32c
	putBE32(b[logSum:], logSuperSum(b))
	return m.dev.Write(m.f.offset(m.journal[0].physical), b)
}

// makeDirectories writes the root directory and lost+found, which has room for
// what e2fsck may find.
func (m *maker) makeDirectories() error {
	m.lostSize = 4
	pieces, err := m.take(1 + m.lostSize)
	if err != nil || len(pieces) != 1 {
		return errors.New("the volume is too small")
	}
	m.root, m.lost = pieces[0].physical, pieces[0].physical+1
	root, lost := m.inode(rootInode), m.inode(lostFound)
	end := m.f.entryEnd()
	b := make([]byte, makeBlock)
	firstEntries(b, end, rootInode, rootInode)
	placeEntry(b, 12, end-12, end-24, "lost+found", lostFound, 2)
	m.f.sealDir(root, b)
	if err := m.dev.Write(m.f.offset(m.root), b); err != nil {
		return err
	}
	for i := range m.lostSize {
		b := make([]byte, makeBlock)
		put16(b[4:], uint16(end))
		if i == 0 {
			firstEntries(b, end, lostFound, rootInode)
		}
		m.f.sealDir(lost, b)
		if err := m.dev.Write(m.f.offset(m.lost+uint64(i)), b); err != nil {
			return err
		}
	}
	return nil
}

// inode is one of the first inodes, empty at first.
func (m *maker) inode(number uint32) *Inode {
	if m.raw[number] == nil {
		m.raw[number] = make([]byte, makeInodeSize)
	}
	return &Inode{number: number, raw: m.raw[number]}
}

// makeInodes writes the first inodes.
func (m *maker) makeInodes() error {
	m.describe(rootInode, 0x41ed, 3, []extent{{n: 1, physical: m.root}})
	m.describe(lostFound, 0x41c0, 2, []extent{{n: m.lostSize, physical: m.lost}})
	m.describe(journalInode, 0x8180, 1, m.journal)
	g := &m.groups[0]
	g.flags &^= groupNoInodes
	g.freeInodes -= lostFound
	g.unusedInodes -= lostFound
	g.dirs = 2
	table := make([]byte, (lostFound*makeInodeSize+makeBlock-1)/makeBlock*makeBlock)
	for number, raw := range m.raw {
		if number == 0 {
			continue
		}
		in := m.inode(uint32(number))
		if raw == nil { // reserved ones have a checksum too
			raw = in.raw
		}
		sum := m.f.inodeSum(in)
		put16(raw[0x7c:], uint16(sum))
		if in.extra() >= 4 {
			put16(raw[0x82:], uint16(sum>>16))
		}
		copy(table[(number-1)*makeInodeSize:], raw)
	}
	return m.dev.Write(m.f.offset(g.table), table)
}

// describe fills in an inode whose blocks are at most four pieces.
func (m *maker) describe(number, mode, links uint32, pieces []extent) {
	in := m.inode(number)
	put16(in.raw, uint16(mode))
	put16(in.raw[0x80:], 32)
	in.setLinks(links)
	m.f.touch(in, timeAccess, timeChange, timeModify)
	copy(in.raw[0x90:0x94], in.raw[timeChange:])
	copy(in.raw[0x94:0x98], in.raw[0x84:])
	put32(in.raw[0x20:], flagExtents)
	root := node{data: in.raw[0x28:0x64]}
	initRoot(root.data)
	blocks := uint64(0)
	for i, x := range pieces {
		root.setCount(i + 1)
		root.setExtent(i, x)
		blocks += uint64(x.n)
	}
	m.f.addBlocks(in, int64(blocks))
	in.setSize(blocks * makeBlock)
}

// writeBitmaps writes the bitmaps of the groups that have them.
func (m *maker) writeBitmaps() error {
	s := m.s
	for i := range m.groups {
		g, number := &m.groups[i], uint32(i)
		if g.flags&groupNoBlocks == 0 {
			b := make([]byte, makeBlock)
			for bit := range s.groupBlocks(number) - g.freeBlocks {
				setBit(b, bit)
			}
			s.padBitmap(b, s.groupBlocks(number))
			g.blockSum = s.bitmapSum(b, s.perGroup)
			if err := m.dev.Write(m.f.offset(g.blockBitmap), b); err != nil {
				return err
			}
		}
		if g.flags&groupNoInodes == 0 {
			b := make([]byte, makeBlock)
			for bit := range s.inodesPerGroup - g.freeInodes {
				setBit(b, bit)
			}
			s.padBitmap(b, s.inodesPerGroup)
			g.inodeSum = s.bitmapSum(b, s.inodesPerGroup)
			if err := m.dev.Write(m.f.offset(g.inodeBitmap), b); err != nil {
				return err
			}
		}
		m.f.freeBlocks += uint64(g.freeBlocks)
		m.f.freeInodes += uint64(g.freeInodes)
	}
	return nil
}

// writeDescriptors writes the table of groups and its copies.
func (m *maker) writeDescriptors() error {
	s := m.s
	b := make([]byte, s.descBlocks()*s.blockSize)
	for i := range m.groups {
		g, d := &m.groups[i], b[i*makeDescSize:][:makeDescSize]
		for at, block := range map[int]uint64{0: g.blockBitmap, 4: g.inodeBitmap, 8: g.table} {
			put32(d[at:], uint32(block))
			put32(d[0x20+at:], uint32(block>>32))
		}
		s.encodeGroup(d, uint32(i), g)
	}
	for number := range s.groups {
		if !s.hasSuper(number) {
			continue
		}
		if err := m.dev.Write(m.f.offset(s.groupStart(number)+1), b); err != nil {
			return err
		}
	}
	return nil
}

// writeSuper writes the superblock and its copies.
func (m *maker) writeSuper() error {
	for number := range m.s.groups {
		if !m.s.hasSuper(number) {
			continue
		}
		b := m.super(number)
		at := m.f.offset(m.s.groupStart(number))
		if number == 0 {
			at = superOffset
		}
		if err := m.dev.Write(at, b); err != nil {
			return err
		}
	}
	return nil
}

func (m *maker) super(number uint32) []byte {
	s, b, now := m.s, make([]byte, superSize), uint32(m.o.Time.Unix())
	for at, v := range map[int]uint32{
		0x0: s.inodes, 0x4: uint32(s.blocks), 0x150: uint32(s.blocks >> 32), 0x18: 2, 0x1c: 2,
		0x20: s.perGroup, 0x24: s.perGroup, 0x28: s.inodesPerGroup, 0x40: now, 0x48: 0, 0x4c: 1, 0x54: s.firstInode,
		0x5c: s.compat, 0x60: s.incompat, 0x64: s.ro, 0xe0: journalInode, 0x100: 0xc, 0x108: now, 0x160: 1,
	} {
		put32(b[at:], v)
	}
	for at, v := range map[int]uint16{
		0x36: 0xffff, 0x38: superMagic, 0x3a: s.state, 0x3c: 2, 0x58: makeInodeSize, 0x5a: uint16(number),
		0xfe: makeDescSize, 0x15c: 32, 0x15e: 32,
	} {
		put16(b[at:], v)
	}
	copy(b[0x68:0x78], m.o.UUID[:])
	copy(b[0x78:0x88], m.o.Label)
	copy(b[0xec:0xfc], m.o.Hash[:])
	b[0xfc] = 1 // half MD4
	b[0xfd] = 1 // the journal's inode is kept here too
	raw := m.inode(journalInode).raw
	copy(b[0x10c:], raw[0x28:0x64])
	copy(b[0x10c+15*4:], raw[0x6c:0x70])
	copy(b[0x10c+16*4:], raw[4:8])
	b[0x175] = 1 // crc32c
	m.f.sealSuper(b)
	return b
}
