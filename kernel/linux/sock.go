package linux

import (
	"sync"
	"syscall"
)

// sock is an object that is a socket, of whatever family. As all objects it
// never blocks.
type sock interface {
	object
	bind(name []byte) Errno
	// connect returns EINPROGRESS where it has to wait, and EAGAIN where the
	// caller has to try again.
	connect(name []byte) Errno
	listen(backlog int) Errno
	// accept returns the new socket, with flags for its file, and the peer's
	// name, written to room.
	accept(flags uintptr, room *[maxSockaddr]byte) (f *file, name []byte, errno Errno)
	// localName and peerName write a socket address to room.
	localName(room *[maxSockaddr]byte) ([]byte, Errno)
	peerName(room *[maxSockaddr]byte) ([]byte, Errno)
	receive(m *message) (int, Errno)
	send(m *message) (int, Errno)
	shutdown(how int) Errno
	setOption(level, name int, value []byte) Errno
	// option writes an option's value to value and returns its size.
	option(level, name int, value []byte) (int, Errno)
}

// message is what one send or receive moves. Nothing of it is kept.
type message struct {
	data    []byte
	control []byte // ancillary data; receive: the room for it
	flags   int    // MSG_...
	stream  bool

	room [maxSockaddr]byte
	name []byte // peer's address, in room; empty for none

	// Results of a receive:
	controlLen int
	outFlags   int
	rights     []*file // open files that travel along (AF_UNIX)
}

var messages = sync.Pool{New: func() any { return new(message) }}

// newMessage takes an empty message from the pool.
func newMessage() *message { return messages.Get().(*message) }

func (m *message) free() {
	m.data, m.control, m.name, m.rights = nil, nil, nil, nil
	m.flags, m.controlLen, m.outFlags = 0, 0, 0
	messages.Put(m)
}

// socketOf returns the socket behind a descriptor.
func socketOf(fd uintptr) (*file, sock, Errno) {
	f, errno := open(fd)
	if errno != 0 {
		return nil, nil, errno
	}
	s, ok := f.object.(sock)
	if !ok {
		return nil, nil, syscall.ENOTSOCK
	}
	return f, s, 0
}

const (
	sockTypeMask = 0xf
	sockFlags    = syscall.SOCK_NONBLOCK | syscall.SOCK_CLOEXEC // same bits as O_NONBLOCK, O_CLOEXEC
)

func sysSocket(c call) (uintptr, Errno) {
	typ, flags := int(int32(c.a2))&sockTypeMask, c.a2&sockFlags
	if c.a2&^(sockTypeMask|sockFlags) != 0 {
		return 0, syscall.EINVAL
	}
	var f *file
	var errno Errno
	switch protocol := int(int32(c.a3)); int32(c.a1) {
	case syscall.AF_INET, syscall.AF_INET6:
		f, errno = newInet(int(c.a1), typ, protocol, flags)
	case syscall.AF_UNIX:
		f, errno = newUnix(typ, protocol, flags)
	case syscall.AF_NETLINK:
		f, errno = newNetlink(typ, protocol, flags)
	default:
		return 0, syscall.EAFNOSUPPORT
	}
	if errno != 0 {
		return 0, errno
	}
	return install(f, flags)
}

func sysBind(c call) (uintptr, Errno) {
	_, s, errno := socketOf(c.a1)
	if errno != 0 {
		return 0, errno
	}
	var room [maxSockaddr]byte
	name, errno := c.readName(c.a2, c.a3, &room)
	if errno != 0 {
		return 0, errno
	}
	return 0, s.bind(name)
}

func sysConnect(c call) (uintptr, Errno) {
	f, s, errno := socketOf(c.a1)
	if errno != 0 {
		return 0, errno
	}
	var room [maxSockaddr]byte
	name, errno := c.readName(c.a2, c.a3, &room)
	if errno != 0 {
		return 0, errno
	}
	errno = s.connect(name)
	if f.nonblocking() {
		return 0, errno
	}
	switch errno {
	case syscall.EAGAIN:
		errno = f.retry(&f.writePatience, func() Errno { return s.connect(name) })
	case syscall.EINPROGRESS:
		errno = f.retry(&f.writePatience, func() Errno { return connected(f, s) })
		if errno == syscall.EAGAIN { // SO_SNDTIMEO ran out
			errno = syscall.EINPROGRESS
		}
	}
	return 0, errno
}

// connected returns how a connection attempt ended, or EAGAIN.
func connected(f *file, s sock) Errno {
	if f.readiness()&(writable|broken|hungUp) == 0 {
		return syscall.EAGAIN
	}
	var value [4]byte
	if _, errno := s.option(syscall.SOL_SOCKET, syscall.SO_ERROR, value[:]); errno != 0 {
		return errno
	}
	return Errno(load32(value[:]))
}

func sysListen(c call) (uintptr, Errno) {
	_, s, errno := socketOf(c.a1)
	if errno != 0 {
		return 0, errno
	}
	return 0, s.listen(int(int32(c.a2)))
}

func sysAccept(c call) (uintptr, Errno) { return c.accept(0) }

func sysAccept4(c call) (uintptr, Errno) { return c.accept(c.a4) }

func (c call) accept(flags uintptr) (uintptr, Errno) {
	if flags&^sockFlags != 0 {
		return 0, syscall.EINVAL
	}
	m := newMessage() // for its room
	defer m.free()
	f, name, errno := acceptFrom(c.a1, flags, &m.room)
	if errno != 0 {
		return 0, errno
	}
	if errno := c.writeName(c.a2, c.a3, name); errno != 0 {
		f.unref()
		return 0, errno
	}
	return install(f, flags)
}

// acceptFrom takes a connection from a listening descriptor, and waits for one
// in blocking mode.
func acceptFrom(fd, flags uintptr, room *[maxSockaddr]byte) (*file, []byte, Errno) {
	listener, s, errno := socketOf(fd)
	if errno != 0 {
		return nil, nil, errno
	}
	f, name, errno := s.accept(flags, room)
	if errno == syscall.EAGAIN && !listener.nonblocking() {
		errno = listener.retry(&listener.readPatience, func() (errno Errno) {
			f, name, errno = s.accept(flags, room)
			return errno
		})
	}
	return f, name, errno
}

func sysGetsockname(c call) (uintptr, Errno) { return c.socketName(sock.localName) }

func sysGetpeername(c call) (uintptr, Errno) { return c.socketName(sock.peerName) }

// socketName gives the program one of a socket's two names.
func (c call) socketName(of func(sock, *[maxSockaddr]byte) ([]byte, Errno)) (uintptr, Errno) {
	_, s, errno := socketOf(c.a1)
	if errno != 0 {
		return 0, errno
	}
	var room [maxSockaddr]byte
	name, errno := of(s, &room)
	if errno != 0 {
		return 0, errno
	}
	return 0, c.writeName(c.a2, c.a3, name)
}

func sysShutdown(c call) (uintptr, Errno) {
	_, s, errno := socketOf(c.a1)
	if errno != 0 {
		return 0, errno
	}
	if how := int32(c.a2); how < syscall.SHUT_RD || how > syscall.SHUT_RDWR {
		return 0, syscall.EINVAL
	}
	return 0, s.shutdown(int(c.a2))
}
