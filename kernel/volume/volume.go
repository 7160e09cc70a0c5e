// Package volume lets the file tree (package fs) use ext4 volumes (package ext4).
//
// It relies on both, and on nothing of the machine's: a device is an ext4.Device.
// It must not keep inodes of its own: what the tree holds is a number, which is
// looked up for each call, so that a node that was deleted is simply not there.
package volume

import (
	"syscall"

	"pith/ext4"
	"pith/kernel/fs"
)

// Errno is Linux's error number; 0 is success.
type Errno = syscall.Errno

// System is a mounted volume.
type System struct {
	files  *ext4.FS
	source string
}

// New makes a file system for the tree. source is what /proc/mounts shows as its
// device.
func New(files *ext4.FS, source string) *System { return &System{files, source} }

// Type implements fs.FileSystem.
func (s *System) Type() string { return "ext4" }

// Source implements fs.FileSystem.
func (s *System) Source() string { return s.source }

// ReadOnly implements fs.FileSystem.
func (s *System) ReadOnly() bool { return s.files.ReadOnly() }

// Root implements fs.FileSystem.
func (s *System) Root() (fs.Inode, Errno) {
	in, errno := s.files.Root()
	if errno != 0 {
		return nil, errno
	}
	return s.wrap(in), 0
}

// Statfs implements fs.FileSystem.
func (s *System) Statfs(st *syscall.Statfs_t) Errno {
	const magic, nameMax = 0xef53, 255
	u, id := s.files.Usage(), s.files.UUID()
	*st = syscall.Statfs_t{
		Type: magic, Bsize: u.BlockSize, Frsize: u.BlockSize, Namelen: nameMax,
		Blocks: u.Blocks, Bfree: u.FreeBlocks, Bavail: u.FreeBlocks, Files: u.Inodes, Ffree: u.FreeInodes,
	}
	st.Fsid.X__val = [2]int32{
		int32(id[0]) | int32(id[1])<<8 | int32(id[2])<<16 | int32(id[3])<<24,
		int32(id[4]) | int32(id[5])<<8 | int32(id[6])<<16 | int32(id[7])<<24,
	}
	return 0
}

// Sync implements fs.FileSystem.
func (s *System) Sync() Errno { return s.files.SyncAll() }

// Close implements fs.FileSystem.
func (s *System) Close() Errno { return s.files.Unmount() }

// wrap makes the tree's inode of one, which it gives back.
func (s *System) wrap(in *ext4.Inode) *inode {
	i := &inode{system: s, number: in.Number(), generation: in.Generation(), format: in.Format()}
	s.files.Release(in)
	return i
}

// inode is what the tree holds.
type inode struct {
	system             *System
	number, generation uint32
	format             uint32
}

// with calls f with the inode itself.
func (i *inode) with(f func(files *ext4.FS, in *ext4.Inode) Errno) Errno {
	in, errno := i.get()
	if errno != 0 {
		return errno
	}
	defer i.system.files.Release(in)
	return f(i.system.files, in)
}

func (i *inode) get() (*ext4.Inode, Errno) {
	in, errno := i.system.files.Get(i.number)
	if errno == 0 && in.Generation() != i.generation {
		i.system.files.Release(in)
		return nil, syscall.ENOENT
	}
	return in, errno
}

// Number, Format, Forget, Hold and Drop implement fs.Inode.

func (i *inode) Number() uint64 { return uint64(i.number) }
func (i *inode) Format() uint32 { return i.format }
func (i *inode) Forget()        {}

func (i *inode) Hold() Errno {
	_, errno := i.get()
	return errno
}

func (i *inode) Drop() {
	i.with(func(files *ext4.FS, in *ext4.Inode) Errno {
		files.Release(in) // what Hold got
		return 0
	})
}

// Stat implements fs.Inode.
func (i *inode) Stat(st *syscall.Stat_t) Errno {
	return i.with(func(files *ext4.FS, in *ext4.Inode) Errno {
		a := files.Stat(in)
		*st = syscall.Stat_t{
			Ino: uint64(a.Number), Nlink: uint64(a.Links), Mode: a.Mode, Uid: a.UID, Gid: a.GID, Rdev: a.Rdev,
			Size: a.Size, Blksize: a.BlockSize, Blocks: int64(a.Sectors),
			Atim: syscall.NsecToTimespec(a.Accessed.UnixNano()),
			Mtim: syscall.NsecToTimespec(a.Modified.UnixNano()),
			Ctim: syscall.NsecToTimespec(a.Changed.UnixNano()),
		}
		return 0
	})
}

// SetAttr implements fs.Inode.
func (i *inode) SetAttr(a fs.Attr) Errno {
	return i.with(func(files *ext4.FS, in *ext4.Inode) Errno {
		if a.Set&fs.SetSize != 0 {
			if errno := files.Truncate(in, a.Size); errno != 0 {
				return errno
			}
		}
		if a.Set&^fs.SetSize == 0 {
			return 0
		}
		return files.SetAttributes(in, changes(a))
	})
}

func changes(a fs.Attr) (c ext4.Changes) {
	if a.Set&fs.SetMode != 0 {
		c.Mode = &a.Mode
	}
	if a.Set&fs.SetUid != 0 {
		c.UID = &a.Uid
	}
	if a.Set&fs.SetGid != 0 {
		c.GID = &a.Gid
	}
	if a.Set&fs.SetAccessed != 0 {
		c.Accessed = &a.Accessed
	}
	if a.Set&fs.SetModified != 0 {
		c.Modified = &a.Modified
	}
	return c
}

// ReadAt implements fs.Data.
func (i *inode) ReadAt(p []byte, off int64) (n int, errno Errno) {
	errno = i.with(func(files *ext4.FS, in *ext4.Inode) Errno {
		n, errno = files.ReadAt(in, p, off)
		return errno
	})
	return n, errno
}

// WriteAt implements fs.Data.
func (i *inode) WriteAt(p []byte, off int64) (n int, errno Errno) {
	errno = i.with(func(files *ext4.FS, in *ext4.Inode) Errno {
		n, _, errno = files.WriteAt(in, p, off, false)
		if errno == 0 && n < len(p) {
			return syscall.ENOSPC
		}
		return errno
	})
	return n, errno
}

// Allocate implements fs.Data.
func (i *inode) Allocate(mode uint32, off, size int64) Errno {
	return i.with(func(files *ext4.FS, in *ext4.Inode) Errno { return files.Allocate(in, mode, off, size) })
}

// Fsync implements fs.Data.
func (i *inode) Fsync(dataOnly bool) Errno {
	return i.with(func(files *ext4.FS, in *ext4.Inode) Errno { return files.Sync(in, dataOnly) })
}
