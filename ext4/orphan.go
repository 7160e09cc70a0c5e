package ext4

import "math"

// Inodes that have no name but are in use, or of which a cut isn't finished,
// are in a list on the device, so that a crash does not lose their blocks: the
// superblock names the first one, and each the next one in the place of its time
// of deletion.

const superLastOrphan = 0xe8

// addOrphan puts an inode into the list. The caller stores it.
func (f *FS) addOrphan(in *Inode) Errno {
	if in.orphan {
		return 0
	}
	next := uint32(0)
	if n := len(f.orphans); n > 0 {
		next = f.orphans[n-1].number
	}
	put32(in.raw[0x14:], next)
	in.orphan = true
	f.orphans = append(f.orphans, in)
	return f.setLastOrphan(in.number)
}

// removeOrphan takes an inode off the list. The caller stores it.
func (f *FS) removeOrphan(in *Inode) Errno {
	if !in.orphan {
		return 0
	}
	at := len(f.orphans) - 1
	for at >= 0 && f.orphans[at] != in {
		at--
	}
	next := le32(in.raw[0x14:])
	last := at == len(f.orphans)-1
	var newer *Inode
	if !last {
		newer = f.orphans[at+1]
	}
	f.orphans = append(f.orphans[:at], f.orphans[at+1:]...)
	put32(in.raw[0x14:], 0)
	in.orphan = false
	if last {
		return f.setLastOrphan(next)
	}
	put32(newer.raw[0x14:], next)
	return f.store(newer)
}

func (f *FS) setLastOrphan(number uint32) Errno {
	return f.changeSuper(func(b []byte) { put32(b[superLastOrphan:], number) })
}

// evict deletes a file that has neither a name nor a user. It takes as many
// transactions as its blocks need.
func (f *FS) evict(in *Inode) Errno {
	for more := true; more; {
		if errno := f.begin(cutCredit); errno != 0 {
			return errno
		}
		if in.users > 0 || f.inodes[in.number] != in { // somebody got hold of it after all, or has deleted it
			f.end()
			return 0
		}
		var errno Errno
		if in.hasBlocks() {
			more, errno = f.cutExtents(in, 0, math.MaxUint32, true)
		} else {
			more = false
		}
		if errno == 0 {
			errno = f.store(in)
		}
		if errno == 0 && !more {
			errno = f.bury(in)
		}
		if errno != 0 {
			errno = f.halfDone(errno)
		}
		f.end()
		if errno != 0 {
			return errno
		}
	}
	return 0
}

// cutCredit is what one step of a cut may change: 16 pieces, each with a bitmap and
// a descriptor, and nodes of the tree.
const cutCredit = 80

// bury gives an inode that has no blocks any more back.
func (f *FS) bury(in *Inode) Errno {
	f.dropPages(in, 0)
	f.dropNames(in)
	if errno := f.dropAttributes(in); errno != 0 {
		return errno
	}
	if errno := f.removeOrphan(in); errno != 0 {
		return errno
	}
	return f.freeInode(in)
}

// hasBlocks tells whether the inode has a tree of extents.
func (in *Inode) hasBlocks() bool { return in.flags()&flagExtents != 0 }

// attributesMagic begins a block of extended attributes.
const attributesMagic = 0xea020000

// attributes is the block of extended attributes, 0 for none.
func (in *Inode) attributes() uint64 {
	return uint64(le32(in.raw[0x68:])) | uint64(le16(in.raw[0x76:]))<<32
}

// dropAttributes lets go of the block of extended attributes, which several inodes
// may share.
func (f *FS) dropAttributes(in *Inode) Errno {
	block := in.attributes()
	if block == 0 {
		return 0
	}
	if !f.s.inRange(block, 1) {
		return f.damaged("an inode's attributes lie outside of the file system")
	}
	b, errno := f.buffer(block)
	if errno != 0 {
		return errno
	}
	count := le32(b.data[4:])
	if le32(b.data) != attributesMagic || count == 0 {
		return f.damaged("an inode's attributes are damaged")
	}
	put32(in.raw[0x68:], 0)
	put16(in.raw[0x76:], 0)
	f.addBlocks(in, -1)
	if count == 1 {
		f.forget(block)
		return f.release(block, 1)
	}
	data := f.change(b)
	put32(data[4:], count-1)
	if f.s.csum() {
		put32(data[0x10:], 0)
		crc := crcOf32(crcOf32(f.s.seed, uint32(block)), uint32(block>>32))
		put32(data[0x10:], crc32c(crc, data))
	}
	return 0
}

// recoverOrphans finishes, at mount, what a crash has left.
func (f *FS) recoverOrphans() Errno {
	if errno := f.loadOrphans(); errno != 0 {
		return errno
	}
	if errno := f.loadOrphanFile(); errno != 0 {
		return errno
	}
	for len(f.orphans) > 0 {
		if errno := f.finish(f.orphans[len(f.orphans)-1]); errno != 0 {
			return errno
		}
	}
	return 0
}

// loadOrphans reads the list.
func (f *FS) loadOrphans() Errno {
	number := le32(f.superBytes()[superLastOrphan:])
	var list []*Inode
	for number != 0 {
		if number < f.s.firstInode || number > f.s.inodes || f.inodes[number] != nil && f.inodes[number].orphan {
			return f.damaged("the list of deleted files is damaged")
		}
		in, errno := f.load(number)
		if errno != 0 {
			return errno
		}
		in.orphan = true
		list = append(list, in)
		number = le32(in.raw[0x14:])
	}
	for i := len(list) - 1; i >= 0; i-- {
		f.orphans = append(f.orphans, list[i])
	}
	return 0
}

// finish deletes an orphan, or finishes its cut.
func (f *FS) finish(in *Inode) Errno {
	in.users = 0
	if in.links() == 0 {
		return f.evict(in)
	}
	return f.finishCut(in)
}

// finishCut frees what a file has behind its size, and takes it off the list.
func (f *FS) finishCut(in *Inode) Errno {
	for {
		if errno := f.begin(cutCredit); errno != 0 {
			return errno
		}
		from := (in.size() + uint64(f.s.blockSize) - 1) >> f.blockShift
		more, errno := f.cutExtents(in, from, math.MaxUint32, true)
		if errno == 0 && !more && in.links() > 0 {
			errno = f.removeOrphan(in)
		}
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

// orphanMagic ends each block of the orphan file, which newer versions of Linux
// use as well as the list.
const orphanMagic = 0x0b10ca04

// loadOrphanFile moves what is in the orphan file to the list.
func (f *FS) loadOrphanFile() Errno {
	if f.s.ro&roOrphanPresent == 0 || f.s.orphans == 0 {
		return 0
	}
	if errno := f.begin(4); errno != 0 {
		return errno
	}
	file, errno := f.load(f.s.orphans)
	f.end()
	if errno != 0 {
		return errno
	}
	for i := range uint32(file.size() >> f.blockShift) {
		if errno := f.adoptBlock(file, i); errno != 0 {
			return errno
		}
	}
	if errno := f.begin(4); errno != 0 {
		return errno
	}
	defer f.end()
	f.drop(file)
	f.s.ro &^= roOrphanPresent
	return f.changeSuper(func(b []byte) { put32(b[0x64:], f.s.ro) })
}

// adoptBlock moves the inodes of one block of the orphan file to the list.
func (f *FS) adoptBlock(file *Inode, i uint32) Errno {
	f.mu.Lock()
	block, _, _, errno := f.find(file, i)
	f.mu.Unlock()
	if errno != 0 || block == 0 {
		return errno
	}
	for at := 0; at+8 < int(f.s.blockSize); at += 4 {
		if errno := f.adopt(file, block, at); errno != 0 {
			return errno
		}
	}
	return 0
}

func (f *FS) adopt(file *Inode, block uint64, at int) Errno {
	if errno := f.begin(8); errno != 0 {
		return errno
	}
	defer f.end()
	b, errno := f.buffer(block)
	if errno != 0 {
		return errno
	}
	if le32(b.data[len(b.data)-8:]) != orphanMagic {
		return f.damaged("the file of deleted files is damaged")
	}
	number := le32(b.data[at:])
	if number == 0 {
		return 0
	}
	in, errno := f.load(number)
	if errno != 0 {
		return errno
	}
	if errno := f.addOrphan(in); errno != 0 {
		return errno
	}
	data := f.change(b)
	put32(data[at:], 0)
	if f.s.csum() {
		crc := crcOf32(crcOf32(f.seed(file), uint32(block)), uint32(block>>32))
		put32(data[len(data)-4:], crc32c(crc, data[:len(data)-8]))
	}
	return f.store(in)
}
