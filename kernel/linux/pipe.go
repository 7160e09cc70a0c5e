package linux

import (
	"sync"
	"syscall"

	"pith/kernel/fs"
	"pith/kernel/socket"
)

const (
	pipeAtomic  = 4096     // a write of no more is done whole (PIPE_BUF)
	pipeDefault = 64 << 10 // a pipe's capacity, in bytes
	pipeMax     = 1 << 20  // /proc/sys/fs/pipe-max-size
)

// ring is a queue of bytes. Its owner locks.
type ring struct {
	data  []byte // grows up to limit
	limit int
	start int // first byte
	used  int
}

// space returns how many bytes put would take.
func (r *ring) space() int { return r.limit - r.used }

// put takes as much of p as fits.
func (r *ring) put(p []byte) int {
	n := min(len(p), r.space())
	if r.used+n > len(r.data) {
		r.resize(min(r.limit, max(pipeAtomic, 2*(r.used+n))))
	}
	for done := 0; done < n; {
		at := (r.start + r.used) % len(r.data)
		m := copy(r.data[at:], p[done:n]) // n bytes are free from at on, so none is overwritten
		r.used += m
		done += m
	}
	return n
}

// take moves bytes to p. peek leaves them there.
func (r *ring) take(p []byte, peek bool) int {
	n := min(len(p), r.used)
	for done := 0; done < n; {
		at := (r.start + done) % len(r.data)
		done += copy(p[done:n], r.data[at:])
	}
	if !peek {
		r.skip(n)
	}
	return n
}

// skip forgets n bytes.
func (r *ring) skip(n int) {
	r.used -= n
	if r.used == 0 {
		r.start = 0
		return
	}
	r.start = (r.start + n) % len(r.data)
}

// front returns the first bytes, as far as they lie in one piece.
func (r *ring) front() []byte {
	if r.used == 0 {
		return nil
	}
	return r.data[r.start:min(len(r.data), r.start+r.used)]
}

// resize gives the ring other memory.
func (r *ring) resize(size int) {
	data := make([]byte, size)
	n := r.take(data, true)
	r.data, r.start, r.used = data, 0, n
}

// pipe is what both ends of a pipe share.
type pipe struct {
	mu               sync.Mutex
	ring             ring
	packets          []int         // sizes of what is in the ring, in packet mode
	packeted         bool          // O_DIRECT: each read takes what one write gave
	readers, writers int           // open ends
	reading, writing watchers      // those of all reading and all writing ends
	arrived          chan struct{} // closed and replaced when an end is opened
}

func newPipe() *pipe {
	return &pipe{ring: ring{limit: pipeDefault}, arrived: make(chan struct{})}
}

// pipeEnd is an open file on a pipe.
type pipeEnd struct {
	file
	pipe *pipe
	node *fs.Node // a named pipe's, or nil
	// inode is a nameless pipe's inode number.
	inode uint64
}

// openEnd opens a pipe. flags' access mode says which end, or both.
func (p *pipe) openEnd(node *fs.Node, inode uint64, flags uintptr) *file {
	e := &pipeEnd{pipe: p, node: node, inode: inode}
	e.begin(e, flags, true)
	p.mu.Lock()
	if e.mayRead() {
		p.readers++
	}
	if e.mayWrite() {
		p.writers++
	}
	close(p.arrived)
	p.arrived = make(chan struct{})
	p.mu.Unlock()
	if e.mayRead() {
		p.reading.add(&e.watch)
	}
	if e.mayWrite() {
		p.writing.add(&e.watch)
	}
	return &e.file
}

func sysPipe(c call) (uintptr, Errno) { return c.pipe(0) }

func sysPipe2(c call) (uintptr, Errno) { return c.pipe(c.a2) }

func (c call) pipe(flags uintptr) (uintptr, Errno) {
	const direct = 0x4000 // O_DIRECT: packets
	if flags&^(syscall.O_NONBLOCK|syscall.O_CLOEXEC|direct) != 0 {
		return 0, syscall.EINVAL
	}
	if !c.address(c.a1).writable(8) {
		return 0, syscall.EFAULT
	}
	p, inode := newPipe(), nextInode()
	p.packeted = flags&direct != 0
	r := p.openEnd(nil, inode, syscall.O_RDONLY|flags)
	w := p.openEnd(nil, inode, syscall.O_WRONLY|flags)
	pair, errno := installTwo(r, w, flags)
	if errno != 0 {
		return 0, errno
	}
	return 0, put(c.address(c.a1), &pair)
}

// openFIFO opens a named pipe. As fifo(7) says, an end waits for the other
// unless it is opened in non-blocking mode.
func openFIFO(node *fs.Node, flags uintptr) (*file, Errno) {
	node.Extra.CompareAndSwap(nil, newPipe())
	p, ok := node.Extra.Load().(*pipe)
	if !ok {
		return nil, syscall.ENXIO
	}
	mode := flags & syscall.O_ACCMODE
	p.mu.Lock()
	readers := p.readers
	p.mu.Unlock()
	if mode == syscall.O_WRONLY && flags&syscall.O_NONBLOCK != 0 && readers == 0 {
		return nil, syscall.ENXIO
	}
	f := p.openEnd(node, 0, flags)
	if flags&syscall.O_NONBLOCK == 0 && mode != syscall.O_RDWR {
		p.awaitOther(mode == syscall.O_RDONLY)
	}
	return f, 0
}

// awaitOther waits until the other end is open.
func (p *pipe) awaitOther(reader bool) {
	for {
		p.mu.Lock()
		there := reader && p.writers > 0 || !reader && p.readers > 0
		arrived := p.arrived
		p.mu.Unlock()
		if there {
			return
		}
		<-arrived
	}
}

func (e *pipeEnd) read(b []byte) (int, Errno) {
	p := e.pipe
	p.mu.Lock()
	full := p.ring.space() < pipeAtomic
	n := p.take(b)
	open, space := p.writers > 0, p.ring.space()
	p.mu.Unlock()
	switch {
	case n > 0:
		// Writers hear of it once there is room for an atomic write.
		if full && space >= pipeAtomic {
			p.writing.notify(writable)
		}
		return n, 0
	case open && len(b) > 0:
		return 0, syscall.EAGAIN
	}
	return 0, 0
}

func (e *pipeEnd) write(b []byte) (int, Errno) {
	p := e.pipe
	p.mu.Lock()
	if p.readers == 0 {
		p.mu.Unlock()
		return 0, syscall.EPIPE
	}
	n := 0
	if len(b) > pipeAtomic || len(b) <= p.ring.space() {
		n = p.put(b)
	}
	p.mu.Unlock()
	if n > 0 {
		p.reading.notify(readable)
		return n, 0
	}
	if len(b) > 0 {
		return 0, syscall.EAGAIN
	}
	return 0, 0
}

// take moves bytes to b: in packet mode those of one packet, of which it drops
// what b has no room for. The caller holds p.mu.
func (p *pipe) take(b []byte) int {
	if len(p.packets) == 0 || len(b) == 0 {
		return p.ring.take(b, false)
	}
	size := p.packets[0]
	n := p.ring.take(b[:min(len(b), size)], false)
	p.ring.skip(size - n)
	p.packets = p.packets[1:]
	return n
}

// put takes as much of b as fits, in packet mode in packets of at most
// pipeAtomic bytes. The caller holds p.mu.
func (p *pipe) put(b []byte) (n int) {
	if !p.packeted {
		return p.ring.put(b)
	}
	for len(b) > 0 {
		size := min(len(b), pipeAtomic)
		if size > p.ring.space() {
			break
		}
		p.ring.put(b[:size])
		p.packets = append(p.packets, size)
		n, b = n+size, b[size:]
	}
	return n
}

func (e *pipeEnd) readiness() (r socket.Readiness) {
	p := e.pipe
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.mayRead() {
		if p.ring.used > 0 {
			r |= readable
		}
		if p.writers == 0 {
			r |= hungUp
		}
	}
	if e.mayWrite() {
		if p.ring.space() >= pipeAtomic {
			r |= writable
		}
		if p.readers == 0 {
			r |= broken
		}
	}
	return r
}

func (e *pipeEnd) close() {
	p := e.pipe
	p.mu.Lock()
	if e.mayRead() {
		p.readers--
	}
	if e.mayWrite() {
		p.writers--
	}
	lastReader, lastWriter := p.readers == 0, p.writers == 0
	if lastReader && lastWriter {
		p.ring = ring{limit: p.ring.limit}
	}
	p.mu.Unlock()
	p.reading.remove(&e.watch)
	p.writing.remove(&e.watch)
	if lastReader {
		p.writing.notify(broken | writable)
	}
	if lastWriter {
		p.reading.notify(hungUp | readable)
	}
}

func (e *pipeEnd) stat(st *syscall.Stat_t) Errno {
	if e.node != nil {
		e.node.Stat(st)
		return 0
	}
	anonymous(st, syscall.S_IFIFO|0o600, e.inode)
	return 0
}

func (e *pipeEnd) ioctl(_ call, request uintptr, arg address) (uintptr, Errno) {
	if request != fionread {
		return 0, syscall.ENOTTY
	}
	e.pipe.mu.Lock()
	n := int32(e.pipe.ring.used)
	e.pipe.mu.Unlock()
	return 0, put(arg, &n)
}

// pipeSize is F_GETPIPE_SZ and F_SETPIPE_SZ.
func pipeSize(f *file, command, size uintptr) (uintptr, Errno) {
	e, ok := f.object.(*pipeEnd)
	if !ok {
		return 0, syscall.EBADF
	}
	p := e.pipe
	p.mu.Lock()
	defer p.mu.Unlock()
	if command == fGetPipeSize {
		return uintptr(p.ring.limit), 0
	}
	if int32(size) < 0 || size > 1<<31 {
		return 0, syscall.EINVAL
	}
	limit := pipeAtomic
	for limit < int(size) {
		limit *= 2
	}
	switch {
	case limit < p.ring.used:
		return 0, syscall.EBUSY
	case limit > 1<<30:
		return 0, syscall.EINVAL
	}
	p.ring.limit = limit
	if len(p.ring.data) > limit {
		p.ring.resize(limit)
	}
	return uintptr(limit), 0
}
