package ninep

import (
	"sync"
	"syscall"
)

// parallel is how many requests of one read are under way at once.
const parallel = 4

// piece is how many bytes of a file one request moves: as many pages as fit.
func (c *connection) piece() int { return (c.size - ioSize) &^ 4095 }

// ReadAt implements fs.Data.
func (i *inode) ReadAt(p []byte, off int64) (int, Errno) {
	h, errno := i.temporarily(&i.reader, syscall.O_RDONLY)
	if errno != 0 {
		return 0, errno
	}
	defer h.release()
	c := i.system.c
	size := c.piece()
	if len(p) <= size {
		return c.read(h, p, off)
	}
	return readPieces((len(p)+size-1)/size, func(n int) (int, bool, Errno) {
		part := p[n*size : min((n+1)*size, len(p))]
		done, errno := c.read(h, part, off+int64(n*size))
		return done, done == len(part), errno
	})
}

// readPieces calls read for each of n pieces, several at once, and adds up what it
// returned, until one was not full. Behind an end nothing more is read.
func readPieces(n int, read func(piece int) (done int, full bool, errno Errno)) (int, Errno) {
	var (
		mu    sync.Mutex
		group sync.WaitGroup
		next  int
		end   = n // the first piece that was not full, +1
		done  = make([]int, n)
		errno Errno
	)
	work := func() {
		for {
			mu.Lock()
			at := next
			next++
			stop := at >= end
			mu.Unlock()
			if stop {
				return
			}
			got, full, e := read(at)
			mu.Lock()
			done[at] = got
			if !full && at+1 <= end {
				end, errno = at+1, e
			}
			mu.Unlock()
		}
	}
	for range min(n, parallel) {
		group.Go(work)
	}
	group.Wait()
	total := 0
	for _, got := range done[:end] {
		total += got
	}
	if total > 0 {
		return total, 0
	}
	return 0, errno
}

// read reads at most one piece.
func (c *connection) read(h *handle, p []byte, off int64) (int, Errno) {
	var head [errorSize]byte
	n, errno := c.exchange(0, newRequest(typeRead).u32(h.fid).u64(uint64(off)).u32(uint32(len(p))), nil, head[:], p)
	if errno != 0 {
		return 0, errno
	}
	f := fields{b: head[headerSize:]}
	if got := int64(n - len(head)); n < len(head) || int64(f.u32()) != got {
		return 0, c.fail("it read another number of bytes than it sent")
	}
	return n - len(head), 0
}

// WriteAt implements fs.Data. The pieces go one after the other, so that a file that
// can't grow further has no hole.
func (i *inode) WriteAt(p []byte, off int64) (done int, errno Errno) {
	h, errno := i.temporarily(&i.writer, syscall.O_WRONLY)
	if errno != 0 {
		return 0, errno
	}
	defer h.release()
	c := i.system.c
	for done < len(p) && errno == 0 {
		part := p[done:min(done+c.piece(), len(p))]
		var n int
		n, errno = c.write(h, part, off+int64(done))
		done += n
		if errno == 0 && n < len(part) {
			errno = syscall.ENOSPC
		}
	}
	i.resized(off+int64(done), false)
	return done, errno
}

// write writes at most one piece.
func (c *connection) write(h *handle, p []byte, off int64) (int, Errno) {
	var reply [errorSize]byte
	n, errno := c.exchange(0, newRequest(typeWrite).u32(h.fid).u64(uint64(off)).u32(uint32(len(p))), p, reply[:])
	if errno != 0 {
		return 0, errno
	}
	f := fields{b: reply[headerSize:n]}
	done := f.u32()
	if f.short || int64(done) > int64(len(p)) {
		return 0, c.fail("it wrote more bytes than it was given")
	}
	return int(done), 0
}

// Allocate implements fs.Data: the protocol has no such request.
func (i *inode) Allocate(uint32, int64, int64) Errno { return syscall.EOPNOTSUPP }
