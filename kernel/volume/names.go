package volume

import (
	"syscall"

	"pith/ext4"
	"pith/kernel/fs"
)

// Lookup implements fs.Names.
func (i *inode) Lookup(name string) (found fs.Inode, errno Errno) {
	errno = i.with(func(files *ext4.FS, dir *ext4.Inode) Errno {
		in, errno := files.Lookup(dir, name)
		if errno != 0 {
			return errno
		}
		found = i.system.wrap(in)
		return 0
	})
	return found, errno
}

// Create implements fs.Names.
func (i *inode) Create(name string, n fs.NewInode) (made fs.Inode, errno Errno) {
	errno = i.with(func(files *ext4.FS, dir *ext4.Inode) Errno {
		var in *ext4.Inode
		var errno Errno
		if n.Mode&syscall.S_IFMT == syscall.S_IFLNK {
			in, errno = files.Symlink(dir, name, n.Target, n.Uid, n.Gid)
		} else {
			in, errno = files.Make(dir, name, n.Mode, n.Uid, n.Gid, n.Rdev)
		}
		if errno != 0 {
			return errno
		}
		made = i.system.wrap(in)
		return 0
	})
	return made, errno
}

// Link implements fs.Names.
func (i *inode) Link(name string, node fs.Inode) Errno {
	return i.with(func(files *ext4.FS, dir *ext4.Inode) Errno {
		return node.(*inode).with(func(_ *ext4.FS, in *ext4.Inode) Errno {
			return files.Link(in, dir, name, false)
		})
	})
}

// Unlink implements fs.Names.
func (i *inode) Unlink(name string, directory bool) Errno {
	return i.with(func(files *ext4.FS, dir *ext4.Inode) Errno {
		if directory {
			return files.Rmdir(dir, name)
		}
		return files.Unlink(dir, name)
	})
}

// Rename implements fs.Names.
func (i *inode) Rename(name string, to fs.Inode, toName string, exchange bool) Errno {
	return i.with(func(files *ext4.FS, from *ext4.Inode) Errno {
		return to.(*inode).with(func(_ *ext4.FS, to *ext4.Inode) Errno {
			return files.Rename(from, name, to, toName, false, exchange)
		})
	})
}

// ReadDir implements fs.Names.
func (i *inode) ReadDir(pos int64, f func(fs.Entry) bool) Errno {
	return i.with(func(files *ext4.FS, dir *ext4.Inode) Errno {
		return files.ReadDir(dir, pos, func(e ext4.Entry) bool {
			if e.Name == "." || e.Name == ".." {
				return true
			}
			return f(fs.Entry{Name: e.Name, Inode: uint64(e.Number), Format: e.Format, Next: e.Next})
		})
	})
}

// Readlink implements fs.Names.
func (i *inode) Readlink() (target string, errno Errno) {
	errno = i.with(func(files *ext4.FS, in *ext4.Inode) Errno {
		target, errno = files.Readlink(in)
		return errno
	})
	return target, errno
}
