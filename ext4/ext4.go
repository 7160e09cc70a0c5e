// Package ext4 is the file system of Pith's volumes: ext4 as Linux has it, so
// that either can mount what the other wrote.
//
// It relies on the kernel's description of the format
// (Documentation/filesystems/ext4 and, for the journal, its chapter on jbd2;
// Linux 6.1) and on a Device that keeps what it was told to once Flush has
// returned. It is used on both sides: the kernel mounts volumes with it, and the
// host makes and checks them, so that neither needs e2fsprogs.
//
// What it promises:
//
//   - Metadata changes go through the journal, in transactions: after a crash
//     each operation (a rename, a file made) has happened or has not.
//   - Data of new blocks is on the device before the metadata that refers to it
//     (data=ordered).
//   - When Sync returns, the file's data and all that is needed to find it are on
//     the device.
//   - A file system that is damaged, or has features that this package does not
//     know, is not written to (see Mount), and one sentence says why.
//
// Where to find what:
//
//	layout.go, super.go, group.go   what lies where on the device
//	buffer.go, journal.go           metadata in memory, transactions
//	commit.go, replay.go            the journal on the device
//	alloc.go, extent.go             blocks and the files that they belong to
//	inode.go, dir.go, names.go      files, directories
//	pages.go, read.go, data.go      contents of files
//	orphan.go                       files that are open but have no name
//	mkfs.go, check.go               for the host
//
// It must not know a file descriptor or a path: it has inodes and names. Its
// functions may block for the device and must not be called with interrupts off.
//
// What it leaves to Linux: quotas, encryption, case folding, bigalloc, inline
// data (volumes with these are refused or read only), and access rights: the
// one program of a machine is user 0.
package ext4

import "syscall"

// Errno is the error number that operations return; 0 is success.
type Errno = syscall.Errno

// Device is where a file system lies. Offsets and lengths are multiples of 1024
// bytes. Its methods may be called from several goroutines at once.
type Device interface {
	// Read fills the pieces, one behind the other, from off on.
	Read(off int64, into ...[]byte) error
	// Write puts the pieces, one behind the other, at off. Until Flush they
	// may get to the device in any order, or not at all.
	Write(off int64, from ...[]byte) error
	// Flush returns when all writes that have returned are on the device.
	Flush() error
	// Size is the device's size in bytes.
	Size() int64
	// ReadOnly says that Write always fails.
	ReadOnly() bool
}
