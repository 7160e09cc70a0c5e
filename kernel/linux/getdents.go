package linux

import (
	"syscall"

	"pith/kernel/fs"
)

// direntHeader is how many bytes struct linux_dirent64 has before the name.
const direntHeader = 19 // ino, off, reclen, type

func sysGetdents64(c call) (uintptr, Errno) {
	f, errno := usable(c.a1)
	if errno != 0 {
		return 0, errno
	}
	d, ok := f.object.(*directory)
	if !ok {
		return 0, syscall.ENOTDIR
	}
	p, b, errno := output(c.address(c.a2), c.a3)
	if errno != 0 {
		return 0, errno
	}
	n, errno := d.list(p)
	b.deliver(n)
	return uintptr(n), errno
}

// list fills p with directory entries.
func (d *directory) list(p []byte) (n int, errno Errno) {
	d.mu.Lock()
	defer func() {
		d.mu.Unlock()
		if n > 0 {
			d.node.Tell(syscall.IN_ACCESS)
		}
	}()
	full := false
	errno = tree.ReadDir(d.node, d.position, func(e fs.Entry) bool {
		size := (int(direntHeader) + len(e.Name) + 1 + 7) &^ 7
		if full = n+size > len(p); full {
			return false
		}
		putDirent(p[n:n+size], e)
		n += size
		d.position = e.Next
		return true
	})
	if full && n == 0 {
		return 0, syscall.EINVAL
	}
	return n, errno
}

// putDirent encodes one struct linux_dirent64.
func putDirent(p []byte, e fs.Entry) {
	clear(p)
	store64(p, e.Inode)
	store64(p[8:], uint64(e.Next))
	store16(p[16:], uint16(len(p)))
	p[18] = byte(e.Format >> 12) // DT_... is S_IF... without its lower bits
	copy(p[direntHeader:], e.Name)
}
