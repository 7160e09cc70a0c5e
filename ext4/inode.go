package ext4

import (
	"sync"
	"syscall"
	"time"
)

// Numbers of inodes that are always there.
const (
	rootInode    = 2
	resizeInode  = 7 // its blocks are room for group descriptors
	journalInode = 8
)

// Flags of inodes.
const (
	flagImmutable = 0x10
	flagAppend    = 0x20
	flagIndex     = 0x1000  // a directory with hashed blocks
	flagHuge      = 0x40000 // its blocks are counted in file system blocks
	flagExtents   = 0x80000 // its blocks are found by extents
	flagInline    = 0x10000000
)

// formats is the types in directory entries: the upper bits of a mode by type.
var formats = [...]uint32{
	1: syscall.S_IFREG, 2: syscall.S_IFDIR, 3: syscall.S_IFCHR, 4: syscall.S_IFBLK,
	5: syscall.S_IFIFO, 6: syscall.S_IFSOCK, 7: syscall.S_IFLNK,
}

// entryType returns the type of a format, or 0.
func entryType(format uint32) byte {
	for kind, f := range formats {
		if f == format {
			return byte(kind)
		}
	}
	return 0
}

// formatOf returns the format of a type, or 0.
func formatOf(kind byte) uint32 {
	if int(kind) < len(formats) {
		return formats[kind]
	}
	return 0
}

// Inode is one file, directory or link in memory. Who has one got it from an
// operation of FS and gives it back with FS.Release.
type Inode struct {
	number uint32
	raw    []byte // as on the device

	// io is held by what changes contents, however many transactions it takes, and for
	// reading by what reads the device while FS.mu is free. It comes before FS.mu.
	io sync.RWMutex

	// Guarded by FS.mu:
	users   int
	tid     uint32 // last transaction that changed it
	dataTid uint32 // the same, without changes of its times only
	orphan  bool
	names   *names // of a directory; nil: not read yet

	pages  map[uint32]*page // contents in memory, by block
	dirty  map[uint32]*page
	next   uint32 // the block behind the last one read: a reader in sequence
	ahead  uint32 // how many blocks to read ahead
	goal   uint64 // where blocks are best taken from
	mapped []byte
}

// Number is the inode's number.
func (in *Inode) Number() uint32 { return in.number }

func (in *Inode) mode() uint32   { return uint32(le16(in.raw)) }
func (in *Inode) format() uint32 { return in.mode() & syscall.S_IFMT }
func (in *Inode) size() uint64   { return split32(in.raw[4:], in.raw[0x6c:]) }
func (in *Inode) links() uint32  { return uint32(le16(in.raw[0x1a:])) }
func (in *Inode) flags() uint32  { return le32(in.raw[0x20:]) }
func (in *Inode) isDir() bool    { return in.format() == syscall.S_IFDIR }

// Format is the inode's type, one of syscall.S_IF...
func (in *Inode) Format() uint32 { return in.format() }

func (in *Inode) setSize(n uint64) {
	put32(in.raw[4:], uint32(n))
	put32(in.raw[0x6c:], uint32(n>>32))
}

func (in *Inode) setLinks(n uint32) { put16(in.raw[0x1a:], uint16(n)) }

// sectors is the count of blocks, of 512 bytes (or of the file system's, with
// flagHuge).
func (in *Inode) sectors() uint64 {
	return uint64(le32(in.raw[0x1c:])) | uint64(le16(in.raw[0x74:]))<<32
}

// addBlocks counts blocks that the inode gets or loses.
func (f *FS) addBlocks(in *Inode, n int64) {
	if in.flags()&flagHuge == 0 {
		n *= int64(f.s.blockSize / 512)
	}
	v := in.sectors() + uint64(n)
	put32(in.raw[0x1c:], uint32(v))
	put16(in.raw[0x74:], uint16(v>>32))
}

// extra is how many bytes behind the first 128 are in use.
func (in *Inode) extra() int {
	if len(in.raw) <= 128 {
		return 0
	}
	return int(le16(in.raw[0x80:]))
}

// Places of the times; their extension (nanoseconds and two more bits of the
// seconds) is behind.
const (
	timeAccess = 0x8
	timeChange = 0xc
	timeModify = 0x10
)

// timeExtra returns where the rest of a time is.
func timeExtra(at int) int {
	switch at {
	case timeAccess:
		return 0x8c
	case timeChange:
		return 0x84
	}
	return 0x88
}

func (in *Inode) time(at int) time.Time {
	seconds := int64(int32(le32(in.raw[at:])))
	x := timeExtra(at)
	if in.extra() < x+4-128 {
		return time.Unix(seconds, 0)
	}
	extra := le32(in.raw[x:])
	return time.Unix(seconds+int64(extra&3)<<32, int64(extra>>2))
}

func (in *Inode) setTime(at int, t time.Time) {
	seconds := t.Unix()
	put32(in.raw[at:], uint32(seconds))
	x := timeExtra(at)
	if in.extra() < x+4-128 {
		return
	}
	epoch := uint32((seconds-int64(int32(seconds)))>>32) & 3
	put32(in.raw[x:], epoch|uint32(t.Nanosecond())<<2)
}

// touch sets times to now.
func (f *FS) touch(in *Inode, at ...int) {
	now := f.clock()
	for _, t := range at {
		in.setTime(t, now)
	}
}

// slot finds where an inode lies: its buffer and offset.
func (f *FS) slot(number uint32) (*buffer, uint32, Errno) {
	if number == 0 || number > f.s.inodes {
		return nil, 0, f.damaged("an inode is referred to that can't be")
	}
	g := &f.groups[(number-1)/f.s.inodesPerGroup]
	at := uint64((number-1)%f.s.inodesPerGroup) * uint64(f.s.inodeSize)
	b, errno := f.buffer(g.table + at/uint64(f.s.blockSize))
	return b, uint32(at % uint64(f.s.blockSize)), errno
}

// load returns an inode, which drop gives back. The caller holds f.mu.
func (f *FS) load(number uint32) (*Inode, Errno) {
	if in := f.inodes[number]; in != nil {
		in.users++
		return in, 0
	}
	b, off, errno := f.slot(number)
	if errno != 0 {
		return nil, errno
	}
	in := &Inode{number: number, raw: append([]byte(nil), b.data[off:off+f.s.inodeSize]...), users: 1}
	if f.s.csum() && f.inodeSum(in) != in.sum() {
		return nil, f.damaged("an inode has a wrong checksum")
	}
	if len(in.raw) > 128 && (in.extra()%4 != 0 || in.extra() > len(in.raw)-128) {
		return nil, f.damaged("an inode is damaged")
	}
	// It may have been changed, forgotten, and not be on the device yet.
	in.tid = f.j.running.id - 1
	if b.joined {
		in.tid++
	}
	in.dataTid = in.tid
	f.inodes[number] = in
	return in, 0
}

// used loads an inode that a directory refers to.
func (f *FS) used(number uint32) (*Inode, Errno) {
	in, errno := f.load(number)
	if errno != 0 {
		return nil, errno
	}
	if in.gone() {
		f.drop(in)
		return nil, f.damaged("a directory refers to a deleted inode")
	}
	return in, 0
}

// gone tells whether an inode was deleted.
func (in *Inode) gone() bool { return in.mode() == 0 || in.links() == 0 && !in.orphan }

// drop gives an inode back; the last user's drop may forget it.
func (f *FS) drop(in *Inode) {
	in.users--
	if in.users == 0 && len(in.dirty) == 0 && !in.orphan {
		f.forgetInode(in)
	}
}

// idleInodes bounds how many inodes are kept though nobody uses them.
const idleInodes = 4096

// forgetInode lets an inode go, at the latest when there are many.
func (f *FS) forgetInode(in *Inode) {
	if len(f.inodes) < idleInodes && in.links() > 0 {
		return
	}
	for _, other := range f.inodes {
		if other.users == 0 && len(other.dirty) == 0 && !other.orphan {
			f.dropPages(other, 0)
			f.dropNames(other)
			delete(f.inodes, other.number)
		}
		if len(f.inodes) < idleInodes/2 {
			return
		}
	}
}

// store puts an inode's bytes into the transaction.
func (f *FS) store(in *Inode) Errno {
	in.dataTid = f.j.running.id
	return f.storeTimes(in)
}

// storeTimes is store where nothing but times has changed.
func (f *FS) storeTimes(in *Inode) Errno {
	b, off, errno := f.slot(in.number)
	if errno != 0 {
		return errno
	}
	in.tid = f.j.running.id
	if f.s.csum() {
		sum := f.inodeSum(in)
		put16(in.raw[0x7c:], uint16(sum))
		if in.extra() >= 4 {
			put16(in.raw[0x82:], uint16(sum>>16))
		}
	}
	copy(f.change(b)[off:], in.raw)
	return 0
}

// seed is what checksums of an inode's blocks begin with.
func (f *FS) seed(in *Inode) uint32 {
	return crc32c(crcOf32(f.s.seed, in.number), in.raw[0x64:0x68])
}

func (in *Inode) sum() uint32 {
	if in.extra() >= 4 {
		return split16(in.raw[0x7c:], in.raw[0x82:])
	}
	return uint32(le16(in.raw[0x7c:]))
}

func (f *FS) inodeSum(in *Inode) uint32 {
	zero := []byte{0, 0}
	crc := crc32c(f.seed(in), in.raw[:0x7c])
	crc = crc32c(crc32c(crc, zero), in.raw[0x7e:0x80])
	if len(in.raw) == 128 {
		return crc & 0xffff
	}
	if in.extra() < 4 {
		return crc32c(crc, in.raw[0x80:]) & 0xffff
	}
	crc = crc32c(crc, in.raw[0x80:0x82])
	return crc32c(crc32c(crc, zero), in.raw[0x84:])
}

// newInode takes an inode near a directory. It has one link less than it will
// have, and no blocks.
func (f *FS) newInode(dir *Inode, mode, uid, gid uint32) (*Inode, Errno) {
	number, errno := f.takeInode((dir.number-1)/f.s.inodesPerGroup, mode&syscall.S_IFMT == syscall.S_IFDIR)
	if errno != 0 {
		return nil, errno
	}
	if f.inodes[number] != nil {
		delete(f.inodes, number) // an idle one that was deleted
	}
	in := &Inode{number: number, raw: make([]byte, f.s.inodeSize), users: 1}
	put16(in.raw, uint16(mode))
	put16(in.raw[2:], uint16(uid))
	put16(in.raw[0x78:], uint16(uid>>16))
	put16(in.raw[0x18:], uint16(gid))
	put16(in.raw[0x7a:], uint16(gid>>16))
	f.generation++
	put32(in.raw[0x64:], f.generation)
	if len(in.raw) > 128 {
		put16(in.raw[0x80:], uint16(min(32, len(in.raw)-128)))
	}
	f.touch(in, timeAccess, timeChange, timeModify)
	if len(in.raw) >= 0x98 { // time of birth
		copy(in.raw[0x90:0x94], in.raw[timeChange:])
		copy(in.raw[0x94:0x98], in.raw[0x84:])
	}
	switch mode & syscall.S_IFMT {
	case syscall.S_IFREG, syscall.S_IFDIR:
		put32(in.raw[0x20:], flagExtents)
		initRoot(in.raw[0x28:0x64])
	}
	f.inodes[number] = in
	return in, 0
}

// takeInode marks a free inode as used. Directories spread over groups.
func (f *FS) takeInode(parent uint32, dir bool) (uint32, Errno) {
	if f.freeInodes == 0 {
		return 0, syscall.ENOSPC
	}
	first := parent
	if dir {
		first = f.roomiest(parent)
	}
	for i := range f.s.groups {
		number := (first + i) % f.s.groups
		if f.groups[number].freeInodes == 0 {
			continue
		}
		in, errno := f.takeInodeIn(number, dir)
		if in != 0 || errno != 0 {
			return in, errno
		}
	}
	return 0, f.damaged("there are fewer free inodes than groups count")
}

// roomiest is the group that suits a new directory: the parent's, unless another
// one has clearly more room.
func (f *FS) roomiest(parent uint32) uint32 {
	best := parent
	for i := range f.groups {
		g, b := &f.groups[i], &f.groups[best]
		if g.freeInodes > b.freeInodes && g.freeBlocks > b.freeBlocks+f.s.perGroup/16 {
			best = uint32(i)
		}
	}
	return best
}

func (f *FS) takeInodeIn(number uint32, dir bool) (uint32, Errno) {
	g := &f.groups[number]
	if _, errno := f.blockBitmap(number); errno != 0 { // as Linux: a group with inodes has both
		return 0, errno
	}
	b, errno := f.inodeBitmap(number)
	if errno != 0 {
		return 0, errno
	}
	from := uint32(0)
	if number == 0 {
		from = f.s.firstInode - 1
	}
	i := nextFree(b.data, nil, from, f.s.inodesPerGroup)
	if i == f.s.inodesPerGroup {
		return 0, 0
	}
	data := f.change(b)
	setBit(data, i)
	g.inodeSum = f.s.bitmapSum(data, f.s.inodesPerGroup)
	g.freeInodes--
	f.freeInodes--
	if dir {
		g.dirs++
	}
	g.unusedInodes = min(g.unusedInodes, f.s.inodesPerGroup-i-1)
	return number*f.s.inodesPerGroup + i + 1, f.storeGroup(number)
}

// freeInode gives an inode without blocks back.
func (f *FS) freeInode(in *Inode) Errno {
	dir := in.isDir()
	put32(in.raw[0x14:], uint32(f.clock().Unix()))
	put16(in.raw, 0)
	in.setSize(0)
	in.setLinks(0)
	if errno := f.store(in); errno != 0 {
		return errno
	}
	number := (in.number - 1) / f.s.inodesPerGroup
	g := &f.groups[number]
	b, errno := f.inodeBitmap(number)
	if errno != 0 {
		return errno
	}
	i := (in.number - 1) % f.s.inodesPerGroup
	if !hasBit(b.data, i) {
		return f.damaged("an inode is freed that is free")
	}
	data := f.change(b)
	clearBit(data, i)
	g.inodeSum = f.s.bitmapSum(data, f.s.inodesPerGroup)
	g.freeInodes++
	f.freeInodes++
	if dir {
		g.dirs--
	}
	delete(f.inodes, in.number)
	return f.storeGroup(number)
}
