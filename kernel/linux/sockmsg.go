package linux

import "syscall"

// Flags of send(2) and recv(2) that package syscall has not for all.
const (
	msgPeek         = syscall.MSG_PEEK
	msgTrunc        = syscall.MSG_TRUNC
	msgCtrunc       = syscall.MSG_CTRUNC
	msgDontwait     = syscall.MSG_DONTWAIT
	msgWaitall      = syscall.MSG_WAITALL
	msgErrqueue     = syscall.MSG_ERRQUEUE
	msgOOB          = syscall.MSG_OOB
	msgEOR          = 0x80
	msgWaitForOne   = 0x10000
	msgCmsgCloexec  = 0x40000000
	msgForReceivers = msgPeek | msgTrunc | msgOOB // those that an Endpoint is told of
)

// receive receives one message, and waits for it in blocking mode.
func (f *file) receive(s sock, m *message) (int, Errno) {
	if m.flags&msgErrqueue != 0 {
		return 0, syscall.EAGAIN // nothing ever is in a socket's queue of errors
	}
	n, errno := s.receive(m)
	if f.nonblocking() || m.flags&msgDontwait != 0 {
		return n, errno
	}
	if errno == syscall.EAGAIN {
		errno = f.retry(&f.readPatience, func() (errno Errno) {
			n, errno = s.receive(m)
			return errno
		})
	}
	if errno == 0 && m.flags&msgWaitall != 0 && m.flags&msgPeek == 0 && m.stream && n > 0 {
		n += f.receiveRest(s, m, n)
	}
	return n, errno
}

// receiveRest goes on until m.data is full, the stream ends or fails.
func (f *file) receiveRest(s sock, m *message, done int) int {
	whole := m.data
	defer func() { m.data = whole }()
	more := 0
	f.retry(&f.readPatience, func() Errno {
		for done+more < len(whole) {
			m.data = whole[done+more:]
			n, errno := s.receive(m)
			if errno != 0 || n == 0 {
				return errno
			}
			more += n
		}
		return 0
	})
	return more
}

// send sends one message, and in blocking mode waits until all of it is taken.
func (f *file) send(s sock, m *message) (int, Errno) {
	n, errno := s.send(m)
	if f.nonblocking() || m.flags&msgDontwait != 0 ||
		errno != 0 && errno != syscall.EAGAIN || errno == 0 && n == len(m.data) {
		return n, errno
	}
	whole := m.data
	defer func() { m.data = whole }()
	errno = f.retry(&f.writePatience, func() Errno {
		m.data = whole[n:]
		k, errno := s.send(m)
		n += k
		if errno == 0 && k > 0 && n < len(whole) {
			return syscall.EAGAIN
		}
		return errno
	})
	if n > 0 {
		return n, 0
	}
	return n, errno
}

func sysSendto(c call) (uintptr, Errno) {
	f, s, errno := socketOf(c.a1)
	if errno != 0 {
		return 0, errno
	}
	m := newMessage()
	defer m.free()
	if c.a5 != 0 {
		if m.name, errno = c.readName(c.a5, c.a6, &m.room); errno != 0 {
			return 0, errno
		}
	}
	p, b, errno := input(c.address(c.a2), c.a3)
	if errno != 0 {
		return 0, errno
	}
	m.data, m.flags = p, int(int32(c.a4))
	n, errno := f.send(s, m)
	b.free()
	return uintptr(n), errno
}

func sysRecvfrom(c call) (uintptr, Errno) {
	f, s, errno := socketOf(c.a1)
	if errno != 0 {
		return 0, errno
	}
	p, b, errno := output(c.address(c.a2), c.a3)
	if errno != 0 {
		return 0, errno
	}
	m := newMessage()
	defer m.free()
	m.data, m.flags = p, int(int32(c.a4))
	n, errno := f.receive(s, m)
	b.deliver(min(n, len(p)))
	if errno != 0 {
		return 0, errno
	}
	m.dropRights()
	return uintptr(n), c.writeName(c.a5, c.a6, m.name)
}

// Where the fields of struct msghdr are, and its size.
const (
	msgName       = 0
	msgNamelen    = 8
	msgIov        = 16
	msgIovlen     = 24
	msgControl    = 32
	msgControllen = 40
	msgFlags      = 48
	sizeofMsghdr  = 56
	sizeofMmsghdr = 64
	mmsgLen       = 56
)

// header is a struct msghdr that was read.
type header struct {
	at          address
	name        address
	nameLen     uint32
	control     address
	controlSize uintptr
	*vectors
}

// load reads the struct and its iovecs.
func (h *header) load(a address) (errno Errno) {
	h.at = a
	fail := func(e Errno) {
		if errno == 0 {
			errno = e
		}
	}
	var e Errno
	h.name, e = fetch(a.plus(msgName))
	fail(e)
	h.nameLen, e = get[uint32](a.plus(msgNamelen))
	fail(e)
	iov, e := fetch(a.plus(msgIov))
	fail(e)
	iovlen, e := get[uintptr](a.plus(msgIovlen))
	fail(e)
	h.control, e = fetch(a.plus(msgControl))
	fail(e)
	h.controlSize, e = get[uintptr](a.plus(msgControllen))
	fail(e)
	switch {
	case errno != 0:
		return errno
	case iovlen > maxIovecs:
		return syscall.EMSGSIZE
	case h.controlSize > maxControl:
		return syscall.ENOBUFS
	}
	return h.vectors.load(iov, iovlen)
}

// maxControl is the most ancillary data that a call may carry, in bytes.
const maxControl = 128 << 10

func sysSendmsg(c call) (uintptr, Errno) {
	f, s, errno := socketOf(c.a1)
	if errno != 0 {
		return 0, errno
	}
	return f.sendHeader(s, c.address(c.a2), int(int32(c.a3)))
}

// sendHeader sends what a struct msghdr tells of.
func (f *file) sendHeader(s sock, a address, flags int) (uintptr, Errno) {
	h := header{vectors: newVectors()}
	defer h.vectors.free()
	if errno := h.load(a); errno != 0 {
		return 0, errno
	}
	m := newMessage()
	defer m.free()
	m.flags = flags
	if !h.name.null() && h.nameLen > 0 {
		if h.nameLen > maxSockaddr {
			return 0, syscall.EINVAL
		}
		m.name = m.room[:h.nameLen]
		if errno := copyIn(m.name, h.name); errno != 0 {
			return 0, errno
		}
	}
	if h.controlSize > 0 {
		control, b, errno := input(h.control, h.controlSize)
		if errno != 0 {
			return 0, errno
		}
		defer b.free()
		m.control = control
	}
	p, b := h.input(0, maxTransfer)
	defer b.free()
	m.data = p
	n, errno := f.send(s, m)
	return uintptr(n), errno
}

func sysRecvmsg(c call) (uintptr, Errno) {
	f, s, errno := socketOf(c.a1)
	if errno != 0 {
		return 0, errno
	}
	return f.receiveHeader(s, c.address(c.a2), int(int32(c.a3)))
}

// receiveHeader receives into what a struct msghdr tells of.
func (f *file) receiveHeader(s sock, a address, flags int) (uintptr, Errno) {
	h := header{vectors: newVectors()}
	defer h.vectors.free()
	if errno := h.load(a); errno != 0 {
		return 0, errno
	}
	m := newMessage()
	defer m.free()
	m.flags = flags
	var control *bounce
	if h.controlSize > 0 {
		var errno Errno
		if m.control, control, errno = output(h.control, h.controlSize); errno != 0 {
			return 0, errno
		}
	}
	p, b := h.output(maxTransfer)
	m.data = p
	n, errno := f.receive(s, m)
	h.deliver(b, min(n, len(p)))
	if errno == 0 && len(m.rights) > 0 {
		m.installRights()
	}
	control.deliver(m.controlLen)
	if errno != 0 {
		return 0, errno
	}
	return uintptr(n), h.finish(m)
}

// finish writes a receive's results to the struct.
func (h *header) finish(m *message) Errno {
	if !h.name.null() {
		n := min(int(h.nameLen), len(m.name))
		if errno := copyOut(h.name, m.name[:n]); errno != 0 {
			return errno
		}
	}
	nameLen, controlLen := uint32(len(m.name)), uint64(m.controlLen)
	outFlags := uint32(m.outFlags | m.flags&msgCmsgCloexec)
	if errno := put(h.at.plus(msgNamelen), &nameLen); errno != 0 {
		return errno
	}
	if errno := put(h.at.plus(msgControllen), &controlLen); errno != 0 {
		return errno
	}
	return put(h.at.plus(msgFlags), &outFlags)
}

// many does a call for each struct mmsghdr of an array, until one fails. The
// error is told only if it was the first.
func (c call) many(n uintptr, do func(a address, first bool) (uintptr, Errno)) (uintptr, Errno) {
	array := c.address(c.a2)
	n = min(n, maxIovecs)
	for i := range n {
		a := array.plus(i * sizeofMmsghdr)
		size, errno := do(a, i == 0)
		if errno != 0 && i == 0 {
			return 0, errno
		}
		if errno != 0 {
			return i, 0
		}
		size32 := uint32(size)
		if errno := put(a.plus(mmsgLen), &size32); errno != 0 {
			return i, errno
		}
	}
	return n, 0
}

func sysSendmmsg(c call) (uintptr, Errno) {
	f, s, errno := socketOf(c.a1)
	if errno != 0 {
		return 0, errno
	}
	return c.many(uintptr(uint32(c.a3)), func(a address, _ bool) (uintptr, Errno) {
		return f.sendHeader(s, a, int(int32(c.a4)))
	})
}

// recvmmsg's time-out is looked at between messages only, which is what the
// manual page calls a bug.
func sysRecvmmsg(c call) (uintptr, Errno) {
	f, s, errno := socketOf(c.a1)
	if errno != 0 {
		return 0, errno
	}
	flags := int(int32(c.a4))
	deadline, errno := c.deadline(c.a5)
	if errno != 0 {
		return 0, errno
	}
	return c.many(uintptr(uint32(c.a3)), func(a address, first bool) (uintptr, Errno) {
		if !first && flags&msgWaitForOne != 0 {
			flags |= msgDontwait
		}
		if !first && deadline.passed() {
			return 0, syscall.EAGAIN
		}
		return f.receiveHeader(s, a, flags&^msgWaitForOne)
	})
}
