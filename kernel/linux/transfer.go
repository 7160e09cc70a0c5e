package linux

import (
	"syscall"

	"pith/kernel/fs"
)

// maxPiece is how much a transfer between descriptors moves in one step.
const maxPiece = bounceSize

// sysSendfile moves bytes of a file to any descriptor without a copy on the
// way: the file's own memory is what is written.
func sysSendfile(c call) (uintptr, Errno) {
	out, errno := open(c.a1)
	in, errnoIn := open(c.a2)
	switch {
	case errno != 0 || errnoIn != 0:
		return 0, syscall.EBADF
	case !out.mayWrite() || !in.mayRead():
		return 0, syscall.EBADF
	case out.flags.Load()&syscall.O_APPEND != 0:
		return 0, syscall.EINVAL
	}
	source, ok := in.object.(*regular)
	if !ok {
		return 0, syscall.EINVAL
	}
	off, errno := c.startAt(c.a3, source)
	if errno != 0 {
		return 0, errno
	}
	done, errno := source.sendTo(out, off, int64(min(c.a4, maxTransfer)))
	if done == 0 && errno != 0 {
		return 0, errno
	}
	return uintptr(done), c.endAt(c.a3, source, off+done)
}

// sendTo writes n bytes from off on to another file.
func (r *regular) sendTo(out *file, off, n int64) (int64, Errno) {
	target, ok := out.object.(*regular)
	if !ok {
		return r.pour(out, off, n)
	}
	target.mu.Lock()
	defer target.mu.Unlock()
	done, errno := r.copyTo(target, off, target.offset, n)
	target.offset += done
	return done, errno
}

// startAt returns the offset that a pointer to one says, or the file's own if
// it is nil.
func (c call) startAt(p uintptr, r *regular) (int64, Errno) {
	if p == 0 {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.offset, 0
	}
	off, errno := get[int64](c.address(p))
	if errno == 0 && off < 0 {
		errno = syscall.EINVAL
	}
	return off, errno
}

// endAt stores the offset where startAt found it.
func (c call) endAt(p uintptr, r *regular, off int64) Errno {
	if p == 0 {
		r.mu.Lock()
		r.offset = off
		r.mu.Unlock()
		return 0
	}
	return put(c.address(p), &off)
}

// pour writes n bytes from off on to what is no file of the tree, until that
// takes no more or the file ends.
func (r *regular) pour(out *file, off, n int64) (done int64, errno Errno) {
	for done < n {
		var took, had int
		r.view(off+done, int(min(n-done, maxTransfer)), func(p []byte) {
			had = len(p)
			if had > 0 {
				took, errno = out.object.write(p)
			}
		})
		done += int64(took)
		switch {
		case errno == syscall.EAGAIN && done == 0 && !out.nonblocking():
			errno = out.retry(&out.writePatience, func() Errno {
				if out.readiness()&(writable|broken|hungUp) == 0 {
					return syscall.EAGAIN
				}
				return 0
			})
			if errno != 0 {
				return 0, errno
			}
		case errno != 0 || had == 0 || took < had:
			return done, errno
		}
	}
	return done, 0
}

// view calls f with the file's bytes at off, without a copy. f must not block,
// nor write to a file of the tree: this one is locked meanwhile.
func (r *regular) view(off int64, max int, f func(p []byte)) {
	if r.contents != nil {
		p := r.contents[min(off, int64(len(r.contents))):]
		f(p[:min(len(p), max)])
		return
	}
	r.node.View(off, max, f)
}

// sysCopyFileRange copies between regular files.
func sysCopyFileRange(c call) (uintptr, Errno) {
	in, errnoIn := open(c.a1)
	out, errno := open(c.a3)
	switch {
	case errno != 0 || errnoIn != 0:
		return 0, syscall.EBADF
	case c.a6 != 0:
		return 0, syscall.EINVAL
	}
	source, ok := in.object.(*regular)
	target, okOut := out.object.(*regular)
	_, inDir := in.object.(*directory)
	_, outDir := out.object.(*directory)
	switch {
	case inDir || outDir:
		return 0, syscall.EISDIR
	case !ok || !okOut:
		return 0, syscall.EINVAL
	case !in.mayRead() || !out.mayWrite() || out.flags.Load()&syscall.O_APPEND != 0:
		return 0, syscall.EBADF
	}
	from, errno := c.startAt(c.a2, source)
	if errno != 0 {
		return 0, errno
	}
	to, errno := c.startAt(c.a4, target)
	if errno != 0 {
		return 0, errno
	}
	n := int64(min(c.a5, maxTransfer))
	if source.node == target.node && from < to+n && to < from+n {
		return 0, syscall.EINVAL
	}
	done, errno := source.copyTo(target, from, to, n)
	if done == 0 && errno != 0 {
		return 0, errno
	}
	if errno := c.endAt(c.a2, source, from+done); errno != 0 {
		return 0, errno
	}
	return uintptr(done), c.endAt(c.a4, target, to+done)
}

// copyTo copies by way of a buffer: the two may be the same node.
func (r *regular) copyTo(target *regular, from, to, n int64) (done int64, errno Errno) {
	b := newBounce(address{}, maxPiece)
	defer b.free()
	for done < n {
		p := b.data[:min(n-done, maxPiece)]
		got, _ := r.readAt(p, from+done)
		if got == 0 {
			return done, 0
		}
		wrote, errno := target.writeAt(p[:got], to+done)
		done += int64(wrote)
		if errno != 0 || wrote < got {
			return done, errno
		}
	}
	return done, 0
}

// Flags of splice(2).
const spliceNonblock = 2

// sysSplice moves bytes between a pipe and another descriptor.
func sysSplice(c call) (uintptr, Errno) {
	in, errnoIn := open(c.a1)
	out, errno := open(c.a3)
	if errno != 0 || errnoIn != 0 {
		return 0, syscall.EBADF
	}
	from, fromPipe := in.object.(*pipeEnd)
	to, toPipe := out.object.(*pipeEnd)
	switch {
	case !in.mayRead() || !out.mayWrite():
		return 0, syscall.EBADF
	case !fromPipe && !toPipe, fromPipe && toPipe && from.pipe == to.pipe:
		return 0, syscall.EINVAL
	case fromPipe && c.a2 != 0 || toPipe && c.a4 != 0:
		return 0, syscall.ESPIPE
	case out.flags.Load()&syscall.O_APPEND != 0:
		return 0, syscall.EINVAL
	}
	if source, ok := in.object.(*regular); ok {
		return c.spliceFrom(source, out)
	}
	if target, ok := out.object.(*regular); ok {
		return c.spliceTo(in, target)
	}
	if c.a2 != 0 || c.a4 != 0 {
		return 0, syscall.ESPIPE
	}
	return c.spliceStreams(in, out, toPipe)
}

// spliceStreams moves bytes of one stream to another, of which one is a pipe,
// by way of a buffer. What was read is written, even if that has to wait.
func (c call) spliceStreams(in, out *file, toPipe bool) (uintptr, Errno) {
	wait := c.a6&spliceNonblock == 0
	room := int(min(c.a5, maxPiece))
	if toPipe {
		var errno Errno
		if room, errno = out.room(room, wait); errno != 0 {
			return 0, errno
		}
	} else if out.readiness()&writable == 0 {
		if !wait || out.nonblocking() {
			return 0, syscall.EAGAIN
		}
	}
	b := newBounce(address{}, maxPiece)
	defer b.free()
	n, errno := in.object.read(b.data[:room])
	if errno == syscall.EAGAIN && wait {
		n, errno = in.doRead(b.data[:room])
	}
	if errno != 0 || n == 0 {
		return 0, errno
	}
	return out.deliver(b.data[:n])
}

// room returns how much a pipe takes, of at most most bytes.
func (f *file) room(most int, wait bool) (int, Errno) {
	p := f.object.(*pipeEnd).pipe
	look := func() (n int, errno Errno) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch n = min(most, p.ring.space()); {
		case p.readers == 0:
			return 0, syscall.EPIPE
		case n == 0 && most > 0:
			return 0, syscall.EAGAIN
		}
		return n, 0
	}
	n, errno := look()
	if errno != syscall.EAGAIN || !wait || f.nonblocking() {
		return n, errno
	}
	errno = f.retry(&f.writePatience, func() (errno Errno) {
		n, errno = look()
		return errno
	})
	return n, errno
}

// deliver writes all of p, waiting where it has to.
func (f *file) deliver(p []byte) (uintptr, Errno) {
	done := 0
	for done < len(p) {
		n, errno := f.object.write(p[done:])
		if errno == syscall.EAGAIN {
			errno = f.retry(&f.writePatience, func() (errno Errno) {
				n, errno = f.object.write(p[done:])
				return errno
			})
		}
		if errno != 0 && done == 0 {
			return 0, errno
		}
		if errno != 0 {
			break
		}
		done += n
	}
	return uintptr(done), 0
}

// sysTee copies bytes of one pipe to another, and leaves them there.
func sysTee(c call) (uintptr, Errno) {
	in, errnoIn := open(c.a1)
	out, errno := open(c.a2)
	if errno != 0 || errnoIn != 0 || !in.mayRead() || !out.mayWrite() {
		return 0, syscall.EBADF
	}
	from, ok := in.object.(*pipeEnd)
	to, okTo := out.object.(*pipeEnd)
	if !ok || !okTo || from.pipe == to.pipe {
		return 0, syscall.EINVAL
	}
	wait := c.a4&spliceNonblock == 0
	room, errno := out.room(int(min(c.a3, maxPiece)), wait)
	if errno != 0 {
		return 0, errno
	}
	b := newBounce(address{}, maxPiece)
	defer b.free()
	n, errno := from.peek(b.data[:room])
	if errno == syscall.EAGAIN && wait && !in.nonblocking() {
		errno = in.retry(&in.readPatience, func() (errno Errno) {
			n, errno = from.peek(b.data[:room])
			return errno
		})
	}
	if errno != 0 || n == 0 {
		return 0, errno
	}
	return out.deliver(b.data[:n])
}

// peek copies what is in the pipe.
func (e *pipeEnd) peek(b []byte) (int, Errno) {
	e.pipe.mu.Lock()
	defer e.pipe.mu.Unlock()
	n := e.pipe.ring.take(b, true)
	if n == 0 && len(b) > 0 && e.pipe.writers > 0 {
		return 0, syscall.EAGAIN
	}
	return n, 0
}

// sysVmsplice copies memory into a pipe, or out of it.
func sysVmsplice(c call) (uintptr, Errno) {
	f, errno := open(c.a1)
	if errno != 0 {
		return 0, errno
	}
	if _, ok := f.object.(*pipeEnd); !ok {
		return 0, syscall.EBADF
	}
	if f.mayWrite() {
		return sysWritev(c)
	}
	return sysReadv(c)
}

func (c call) spliceFrom(source *regular, pipe *file) (uintptr, Errno) {
	off, errno := c.startAt(c.a2, source)
	if errno != 0 {
		return 0, errno
	}
	done, errno := source.pour(pipe, off, int64(min(c.a5, maxPiece)))
	if done == 0 && errno != 0 {
		return 0, errno
	}
	return uintptr(done), c.endAt(c.a2, source, off+done)
}

func (c call) spliceTo(pipe *file, target *regular) (uintptr, Errno) {
	off, errno := c.startAt(c.a4, target)
	if errno != 0 {
		return 0, errno
	}
	b := newBounce(address{}, maxPiece)
	defer b.free()
	n, errno := pipe.object.read(b.data[:min(c.a5, maxPiece)])
	if errno == syscall.EAGAIN && c.a6&spliceNonblock == 0 {
		n, errno = pipe.doRead(b.data[:min(c.a5, maxPiece)])
	}
	if errno != 0 || n == 0 {
		return 0, errno
	}
	n, errno = target.writeAt(b.data[:n], off)
	if errno != 0 {
		return 0, errno
	}
	return uintptr(n), c.endAt(c.a4, target, off+int64(n))
}

// sysMemfdCreate makes a file without a name.
func sysMemfdCreate(c call) (uintptr, Errno) {
	const cloexec, sealing, noexec, exec = 1, 2, 8, 16
	name, errno := text(c.address(c.a1), 250)
	if errno == syscall.ENAMETOOLONG {
		return 0, syscall.EINVAL
	} else if errno != 0 {
		return 0, errno
	}
	if c.a2&^(cloexec|sealing|noexec|exec) != 0 {
		return 0, syscall.EINVAL
	}
	node := tree.NewUnnamed(0o777)
	if c.a2&sealing != 0 {
		node.Unseal()
	}
	flags := uintptr(syscall.O_RDWR)
	if c.a2&cloexec != 0 {
		flags |= syscall.O_CLOEXEC
	}
	f, _ := newRegular(fs.Opened{Node: node, Name: "memfd:" + name}, flags|oLargefile)
	return install(f, flags)
}
