package fs

import (
	"syscall"
	"time"
)

// FileSystem is a file system of another kind than the tree's own tmpfs: one
// on a disk, on a host, in the image. Mount puts it into the tree, which walks
// paths, checks flags, orders calls, holds locks and mappings, and tells of
// changes; the file system only keeps names and bytes.
//
// Errors are Linux's numbers. A method may wait for a device.
type FileSystem interface {
	// Type is the name in /proc/mounts: "ext4", "9p".
	Type() string
	// Source is the device's name in /proc/mounts: "/dev/vda".
	Source() string
	// ReadOnly reports whether nothing can be changed. The tree then refuses
	// changes by itself (EROFS).
	ReadOnly() bool
	// Root returns the root directory.
	Root() (Inode, Errno)
	// Statfs fills in what statfs(2) reports, but for Flags.
	Statfs(st *syscall.Statfs_t) Errno
	// Sync makes all that was written before durable.
	Sync() Errno
	// Close does the same, and ends the use of the device. No other call
	// follows.
	Close() Errno
}

// Inode is one file, directory or other node of a FileSystem. Two of the same
// file system with equal numbers are the same node, and the tree keeps only
// one of them. Each that Root, Lookup or Create returns is given back by one
// call of Forget, some time after the tree has last used it.
//
// Calls that change names (Create, Link, Unlink, Rename) come one at a time in
// a file system, and none of those that look at names (Lookup, ReadDir) at the
// same time. WriteAt, SetAttr and Allocate come one at a time for one node;
// ReadAt comes at no time when one of these does, but several at once. Stat,
// Readlink and Fsync may come at any time.
type Inode interface {
	// Number is the inode number: unique in the file system as long as the
	// node has a name or is held.
	Number() uint64
	// Format is the type, syscall.S_IF...; it never changes.
	Format() uint32
	// Stat fills in all that stat(2) reports but st_dev.
	Stat(st *syscall.Stat_t) Errno
	// SetAttr changes attributes, and nothing if it fails.
	SetAttr(a Attr) Errno

	// Hold is called when the first descriptor or mapping comes to use the
	// node, Drop when the last one is gone: until then its data stays, names
	// or not. A node with neither is the file system's to destroy.
	Hold() Errno
	Drop()
	Forget()

	Names
	Data
}

// Opener is what an Inode has in addition whose file system decides who may write:
// a host. The other methods are called as ever.
type Opener interface {
	// HoldToWrite is called after Hold for each descriptor by which the file may
	// be written.
	HoldToWrite() Errno
}

// Remote is what a FileSystem is in addition whose files others change at the same
// time. No memory stands for such a file: it can't be mapped to be written.
type Remote interface{ Remote() }

// Names is what an Inode of a directory does, and of a symbolic link.
type Names interface {
	// Lookup returns the entry of a name, never "." or ".."; ENOENT.
	Lookup(name string) (Inode, Errno)
	// Create makes an entry; the tree has seen that there is none.
	Create(name string, n NewInode) (Inode, Errno)
	// Link gives a node of the same file system one more name.
	Link(name string, node Inode) Errno
	// Unlink takes a name away; of a directory, which must be empty
	// (ENOTEMPTY), if directory is set.
	Unlink(name string, directory bool) Errno
	// Rename moves the entry name to toName in the directory to, in place of
	// what is there, or in exchange for it. The tree has checked what
	// rename(2) demands, but for whether a directory in the way is empty
	// (ENOTEMPTY).
	Rename(name string, to Inode, toName string, exchange bool) Errno
	// ReadDir calls f for the entries behind position pos, without "." and
	// "..", until f returns false. Position 0 is the beginning; entries have
	// positions above 2. f must not call the file system.
	ReadDir(pos int64, f func(Entry) bool) Errno
	// Readlink returns a symbolic link's text.
	Readlink() (string, Errno)
}

// Data is what an Inode of a regular file does.
type Data interface {
	// ReadAt reads len(p) bytes, fewer only at the end of the file.
	ReadAt(p []byte, off int64) (int, Errno)
	// WriteAt writes p; fewer bytes only with an error. It extends the file
	// where needed.
	WriteAt(p []byte, off int64) (int, Errno)
	// Allocate is fallocate(2); EOPNOTSUPP for modes that it doesn't know.
	Allocate(mode uint32, off, size int64) Errno
	// Fsync makes the node durable: its data and what is needed to find it,
	// or all attributes as well unless dataOnly is set. Directories too.
	Fsync(dataOnly bool) Errno
}

// NewInode is what Names.Create makes.
type NewInode struct {
	Mode     uint32 // type and permission bits
	Rdev     uint64 // a device's number
	Target   string // a symbolic link's text
	Uid, Gid uint32
}

// Attr is what SetAttr changes: the fields whose bits are in Set.
type Attr struct {
	Set      AttrSet
	Mode     uint32 // permission bits (12)
	Uid, Gid uint32
	Size     int64 // what is added reads as zeros
	Accessed time.Time
	Modified time.Time
}

// AttrSet is a set of fields of Attr.
type AttrSet uint8

// The fields.
const (
	SetMode AttrSet = 1 << iota
	SetUid
	SetGid
	SetSize
	SetAccessed
	SetModified
)

// NoNames is embedded by what is no directory and no symbolic link.
type NoNames struct{}

func (NoNames) Lookup(string) (Inode, Errno)             { return nil, syscall.ENOTDIR }
func (NoNames) Create(string, NewInode) (Inode, Errno)   { return nil, syscall.ENOTDIR }
func (NoNames) Link(string, Inode) Errno                 { return syscall.ENOTDIR }
func (NoNames) Unlink(string, bool) Errno                { return syscall.ENOTDIR }
func (NoNames) Rename(string, Inode, string, bool) Errno { return syscall.ENOTDIR }
func (NoNames) ReadDir(int64, func(Entry) bool) Errno    { return syscall.ENOTDIR }
func (NoNames) Readlink() (string, Errno)                { return "", syscall.EINVAL }

// NoData is embedded by what is no regular file.
type NoData struct{}

func (NoData) ReadAt([]byte, int64) (int, Errno)   { return 0, syscall.EINVAL }
func (NoData) WriteAt([]byte, int64) (int, Errno)  { return 0, syscall.EINVAL }
func (NoData) Allocate(uint32, int64, int64) Errno { return syscall.ENODEV }
func (NoData) Fsync(bool) Errno                    { return 0 }
