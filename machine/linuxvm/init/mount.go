//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// mounted is a disk or a folder of the host's that the program finds at Target.
type mounted struct {
	Serial   string // of the disk; a folder's mount tag
	Folder   bool
	Target   string
	ReadOnly bool
}

func (m mounted) mount() {
	die("folder "+m.Target, os.MkdirAll(m.Target, 0o755))
	flags := uintptr(syscall.MS_NOSUID | syscall.MS_NODEV)
	if m.ReadOnly {
		flags |= syscall.MS_RDONLY
	}
	if m.Folder {
		// Nothing is cached but what is mapped: the host's changes are seen at once.
		die("mount of "+m.Target, syscall.Mount(m.Serial, m.Target, "9p", flags, "trans=virtio,version=9p2000.L,cache=mmap,msize=131072"))
		return
	}
	die("mount of "+m.Target, syscall.Mount(diskOf(m.Serial), m.Target, "ext4", flags, ""))
}

// unmount brings all that was written to the host. What the program has left open
// stands in the way of an end, not of that.
func (m mounted) unmount() {
	syscall.Sync()
	syscall.Unmount(m.Target, 0)
}

// diskOf is the device of the disk with a serial number.
func diskOf(serial string) string {
	files, _ := filepath.Glob("/sys/block/*/serial")
	for _, f := range files {
		if text, err := os.ReadFile(f); err == nil && strings.TrimSpace(string(text)) == serial {
			return "/dev/" + filepath.Base(filepath.Dir(f))
		}
	}
	die("disk "+serial, os.ErrNotExist)
	return ""
}
