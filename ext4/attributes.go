package ext4

import (
	"syscall"
	"time"
)

// Attributes is what stat(2) tells of an inode.
type Attributes struct {
	Number                      uint32
	Mode                        uint32 // type and permissions
	Links                       uint32
	UID, GID                    uint32
	Rdev                        uint64
	Size                        int64
	Sectors                     uint64 // blocks of 512 bytes
	BlockSize                   int64
	Accessed, Modified, Changed time.Time
}

// Stat returns an inode's attributes.
func (f *FS) Stat(in *Inode) Attributes {
	f.mu.Lock()
	defer f.mu.Unlock()
	sectors := in.sectors()
	if in.flags()&flagHuge != 0 {
		sectors *= uint64(f.s.blockSize / 512)
	}
	return Attributes{
		Number: in.number, Mode: in.mode(), Links: in.links(),
		UID: split16(in.raw[2:], in.raw[0x78:]), GID: split16(in.raw[0x18:], in.raw[0x7a:]),
		Rdev: in.rdev(), Size: int64(in.size()), Sectors: sectors, BlockSize: int64(f.s.blockSize),
		Accessed: in.time(timeAccess), Modified: in.time(timeModify), Changed: in.time(timeChange),
	}
}

// rdev is a device node's number, in Linux's way of stat(2).
func (in *Inode) rdev() uint64 {
	if in.format() != syscall.S_IFCHR && in.format() != syscall.S_IFBLK {
		return 0
	}
	major, minor := uint64(0), uint64(0)
	if old := le32(in.raw[0x28:]); old != 0 {
		major, minor = uint64(old>>8&0xff), uint64(old&0xff)
	} else {
		v := le32(in.raw[0x2c:])
		major, minor = uint64(v>>8&0xfff), uint64(v&0xff|v>>12&^0xff)
	}
	return minor&0xff | major&0xfff<<8 | minor&^0xff<<12 | major&^0xfff<<32
}

// Changes are attributes to set; nil fields stay as they are.
type Changes struct {
	Mode               *uint32 // permissions, 12 bits
	UID, GID           *uint32
	Accessed, Modified *time.Time
}

// SetAttributes changes an inode's attributes.
func (f *FS) SetAttributes(in *Inode, c Changes) Errno {
	if errno := f.begin(4); errno != 0 {
		return errno
	}
	defer f.end()
	if in.gone() {
		return syscall.ENOENT
	}
	if in.flags()&flagImmutable != 0 {
		return syscall.EPERM
	}
	if c.Mode != nil {
		put16(in.raw, uint16(in.format()|*c.Mode&0o7777))
	}
	if c.UID != nil {
		put16(in.raw[2:], uint16(*c.UID))
		put16(in.raw[0x78:], uint16(*c.UID>>16))
	}
	if c.GID != nil {
		put16(in.raw[0x18:], uint16(*c.GID))
		put16(in.raw[0x7a:], uint16(*c.GID>>16))
	}
	if c.Accessed != nil {
		in.setTime(timeAccess, *c.Accessed)
	}
	if c.Modified != nil {
		in.setTime(timeModify, *c.Modified)
	}
	f.touch(in, timeChange)
	if c.Mode == nil && c.UID == nil && c.GID == nil {
		return f.storeTimes(in)
	}
	return f.store(in)
}

// accessed notes, in memory only, that a file was read: it gets to the device with
// the next change of its inode, if that was not read since it was changed or for a
// day (relatime).
func (f *FS) accessed(in *Inode) {
	if f.readOnly {
		return
	}
	now, last := f.clock(), in.time(timeAccess)
	if last.Before(in.time(timeModify)) || now.Sub(last) > 24*time.Hour {
		in.setTime(timeAccess, now)
	}
}

// Usage is how full a file system is, in blocks and inodes.
type Usage struct {
	BlockSize          int64
	Blocks, FreeBlocks uint64
	Inodes, FreeInodes uint64
}

// Usage tells how full the file system is.
func (f *FS) Usage() Usage {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Usage{int64(f.s.blockSize), f.s.blocks, f.freeBlocks, uint64(f.s.inodes), f.freeInodes}
}

// UUID identifies the file system.
func (f *FS) UUID() [16]byte { return f.s.uuid }

// Root returns the root directory, for Release to give back.
func (f *FS) Root() (*Inode, Errno) { return f.Get(rootInode) }

// Get returns the inode of a number; ENOENT if it was deleted.
func (f *FS) Get(number uint32) (*Inode, Errno) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trim()
	in, errno := f.load(number)
	if errno == 0 && in.gone() {
		f.drop(in)
		return nil, syscall.ENOENT
	}
	return in, errno
}

// Generation tells inodes apart that have had the same number.
func (in *Inode) Generation() uint32 { return le32(in.raw[0x64:]) }

// Hold counts a user of an inode more; Release one less. The last Release of a file
// without a name deletes it.
func (f *FS) Hold(in *Inode) {
	f.mu.Lock()
	in.users++
	f.mu.Unlock()
}

// Release gives an inode back. nil is ignored.
func (f *FS) Release(in *Inode) {
	if in == nil {
		return
	}
	f.mu.Lock()
	f.drop(in)
	gone := in.users == 0 && in.orphan && in.links() == 0 && !f.readOnly
	f.mu.Unlock()
	if gone {
		f.evict(in)
	}
}
