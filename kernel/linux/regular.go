package linux

import (
	"sync"
	"syscall"

	"pith/kernel/fs"
	"pith/kernel/socket"
)

// regular is an open regular file of the tree.
type regular struct {
	file
	node     *fs.Node
	dir      *fs.Node // where it was opened, for inotify; may be nil
	name     string
	contents []byte // a generated file's, made when it was opened

	mu     sync.Mutex // makes a read or write and its change of offset one step
	offset int64
}

// newRegular opens a regular file's node.
func newRegular(o fs.Opened, flags uintptr) (*file, Errno) {
	r := &regular{node: o.Node, dir: o.Dir, name: o.Name}
	if contents, ok := o.Node.Generated(); ok {
		r.contents = append(contents, 0)[:len(contents)] // not nil, even if empty
	}
	r.begin(r, flags, false)
	if flags&syscall.O_ACCMODE != syscall.O_RDONLY {
		return &r.file, o.Node.AcquireToWrite()
	}
	return &r.file, o.Node.Acquire()
}

func (r *regular) read(p []byte) (int, Errno) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, errno := r.readAt(p, r.offset)
	r.offset += int64(n)
	if n > 0 {
		r.emit(syscall.IN_ACCESS)
	}
	return n, errno
}

func (r *regular) write(p []byte) (int, Errno) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, at, errno := r.put(p, r.offset)
	if errno == 0 {
		r.offset = at + int64(n)
	}
	return n, errno
}

func (r *regular) readAt(p []byte, off int64) (int, Errno) {
	if r.contents != nil {
		return copy(p, r.contents[min(off, int64(len(r.contents))):]), 0
	}
	return r.node.ReadAt(p, off)
}

func (r *regular) writeAt(p []byte, off int64) (int, Errno) {
	n, _, errno := r.put(p, off)
	return n, errno
}

// put writes at an offset, or at the end in append mode.
func (r *regular) put(p []byte, off int64) (n int, at int64, errno Errno) {
	n, at, errno = r.node.WriteAt(p, off, r.flags.Load()&syscall.O_APPEND != 0)
	if n > 0 {
		r.emit(syscall.IN_MODIFY)
		errno = r.settle()
	}
	return n, at, errno
}

// settle makes what was written durable, if the file was opened so (O_SYNC,
// O_DSYNC).
func (r *regular) settle() Errno {
	flags := r.flags.Load()
	if flags&syscall.O_DSYNC == 0 {
		return 0
	}
	return r.node.Fsync(flags&syscall.O_SYNC != syscall.O_SYNC)
}

func (r *regular) emit(mask uint32) {
	tree.Emit(fs.Event{Node: r.node, Dir: r.dir, Name: r.name, Mask: mask})
}

// size returns where the file ends.
func (r *regular) size() int64 {
	if r.contents != nil {
		return int64(len(r.contents))
	}
	return r.node.Size()
}

// Values of lseek's whence that package io lacks.
const (
	seekSet  = 0
	seekCur  = 1
	seekEnd  = 2
	seekData = 3
	seekHole = 4
)

func (r *regular) seek(off int64, whence int) (int64, Errno) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errno Errno
	switch whence {
	case seekSet:
	case seekCur:
		off += r.offset
	case seekEnd:
		off += r.size()
	case seekData, seekHole:
		off, errno = r.node.Next(off, whence == seekHole)
	default:
		return 0, syscall.EINVAL
	}
	if errno != 0 {
		return 0, errno
	}
	if off < 0 {
		return 0, syscall.EINVAL
	}
	r.offset = off
	return off, 0
}

func (r *regular) readiness() socket.Readiness { return readable | writable }

func (r *regular) stat(st *syscall.Stat_t) Errno {
	return r.node.Stat(st)
}

func (r *regular) close() {
	r.node.Release()
	releaseShared(r.node)
	if r.mayWrite() {
		r.emit(syscall.IN_CLOSE_WRITE)
	} else {
		r.emit(syscall.IN_CLOSE_NOWRITE)
	}
}

func (r *regular) ioctl(_ call, request uintptr, arg address) (uintptr, Errno) {
	if request != fionread {
		return 0, syscall.ENOTTY
	}
	r.mu.Lock()
	left := int32(max(r.size()-r.offset, 0))
	r.mu.Unlock()
	return 0, put(arg, &left)
}

// directory is an open directory.
type directory struct {
	file
	node *fs.Node

	mu       sync.Mutex
	position int64
}

func newDirectory(node *fs.Node, flags uintptr) *file {
	d := &directory{node: node}
	d.begin(d, flags, false)
	return &d.file
}

func (d *directory) read([]byte) (int, Errno)              { return 0, syscall.EISDIR }
func (d *directory) write([]byte) (int, Errno)             { return 0, syscall.EBADF }
func (d *directory) readAt([]byte, int64) (int, Errno)     { return 0, syscall.EISDIR }
func (d *directory) writeAt([]byte, int64) (int, Errno)    { return 0, syscall.EBADF }
func (d *directory) readiness() socket.Readiness           { return readable | writable }
func (d *directory) close()                                { d.node.Tell(syscall.IN_CLOSE_NOWRITE) }
func (d *directory) stat(st *syscall.Stat_t) (errno Errno) { return d.node.Stat(st) }

func (d *directory) seek(off int64, whence int) (int64, Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case whence == seekCur:
		off += d.position
	case whence != seekSet:
		return 0, syscall.EINVAL
	}
	if off < 0 {
		return 0, syscall.EINVAL
	}
	d.position = off
	return off, 0
}

// located is an open file that does nothing but name a place (O_PATH).
type located struct {
	file
	node *fs.Node
}

func newLocated(node *fs.Node, flags uintptr) *file {
	l := &located{node: node}
	l.begin(l, flags, false)
	return &l.file
}

func (l *located) read([]byte) (int, Errno)              { return 0, syscall.EBADF }
func (l *located) write([]byte) (int, Errno)             { return 0, syscall.EBADF }
func (l *located) readiness() socket.Readiness           { return 0 }
func (l *located) close()                                {}
func (l *located) stat(st *syscall.Stat_t) (errno Errno) { return l.node.Stat(st) }

// placed is an object that has a node in the tree.
type placed interface{ place() *fs.Node }

func (r *regular) place() *fs.Node      { return r.node }
func (d *directory) place() *fs.Node    { return d.node }
func (l *located) place() *fs.Node      { return l.node }
func (c *console) place() *fs.Node      { return c.node }
func (d *memoryDevice) place() *fs.Node { return d.node }
