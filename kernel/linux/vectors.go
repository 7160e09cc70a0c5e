package linux

import (
	"sync"
	"syscall"
)

// vectors is what an array of struct iovec says.
type vectors struct {
	list  []vector
	total int
	few   [8]vector // list's memory, if they are few
}

var vectorsPool = sync.Pool{New: func() any { return new(vectors) }}

func newVectors() *vectors { return vectorsPool.Get().(*vectors) }

// free gives v back to the pool.
func (v *vectors) free() {
	v.list, v.total = nil, 0
	vectorsPool.Put(v)
}

// vectors reads the array that the second and third arguments tell of. The
// caller frees it.
func (c call) vectors() (*vectors, Errno) {
	v := newVectors()
	if errno := v.load(c.address(c.a2), c.a3); errno != 0 {
		v.free()
		return nil, errno
	}
	return v, 0
}

// vector is one piece of user memory.
type vector struct {
	base address
	size uintptr
}

const (
	iovecSize = 16
	maxIovecs = 1024 // IOV_MAX
)

// load reads an array of n iovecs.
func (v *vectors) load(a address, n uintptr) Errno {
	if n > maxIovecs {
		return syscall.EINVAL
	}
	v.list = v.few[:0]
	for i := range n {
		base, errno := fetch(a.plus(i * iovecSize))
		if errno != 0 {
			return errno
		}
		size, errno := get[uintptr](a.plus(i*iovecSize + 8))
		if errno != 0 {
			return errno
		}
		if int(size) < 0 {
			return syscall.EINVAL
		}
		if size > 0 && !base.holds(size) {
			return syscall.EFAULT
		}
		size = min(size, maxTransfer-uintptr(v.total))
		if size == 0 {
			continue
		}
		v.list = append(v.list, vector{base, size})
		v.total += int(size)
	}
	return 0
}

// output gives memory to be filled in one go: the only vector's, or a bounce
// buffer of at most most bytes. The caller calls deliver.
func (v *vectors) output(most int) (p []byte, b *bounce) {
	if len(v.list) == 1 {
		p, b, _ = output(v.list[0].base, v.list[0].size)
		return p, b
	}
	n := min(v.total, most)
	if n == 0 {
		return nil, nil
	}
	b = newBounce(address{}, uintptr(n))
	return b.data[:n], b
}

// deliver hands n bytes that output's memory holds to the user.
func (v *vectors) deliver(b *bounce, n int) {
	if len(v.list) == 1 || b == nil {
		b.deliver(n)
		return
	}
	v.scatter(b.data[:n])
	b.free()
}

// scatter copies bytes to the vectors.
func (v *vectors) scatter(p []byte) {
	for _, piece := range v.list {
		n := min(len(p), int(piece.size))
		if n > 0 {
			moveOut(piece.base, p[:n])
		}
		p = p[n:]
	}
}

// input gives the vectors' bytes from offset from on in one piece: the memory
// itself if it lies in one vector, else a copy of at most most bytes. The
// caller calls b.free.
func (v *vectors) input(from, most int) (p []byte, b *bounce) {
	if len(v.list) == 1 {
		base := v.list[0]
		p, b, _ = input(base.base.plus(uintptr(from)), base.size-uintptr(from))
		return p, b
	}
	n := min(v.total-from, most)
	if n == 0 {
		return nil, nil
	}
	b = newBounce(address{}, uintptr(n))
	p = b.data[:n]
	v.gather(p, from)
	return p, b
}

// gather copies the bytes from offset from on.
func (v *vectors) gather(p []byte, from int) {
	for _, piece := range v.list {
		if from >= int(piece.size) {
			from -= int(piece.size)
			continue
		}
		n := min(len(p), int(piece.size)-from)
		if n == 0 {
			return
		}
		moveIn(p[:n], piece.base.plus(uintptr(from)))
		p, from = p[n:], 0
	}
}

func sysReadv(c call) (uintptr, Errno) {
	f, errno := open(c.a1)
	if errno != 0 {
		return 0, errno
	}
	v, errno := c.vectors()
	if errno != 0 {
		return 0, errno
	}
	defer v.free()
	p, b := v.output(maxTransfer)
	n, errno := f.doRead(p)
	v.deliver(b, n)
	return uintptr(n), errno
}

func sysWritev(c call) (uintptr, Errno) {
	f, errno := open(c.a1)
	if errno != 0 {
		return 0, errno
	}
	v, errno := c.vectors()
	if errno != 0 {
		return 0, errno
	}
	defer v.free()
	return v.write(f.doWrite)
}

// write hands all of the vectors' bytes to do, piece by piece, until it takes
// less than it could or fails.
func (v *vectors) write(do func(p []byte) (int, Errno)) (uintptr, Errno) {
	done := 0
	for {
		p, b := v.input(done, bounceSize)
		n, errno := do(p)
		b.free()
		done += n
		switch {
		case errno != 0 && done == 0:
			return 0, errno
		case errno != 0 || n < len(p) || done >= v.total:
			return uintptr(done), 0
		}
	}
}

// preadv and pwritev take the offset in two halves, of which the second is
// nothing on a 64-bit machine; their successors add flags.
func sysPreadv(c call) (uintptr, Errno) {
	o, errno := readableAt(c.a1, int64(c.a4))
	if errno != 0 {
		return 0, errno
	}
	v, errno := c.vectors()
	if errno != 0 {
		return 0, errno
	}
	defer v.free()
	p, b := v.output(maxTransfer)
	n, errno := o.readAt(p, int64(c.a4))
	v.deliver(b, n)
	return uintptr(n), errno
}

func sysPwritev(c call) (uintptr, Errno) {
	o, errno := writableAt(c.a1, int64(c.a4))
	if errno != 0 {
		return 0, errno
	}
	v, errno := c.vectors()
	if errno != 0 {
		return 0, errno
	}
	defer v.free()
	off := int64(c.a4)
	return v.write(func(p []byte) (int, Errno) {
		n, errno := o.writeAt(p, off)
		off += int64(n)
		return n, errno
	})
}

// Flags of preadv2(2).
const (
	rwfHighPriority = 1 << iota
	rwfDataSync
	rwfSync
	rwfNoWait
	rwfAppend
)

// rwfKnown is the flags that are known.
const rwfKnown = rwfHighPriority | rwfDataSync | rwfSync | rwfNoWait | rwfAppend

// flags2 checks the flags of preadv2 and pwritev2: files of the tree can't promise
// not to wait.
func (c call) flags2() Errno {
	if c.a6&^rwfKnown != 0 {
		return syscall.EOPNOTSUPP
	}
	if f, errno := open(c.a1); errno != 0 {
		return errno
	} else if _, ok := f.object.(*regular); ok && c.a6&rwfNoWait != 0 {
		return syscall.EOPNOTSUPP
	}
	return 0
}

func sysPreadv2(c call) (uintptr, Errno) {
	if errno := c.flags2(); errno != 0 {
		return 0, errno
	}
	if int64(c.a4) == -1 {
		return sysReadv(c)
	}
	return sysPreadv(c)
}

func sysPwritev2(c call) (uintptr, Errno) {
	if errno := c.flags2(); errno != 0 {
		return 0, errno
	}
	n, errno := c.pwritev2()
	if errno == 0 && c.a6&(rwfDataSync|rwfSync) != 0 {
		_, errno = fsync(c.a1, c.a6&rwfSync == 0)
	}
	return n, errno
}

func (c call) pwritev2() (uintptr, Errno) {
	f, errno := open(c.a1)
	if errno != 0 {
		return 0, errno
	}
	r, ok := f.object.(*regular)
	switch {
	case c.a6&rwfAppend != 0 && ok:
		return c.appendv(r)
	case int64(c.a4) == -1:
		return sysWritev(c)
	}
	return sysPwritev(c)
}

// appendv writes at the end of a file, wherever the offset is.
func (c call) appendv(r *regular) (uintptr, Errno) {
	if !r.mayWrite() {
		return 0, syscall.EBADF
	}
	v, errno := c.vectors()
	if errno != 0 {
		return 0, errno
	}
	defer v.free()
	return v.write(func(p []byte) (int, Errno) {
		n, _, errno := r.node.WriteAt(p, 0, true)
		return n, errno
	})
}
