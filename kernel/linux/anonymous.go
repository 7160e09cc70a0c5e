package linux

import (
	"sync/atomic"
	"syscall"
)

// inodes numbers what is open without a node in the tree: pipes, sockets, ...
var inodes atomic.Uint64

func nextInode() uint64 { return 1<<40 + inodes.Add(1) }

// anonymousDevice is such things' st_dev: not that of the tree.
const anonymousDevice = 0x0d

// anonymous fills in what fstat reports about such a thing.
func anonymous(st *syscall.Stat_t, mode uint32, inode uint64) {
	at := syscall.NsecToTimespec(booted.UnixNano())
	*st = syscall.Stat_t{
		Dev: anonymousDevice, Ino: inode, Nlink: 1, Mode: mode, Blksize: 4096,
		Atim: at, Mtim: at, Ctim: at,
	}
}
