package ext4

import (
	"sort"
	"syscall"
)

// What an operation may change: blocks of metadata (credit), and what it may take
// (spare).
const (
	nameCredit = 48 // two directories, three inodes, a few blocks and their groups
	nameSpare  = 8
)

// linksMost is how many links an inode can have; a directory with more
// subdirectories says 1.
const linksMost = 65000

// Lookup returns what a name in a directory stands for, for Release to give back;
// ENOENT if there is none.
func (f *FS) Lookup(dir *Inode, name string) (*Inode, Errno) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trim()
	s, errno := f.look(dir, name)
	if errno != 0 {
		return nil, errno
	}
	return f.used(s.number)
}

func (f *FS) look(dir *Inode, name string) (slot, Errno) {
	n, errno := f.read(dir)
	if errno != 0 {
		return slot{}, errno
	}
	s, ok := n.slots[name]
	if !ok {
		return slot{}, syscall.ENOENT
	}
	return s, 0
}

// vacant checks that a name can be made.
func (f *FS) vacant(dir *Inode, name string) Errno {
	switch _, errno := f.look(dir, name); {
	case errno == 0:
		return syscall.EEXIST
	case errno != syscall.ENOENT:
		return errno
	case len(name) > nameMax:
		return syscall.ENAMETOOLONG
	case dir.links() == 0:
		return syscall.ENOENT
	case dir.flags()&flagImmutable != 0:
		return syscall.EPERM
	}
	return 0
}

// Make makes a file, a directory or a device node: mode has its type and
// permissions, rdev a device's number. It is given back by Release.
func (f *FS) Make(dir *Inode, name string, mode, uid, gid uint32, rdev uint64) (*Inode, Errno) {
	return f.make(dir, name, mode, uid, gid, func(in *Inode) Errno {
		switch in.format() {
		case syscall.S_IFDIR:
			return f.newDir(in, dir.number)
		case syscall.S_IFCHR, syscall.S_IFBLK:
			major, minor := uint32(rdev>>8)&0xfff|uint32(rdev>>32)&^0xfff, uint32(rdev)&0xff|uint32(rdev>>12)&^0xff
			put32(in.raw[0x2c:], minor&0xff|major<<8|(minor&^0xff)<<12)
		}
		return 0
	})
}

// Symlink makes a symbolic link.
func (f *FS) Symlink(dir *Inode, name, target string, uid, gid uint32) (*Inode, Errno) {
	if len(target) >= int(f.s.blockSize) {
		return nil, syscall.ENAMETOOLONG
	}
	return f.make(dir, name, syscall.S_IFLNK|0o777, uid, gid, func(in *Inode) Errno {
		in.setSize(uint64(len(target)))
		if len(target) < 60 {
			copy(in.raw[0x28:], target)
			return 0
		}
		put32(in.raw[0x20:], flagExtents)
		initRoot(in.raw[0x28:0x64])
		block, n, errno := f.allocate(f.goalOf(in), 1)
		if errno != 0 || n == 0 {
			return errno
		}
		copy(f.fresh(block).data, target)
		f.addBlocks(in, 1)
		return f.addExtent(in, extent{n: 1, physical: block})
	})
}

// Unnamed makes a regular file that has no name yet (O_TMPFILE).
func (f *FS) Unnamed(dir *Inode, mode, uid, gid uint32) (*Inode, Errno) {
	if errno := f.beginWith(nameCredit, nameSpare); errno != 0 {
		return nil, errno
	}
	defer f.end()
	in, errno := f.newInode(dir, syscall.S_IFREG|mode&0o7777, uid, gid)
	if errno != 0 {
		return nil, errno
	}
	if errno := f.addOrphan(in); errno != 0 {
		return nil, errno
	}
	return in, f.store(in)
}

// make makes an inode, has fill fill it, and gives it a name.
func (f *FS) make(dir *Inode, name string, mode, uid, gid uint32, fill func(*Inode) Errno) (*Inode, Errno) {
	if errno := f.beginWith(nameCredit, nameSpare); errno != 0 {
		return nil, errno
	}
	defer f.end()
	if errno := f.vacant(dir, name); errno != 0 {
		return nil, errno
	}
	if mode&syscall.S_IFMT == syscall.S_IFDIR && dir.links() >= linksMost && f.s.ro&roDirNlink == 0 {
		return nil, syscall.EMLINK
	}
	in, errno := f.newInode(dir, mode, uid, gid)
	if errno != 0 {
		return nil, errno
	}
	in.setLinks(1)
	if in.isDir() {
		in.setLinks(2)
		f.addSubdir(dir, 1)
	}
	if errno = fill(in); errno == 0 {
		errno = f.store(in)
	}
	if errno == 0 {
		errno = f.addEntry(dir, name, in.number, entryType(in.format()))
	}
	if errno != 0 {
		return nil, f.halfDone(errno)
	}
	return in, 0
}

// halfDone gives up writing: an operation that had everything it needs could
// not be finished, so the transaction must never count.
func (f *FS) halfDone(errno Errno) Errno {
	if !f.readOnly {
		f.failed("a change could not be finished: " + errno.Error())
	}
	return errno
}

// addSubdir counts a directory's subdirectories.
func (f *FS) addSubdir(dir *Inode, by int) {
	links := int(dir.links())
	if links == 1 {
		return // too many to be counted
	}
	if links += by; links >= linksMost && f.s.ro&roDirNlink != 0 {
		links = 1
	}
	dir.setLinks(uint32(links))
}

// Link gives an inode another name. One without a name gets none, but for those
// that Unnamed made, if revive is set.
func (f *FS) Link(in, dir *Inode, name string, revive bool) Errno {
	if errno := f.beginWith(nameCredit, nameSpare); errno != 0 {
		return errno
	}
	defer f.end()
	if errno := f.vacant(dir, name); errno != 0 {
		return errno
	}
	switch {
	case in.isDir():
		return syscall.EPERM
	case in.links() == 0 && !revive:
		return syscall.ENOENT
	case in.links() >= linksMost:
		return syscall.EMLINK
	}
	if in.orphan {
		if errno := f.removeOrphan(in); errno != 0 {
			return errno
		}
	}
	in.setLinks(in.links() + 1)
	f.touch(in, timeChange)
	errno := f.store(in)
	if errno == 0 {
		errno = f.addEntry(dir, name, in.number, entryType(in.format()))
	}
	if errno != 0 {
		return f.halfDone(errno)
	}
	return 0
}

// Unlink takes the name of something that is no directory away.
func (f *FS) Unlink(dir *Inode, name string) Errno { return f.remove(dir, name, false) }

// Rmdir takes an empty directory away.
func (f *FS) Rmdir(dir *Inode, name string) Errno { return f.remove(dir, name, true) }

func (f *FS) remove(dir *Inode, name string, wantDir bool) Errno {
	if errno := f.begin(nameCredit); errno != 0 {
		return errno
	}
	s, errno := f.look(dir, name)
	if errno != 0 {
		f.end()
		return errno
	}
	in, errno := f.used(s.number)
	if errno != 0 {
		f.end()
		return errno
	}
	if errno = f.removable(dir, in, wantDir); errno == 0 {
		if errno = f.removeName(dir, name); errno == 0 {
			errno = f.unlinked(dir, in)
		}
		if errno != 0 {
			errno = f.halfDone(errno)
		}
	}
	f.end()
	f.Release(in)
	return errno
}

func (f *FS) removable(dir, in *Inode, wantDir bool) Errno {
	switch {
	case dir.flags()&(flagImmutable|flagAppend) != 0 || in.flags()&(flagImmutable|flagAppend) != 0:
		return syscall.EPERM
	case in.isDir() && !wantDir:
		return syscall.EISDIR
	case !in.isDir() && wantDir:
		return syscall.ENOTDIR
	case wantDir:
		return f.empty(in)
	}
	return 0
}

func (f *FS) empty(dir *Inode) Errno {
	n, errno := f.read(dir)
	if errno == 0 && len(n.slots) > 2 {
		return syscall.ENOTEMPTY
	}
	return errno
}

// unlinked counts a link of in less, whose name in dir is gone, and gets rid of
// it if that was the last one.
func (f *FS) unlinked(dir, in *Inode) Errno {
	f.touch(in, timeChange)
	if in.isDir() {
		in.setLinks(0)
		f.addSubdir(dir, -1)
		if errno := f.store(dir); errno != 0 {
			return errno
		}
	} else {
		in.setLinks(in.links() - 1)
	}
	if in.links() > 0 {
		return f.store(in)
	}
	if errno := f.addOrphan(in); errno != 0 {
		return errno
	}
	return f.store(in)
}

// Rename moves a name to another place, where it replaces what is there, in one
// step. With exchange the two are exchanged; with noReplace nothing may be there.
// That a directory does not move into itself is for the caller to see.
func (f *FS) Rename(from *Inode, oldName string, to *Inode, newName string, noReplace, exchange bool) Errno {
	if errno := f.beginWith(2*nameCredit, nameSpare); errno != 0 {
		// On a full disk a name can still take the place of another.
		if errno != syscall.ENOSPC {
			return errno
		}
		if errno := f.begin(2 * nameCredit); errno != 0 {
			return errno
		}
		if _, errno := f.look(to, newName); errno != 0 {
			f.end()
			return syscall.ENOSPC
		}
	}
	m := move{f: f, from: from, to: to, oldName: oldName, newName: newName}
	errno := m.prepare(noReplace, exchange)
	if errno == 0 && m.in != m.target {
		if exchange {
			errno = m.exchange()
		} else {
			errno = m.do()
		}
		if errno != 0 {
			errno = f.halfDone(errno)
		}
	}
	f.end()
	f.Release(m.in)
	f.Release(m.target)
	return errno
}

// move is one rename.
type move struct {
	f                *FS
	from, to         *Inode
	oldName, newName string
	in               *Inode
	target           *Inode // what is at the new place, or nil
}

func (m *move) prepare(noReplace, exchange bool) Errno {
	f := m.f
	s, errno := f.look(m.from, m.oldName)
	if errno != 0 {
		return errno
	}
	if m.in, errno = f.used(s.number); errno != 0 {
		return errno
	}
	if (m.from.flags()|m.to.flags()|m.in.flags())&(flagImmutable|flagAppend) != 0 {
		return syscall.EPERM
	}
	t, errno := f.look(m.to, m.newName)
	if errno == syscall.ENOENT {
		if exchange {
			return syscall.ENOENT
		}
		return f.vacant(m.to, m.newName)
	}
	if errno != 0 {
		return errno
	}
	if noReplace {
		return syscall.EEXIST
	}
	if m.target, errno = f.used(t.number); errno != 0 || exchange {
		return errno
	}
	switch {
	case m.target.flags()&(flagImmutable|flagAppend) != 0:
		return syscall.EPERM
	case m.in.isDir() && !m.target.isDir():
		return syscall.ENOTDIR
	case !m.in.isDir() && m.target.isDir():
		return syscall.EISDIR
	case m.target.isDir() && m.target != m.in:
		return f.empty(m.target)
	}
	return 0
}

func (m *move) do() Errno {
	f, kind := m.f, entryType(m.in.format())
	var errno Errno
	if m.target == nil {
		errno = f.addEntry(m.to, m.newName, m.in.number, kind)
	} else {
		errno = f.setEntry(m.to, m.newName, m.in.number, kind)
	}
	if errno == 0 {
		errno = f.removeName(m.from, m.oldName)
	}
	if errno == 0 && m.target != nil {
		errno = f.unlinked(m.to, m.target)
	}
	if errno == 0 {
		errno = m.moved(m.in, m.from, m.to)
	}
	return errno
}

func (m *move) exchange() Errno {
	f := m.f
	errno := f.setEntry(m.to, m.newName, m.in.number, entryType(m.in.format()))
	if errno == 0 {
		errno = f.setEntry(m.from, m.oldName, m.target.number, entryType(m.target.format()))
	}
	if errno == 0 {
		errno = m.moved(m.in, m.from, m.to)
	}
	if errno == 0 {
		errno = m.moved(m.target, m.to, m.from)
	}
	return errno
}

// moved does what is left to do with an inode that has moved between directories.
func (m *move) moved(in, from, to *Inode) Errno {
	f := m.f
	f.touch(in, timeChange)
	if errno := f.store(in); errno != 0 || !in.isDir() || from == to {
		return errno
	}
	if errno := f.setEntry(in, "..", to.number, entryType(syscall.S_IFDIR)); errno != 0 {
		return errno
	}
	f.addSubdir(from, -1)
	f.addSubdir(to, 1)
	if errno := f.store(from); errno != 0 {
		return errno
	}
	return f.store(to)
}

// Entry is one name that ReadDir tells of.
type Entry struct {
	Name   string
	Number uint32 // the inode
	Format uint32 // syscall.S_IF..., 0 if the directory doesn't say
	Next   int64  // position behind this entry
}

// ReadDir calls visit for each entry from position pos on, "." and ".." included,
// until it returns false. A position stays valid while the directory changes.
// visit must not call the file system.
func (f *FS) ReadDir(dir *Inode, pos int64, visit func(Entry) bool) Errno {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trim()
	if !dir.isDir() {
		return syscall.ENOTDIR
	}
	if dir.links() == 0 {
		return syscall.ENOENT
	}
	going := true
	for i := pos >> f.blockShift; going && i < int64(dir.size()>>f.blockShift); i++ {
		b, end, errno := f.dirBlock(dir, uint32(i))
		if errno != 0 {
			return errno
		}
		errno = f.entries(b.data, end, func(at, length, _ int) {
			where, number := i<<f.blockShift+int64(at), le32(b.data[at:])
			if !going || where < pos || number == 0 {
				return
			}
			name := string(b.data[at+entryHeader:][:b.data[at+6]])
			going = visit(Entry{name, number, formatOf(b.data[at+7]), where + int64(length)})
		})
		if errno != 0 {
			return errno
		}
	}
	return 0
}

// Names returns a directory's names, sorted, without "." and "..".
func (f *FS) Names(dir *Inode) ([]string, Errno) {
	var list []string
	errno := f.ReadDir(dir, 0, func(e Entry) bool {
		if e.Name != "." && e.Name != ".." {
			list = append(list, e.Name)
		}
		return true
	})
	sort.Strings(list)
	return list, errno
}

// Readlink returns a symbolic link's text.
func (f *FS) Readlink(in *Inode) (string, Errno) {
	f.mu.Lock()
	defer f.mu.Unlock()
	size := in.size()
	switch {
	case in.format() != syscall.S_IFLNK:
		return "", syscall.EINVAL
	case in.flags()&flagExtents == 0 && size < 60:
		return string(in.raw[0x28:][:size]), 0
	case size >= uint64(f.s.blockSize):
		return "", f.damaged("a symbolic link is too long")
	}
	block, _, _, errno := f.find(in, 0)
	if errno != 0 {
		return "", errno
	}
	if block == 0 {
		return "", f.damaged("a symbolic link has no text")
	}
	b, errno := f.buffer(block)
	if errno != 0 {
		return "", errno
	}
	return string(b.data[:size]), 0
}
