package rt

import (
	"pith/kernel/cpu"
	"pith/kernel/mm"
	"pith/kernel/poll"
	"pith/kernel/sched"
)

// maxPipes bounds the runtime's own pipes; programs' pipes are package linux's.
const maxPipes = 4

// firstPipe is the first of their descriptors, two a pipe: the reading end is even.
const firstPipe = poll.EventFD + 1

// pipe is one of them. The scheduler's lock guards it.
type pipe struct {
	page     uintptr // its bytes, a ring; 0 is a pipe that isn't there
	physical uintptr
	start, n uintptr // where the oldest byte is, and how many there are
	ends     [2]end
}

type end struct{ open, nonblocking, closeOnExec bool }

var pipes [maxPipes]pipe

// key is what threads wait for at an end: below all memory, so nobody else's.
func key(fd uintptr) uintptr { return 0x1000 + fd%16*8 }

// everybody is more than there can be that wait.
const everybody = 1 << 30

// pipeOf finds an open end.
func pipeOf(fd uintptr) (*pipe, *end) {
	if fd < firstPipe || fd >= firstPipe+2*maxPipes {
		return nil, nil
	}
	p := &pipes[(fd-firstPipe)/2]
	e := &p.ends[(fd-firstPipe)%2]
	if !e.open {
		return nil, nil
	}
	return p, e
}

// makePipe is pipe2(2).
func makePipe(at, flags uintptr) uint64 {
	const nonblock, closeOnExec = 0x800, 0x80000
	switch {
	case flags&^(nonblock|closeOnExec) != 0:
		return fail(eINVAL)
	case !mayWrite(at, 8):
		return fail(eFAULT)
	}
	physical := mm.Memory.AllocPages(0)
	if physical == 0 {
		return fail(eNOMEM)
	}
	e := end{true, flags&nonblock != 0, flags&closeOnExec != 0}
	s := &sched.Threads
	s.Lock()
	for i := range pipes {
		if pipes[i].page != 0 {
			continue
		}
		p := &pipes[i]
		p.page, p.physical, p.start, p.n = mm.Virtual(physical), physical, 0, 0
		p.ends[0], p.ends[1] = e, e
		s.Unlock()
		cpu.Store32(at, uint32(firstPipe+2*i))
		cpu.Store32(at+4, uint32(firstPipe+2*i+1))
		return 0
	}
	s.Unlock()
	mm.Memory.FreePages(physical, 0)
	return fail(eNFILE)
}

// restart is a result that has the system call made once more, behind a signal's
// handler: the runtime's have SA_RESTART.
const restart = ^uint64(511)

// again prepares that, where f.AX asks for it: SYSCALL is 2 bytes long.
func again(f *cpu.Frame, nr uint64) {
	if f.AX == restart {
		f.AX = nr
		f.IP -= 2
	}
}

// closePipe closes one end; waiters at the other hear of it.
func closePipe(fd uintptr) uint64 {
	s := &sched.Threads
	s.Lock()
	p, e := pipeOf(fd)
	if e == nil {
		s.Unlock()
		return fail(eBADF)
	}
	e.open = false
	physical := uintptr(0)
	if !p.ends[0].open && !p.ends[1].open {
		physical, p.page = p.physical, 0
	}
	s.WakeKey(key(fd), 1, everybody)
	s.WakeKey(key(fd^1), 1, everybody)
	s.Unlock()
	if physical != 0 {
		mm.Memory.FreePages(physical, 0)
	}
	return 0
}

// fcntlPipe is F_GETFD and F_GETFL.
func fcntlPipe(fd, cmd uintptr) uint64 {
	const getDescriptor, getFlags, nonblock = 1, 3, 0x800
	s := &sched.Threads
	s.Lock()
	_, e := pipeOf(fd)
	r := fail(eINVAL)
	switch {
	case e == nil:
		r = fail(eBADF)
	case cmd == getDescriptor && e.closeOnExec:
		r = 1
	case cmd == getDescriptor:
		r = 0
	case cmd == getFlags:
		r = uint64((fd - firstPipe) % 2) // O_RDONLY, O_WRONLY
		if e.nonblocking {
			r |= nonblock
		}
	}
	s.Unlock()
	return r
}

// readPipe is read(2).
func readPipe(fd, addr, n uintptr) uint64 {
	if !mayWrite(addr, n) {
		return fail(eFAULT)
	}
	s := &sched.Threads
	s.Lock()
	for {
		p, e := pipeOf(fd)
		r := fail(eAGAIN)
		switch {
		case e == nil:
			r = fail(eBADF)
		case n == 0:
			r = 0
		case p.n > 0:
			r = p.take(addr, n)
			s.WakeKey(key(fd^1), 1, everybody)
		case !p.ends[1].open:
			r = 0
		case !e.nonblocking:
			if s.Wait(key(fd), 1, 0) != sched.Interrupted {
				continue
			}
			r = restart
		}
		s.Unlock()
		return r
	}
}

// writePipe is write(2). A page or less goes in as one piece; of more, what there
// is room for.
func writePipe(fd, addr, n uintptr) uint64 {
	s := &sched.Threads
	s.Lock()
	for {
		p, e := pipeOf(fd)
		r := fail(eAGAIN)
		switch {
		case e == nil:
			r = fail(eBADF)
		case !p.ends[0].open:
			r = fail(ePIPE)
		case mm.PageSize-p.n >= n || n > mm.PageSize && p.n < mm.PageSize:
			r = p.put(addr, n)
			s.WakeKey(key(fd^1), 1, everybody)
		case !e.nonblocking:
			if s.Wait(key(fd), 1, 0) != sched.Interrupted {
				continue
			}
			r = restart
		}
		s.Unlock()
		return r
	}
}

// take moves the oldest bytes to memory.
func (p *pipe) take(addr, n uintptr) uint64 {
	n = min(n, p.n)
	for i := uintptr(0); i < n; i++ {
		cpu.Store8(addr+i, cpu.Load8(p.page+(p.start+i)%mm.PageSize))
	}
	p.start = (p.start + n) % mm.PageSize
	p.n -= n
	return uint64(n)
}

// put adds bytes from memory, as many as fit.
func (p *pipe) put(addr, n uintptr) uint64 {
	n = min(n, mm.PageSize-p.n)
	for i := uintptr(0); i < n; i++ {
		cpu.Store8(p.page+(p.start+p.n+i)%mm.PageSize, cpu.Load8(addr+i))
	}
	p.n += n
	return uint64(n)
}
