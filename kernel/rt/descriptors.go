package rt

import (
	"pith/kernel/cpu"
	"pith/kernel/diag"
	"pith/kernel/poll"
)

func read(fd, addr, n uintptr) uint64 {
	switch {
	case fd == 0:
		return 0
	case fd != poll.EventFD:
		return readPipe(fd, addr, n)
	}
	if n < 8 || !mayWrite(addr, 8) {
		return fail(eINVAL)
	}
	v := poll.Runtime.Drain()
	if v == 0 {
		return fail(eAGAIN)
	}
	cpu.Store64(addr, v)
	return 8
}

func write(fd, addr, n uintptr) uint64 {
	if !mayRead(addr, n) {
		return fail(eFAULT)
	}
	switch fd {
	case 1, 2:
		diag.Drain()
		diag.Write(addr, n)
		return uint64(n)
	case poll.EventFD:
		if n < 8 {
			return fail(eINVAL)
		}
		poll.Runtime.Signal(cpu.Load64(addr))
		return 8
	}
	if fd < poll.EpollFD && stored != nil && stored(int32(fd)) {
		return late.write(fd, addr, n)
	}
	return writePipe(fd, addr, n)
}

// closeDescriptor is the runtime's close: it has opened nothing but its poller and
// pipes.
func closeDescriptor(fd uintptr) uint64 {
	if fd == poll.EventFD || fd == poll.EpollFD {
		return 0
	}
	return closePipe(fd)
}

// fcntl answers for descriptors 0 to 2 before package linux is there.
func fcntl(fd, cmd uintptr) uint64 {
	const getFlags, readWrite = 3, 2
	if fd > 2 {
		return fcntlPipe(fd, cmd)
	}
	if cmd == getFlags {
		return readWrite
	}
	return 0
}

// setUmask is package linux's; it must neither lock nor allocate.
var setUmask func(mask uint32) uint32

// SetUmask gives that function.
func SetUmask(f func(mask uint32) uint32) { setUmask = f }

func umask(mask uintptr) uint64 {
	if setUmask == nil {
		return 0o22
	}
	return uint64(setUmask(uint32(mask)))
}
