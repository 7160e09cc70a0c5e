package linux

import (
	"net/netip"
	"syscall"
	"unsafe"
)

// The functions here take the places of package syscall's own in a machine:
// the builder finds them by their directive and makes the shadow copy call
// them, with the same parameters and results, where Active reports true. They
// may be declared noescape there: pointers are followed on the calling
// goroutine only and not kept, and a slice that lies on its stack is handed to
// no object but through a bounce buffer.

// failure returns an errno as an error, without an allocation for the common
// ones.
func failure(errno Errno) error {
	switch errno {
	case 0:
		return nil
	case syscall.EAGAIN:
		return errAgain
	case syscall.EINVAL:
		return errInvalid
	case syscall.ENOENT:
		return errNoEntry
	}
	return errno
}

var (
	errAgain   error = syscall.EAGAIN
	errInvalid error = syscall.EINVAL
	errNoEntry error = syscall.ENOENT
)

// result is what package syscall returns: -1 beside an error.
func result(n int, errno Errno) (int, error) {
	if errno != 0 {
		return -1, failure(errno)
	}
	return n, nil
}

// filled gives memory to be filled for p: p itself, or a bounce buffer if it
// lies on the stack.
func filled(p []byte) ([]byte, *bounce) {
	p = p[:min(len(p), maxTransfer)]
	a := home(p)
	if !a.stack || len(p) == 0 {
		return p, nil
	}
	b := newBounce(a, uintptr(len(p)))
	return b.data[:len(p)], b
}

// given gives p's bytes: p itself, or a copy if it lies on the stack.
func given(p []byte) ([]byte, *bounce) {
	q, b := filled(p)
	if b != nil {
		copy(q, p)
	}
	return q, b
}

// Read is read(2).
//
//pith:replaces syscall.read
func Read(fd int, p []byte) (n int, err error) {
	f, errno := open(uintptr(fd))
	if errno != 0 {
		return result(0, errno)
	}
	q, b := filled(p)
	n, errno = f.doRead(q)
	b.deliver(n)
	return result(n, errno)
}

// Write is write(2).
//
//pith:replaces syscall.write
func Write(fd int, p []byte) (n int, err error) {
	f, errno := open(uintptr(fd))
	if errno != 0 {
		return result(0, errno)
	}
	q, b := given(p)
	n, errno = f.doWrite(q)
	b.free()
	return result(n, errno)
}

// Pread is pread(2).
//
//pith:replaces syscall.pread
func Pread(fd int, p []byte, offset int64) (n int, err error) {
	o, errno := readableAt(uintptr(fd), offset)
	if errno != 0 {
		return result(0, errno)
	}
	q, b := filled(p)
	n, errno = o.readAt(q, offset)
	b.deliver(n)
	return result(n, errno)
}

// Pwrite is pwrite(2).
//
//pith:replaces syscall.pwrite
func Pwrite(fd int, p []byte, offset int64) (n int, err error) {
	o, errno := writableAt(uintptr(fd), offset)
	if errno != 0 {
		return result(0, errno)
	}
	q, b := given(p)
	n, errno = o.writeAt(q, offset)
	b.free()
	return result(n, errno)
}

// Accept4 is accept4(2).
//
//pith:replaces syscall.accept4
func Accept4(s int, rsa *syscall.RawSockaddrAny, addrlen *uint32, flags int) (fd int, err error) {
	if flags&^sockFlags != 0 {
		return result(0, syscall.EINVAL)
	}
	m := newMessage() // for its room
	defer m.free()
	f, name, errno := acceptFrom(uintptr(s), uintptr(flags), &m.room)
	if errno != 0 {
		return result(0, errno)
	}
	if rsa != nil {
		copy(rawBytes(rsa)[:min(int(*addrlen), sizeofRawSockaddr)], name)
		*addrlen = uint32(len(name))
	}
	n, errno := install(f, uintptr(flags))
	return result(int(n), errno)
}

// rawBytes gives a socket address's memory.
//
// SAFETY: the slice covers exactly the struct and keeps it alive.
func rawBytes(rsa *syscall.RawSockaddrAny) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(rsa)), sizeofRawSockaddr)
}

// Recvfrom is recvfrom(2).
//
//pith:replaces syscall.recvfrom
func Recvfrom(fd int, p []byte, flags int, from *syscall.RawSockaddrAny, fromlen *uint32) (n int, err error) {
	f, s, errno := socketOf(uintptr(fd))
	if errno != 0 {
		return result(0, errno)
	}
	m := newMessage()
	defer m.free()
	var b *bounce
	m.data, b = filled(p)
	m.flags = flags
	n, errno = f.receive(s, m)
	b.deliver(min(n, len(m.data)))
	if errno != 0 {
		return result(0, errno)
	}
	m.dropRights()
	if from != nil {
		copy(rawBytes(from)[:min(int(*fromlen), sizeofRawSockaddr)], m.name)
		*fromlen = uint32(len(m.name))
	}
	return n, nil
}

// receiveInet is the short way of a datagram from the stack to its reader.
func receiveInet(fd int, p, oob []byte, flags int) (n, oobn, out int, from netip.AddrPort, errno Errno) {
	f, errno := open(uintptr(fd))
	if errno != 0 {
		return 0, 0, 0, from, errno
	}
	i, ok := f.object.(*inet)
	if !ok {
		_, _, errno = socketOf(uintptr(fd))
		if errno == 0 {
			errno = syscall.EAFNOSUPPORT
		}
		return 0, 0, 0, from, errno
	}
	q, b := filled(p)
	control, c := filled(oob)
	m := flags & msgForReceivers
	n, oobn, out, from, errno = i.endpoint.Receive(q, control, m)
	if errno == syscall.EAGAIN && !f.nonblocking() && flags&msgDontwait == 0 {
		errno = f.retry(&f.readPatience, func() (errno Errno) {
			n, oobn, out, from, errno = i.endpoint.Receive(q, control, m)
			return errno
		})
	}
	if errno != 0 {
		n, oobn = 0, 0
	}
	if n > len(q) && flags&msgTrunc == 0 {
		n = len(q)
	}
	b.deliver(min(n, len(q)))
	c.deliver(oobn)
	return n, oobn, out, from, errno
}

// setInet4 stores a peer's address.
func setInet4(to *syscall.SockaddrInet4, from netip.AddrPort) {
	to.Port = int(from.Port())
	to.Addr = [4]byte{}
	if a := from.Addr().Unmap(); a.Is4() {
		to.Addr = a.As4()
	}
}

// setInet6 stores a peer's address.
func setInet6(to *syscall.SockaddrInet6, from netip.AddrPort) {
	to.Port, to.Addr, to.ZoneId = int(from.Port()), [16]byte{}, 0
	if a := from.Addr(); a.IsValid() {
		to.Addr, to.ZoneId = a.As16(), scope(a)
	}
}

// RecvfromInet4 is recvfrom(2) on an AF_INET socket.
//
//pith:replaces syscall.recvfromInet4
func RecvfromInet4(fd int, p []byte, flags int, from *syscall.SockaddrInet4) (n int, err error) {
	n, _, _, peer, errno := receiveInet(fd, p, nil, flags)
	if errno != 0 {
		return result(0, errno)
	}
	setInet4(from, peer)
	return n, nil
}

// RecvfromInet6 is recvfrom(2) on an AF_INET6 socket.
//
//pith:replaces syscall.recvfromInet6
func RecvfromInet6(fd int, p []byte, flags int, from *syscall.SockaddrInet6) (n int, err error) {
	n, _, _, peer, errno := receiveInet(fd, p, nil, flags)
	if errno != 0 {
		return result(0, errno)
	}
	setInet6(from, peer)
	return n, nil
}

// RecvmsgInet4 is recvmsg(2) on an AF_INET socket.
//
//pith:replaces syscall.recvmsgInet4
func RecvmsgInet4(fd int, p, oob []byte, flags int, from *syscall.SockaddrInet4) (n, oobn int, recvflags int, err error) {
	n, oobn, out, peer, errno := receiveInet(fd, p, oob, flags)
	if errno != 0 {
		return -1, 0, 0, failure(errno)
	}
	setInet4(from, peer)
	return n, oobn, out | flags&msgCmsgCloexec, nil
}

// RecvmsgInet6 is recvmsg(2) on an AF_INET6 socket.
//
//pith:replaces syscall.recvmsgInet6
func RecvmsgInet6(fd int, p, oob []byte, flags int, from *syscall.SockaddrInet6) (n, oobn int, recvflags int, err error) {
	n, oobn, out, peer, errno := receiveInet(fd, p, oob, flags)
	if errno != 0 {
		return -1, 0, 0, failure(errno)
	}
	setInet6(from, peer)
	return n, oobn, out | flags&msgCmsgCloexec, nil
}

// sendInet is the short way of a datagram from its writer to the stack.
func sendInet(fd int, p, oob []byte, to netip.AddrPort, flags int) (int, Errno) {
	f, errno := open(uintptr(fd))
	if errno != 0 {
		return 0, errno
	}
	i, ok := f.object.(*inet)
	if !ok {
		_, _, errno = socketOf(uintptr(fd))
		if errno == 0 {
			errno = syscall.EAFNOSUPPORT
		}
		return 0, errno
	}
	if i.typ == syscall.SOCK_STREAM {
		to = netip.AddrPort{}
	} else if to.IsValid() && i.family == syscall.AF_INET && to.Addr().Is6() {
		return 0, syscall.EAFNOSUPPORT
	} else if to.IsValid() && i.family == syscall.AF_INET6 && to.Addr().Is4() {
		to = netip.AddrPortFrom(netip.AddrFrom16(to.Addr().As16()), to.Port())
	}
	return i.sendTo(p, oob, to, flags)
}

// sendTo sends p and waits for room in blocking mode.
func (i *inet) sendTo(p, oob []byte, to netip.AddrPort, flags int) (int, Errno) {
	f := &i.file
	q, b := given(p)
	control, c := given(oob)
	n, errno := i.endpoint.Send(q, control, to, flags&msgOOB)
	if errno == syscall.EAGAIN && !f.nonblocking() && flags&msgDontwait == 0 {
		errno = f.retry(&f.writePatience, func() (errno Errno) {
			n, errno = i.endpoint.Send(q, control, to, flags&msgOOB)
			return errno
		})
	}
	b.free()
	c.free()
	return n, errno
}

// fromInet4 reads a destination; false if its port is none.
func fromInet4(sa *syscall.SockaddrInet4) (a netip.AddrPort, ok bool) {
	if sa == nil {
		return a, true
	}
	return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), sa.Port >= 0 && sa.Port <= 0xffff
}

// fromInet6 reads a destination; false if its port is none.
func fromInet6(sa *syscall.SockaddrInet6) (a netip.AddrPort, ok bool) {
	if sa == nil {
		return a, true
	}
	ip := withScope(netip.AddrFrom16(sa.Addr), sa.ZoneId)
	return netip.AddrPortFrom(ip, uint16(sa.Port)), sa.Port >= 0 && sa.Port <= 0xffff
}

// SendtoInet4 is sendto(2) with an IPv4 address.
//
//pith:replaces syscall.sendtoInet4
func SendtoInet4(fd int, p []byte, flags int, to *syscall.SockaddrInet4) (err error) {
	a, ok := fromInet4(to)
	if !ok {
		return errInvalid
	}
	_, errno := sendInet(fd, p, nil, a, flags)
	return failure(errno)
}

// SendtoInet6 is sendto(2) with an IPv6 address.
//
//pith:replaces syscall.sendtoInet6
func SendtoInet6(fd int, p []byte, flags int, to *syscall.SockaddrInet6) (err error) {
	a, ok := fromInet6(to)
	if !ok {
		return errInvalid
	}
	_, errno := sendInet(fd, p, nil, a, flags)
	return failure(errno)
}

// SendmsgNInet4 is sendmsg(2) with an IPv4 address, or none.
//
//pith:replaces syscall.sendmsgNInet4
func SendmsgNInet4(fd int, p, oob []byte, to *syscall.SockaddrInet4, flags int) (n int, err error) {
	a, ok := fromInet4(to)
	if !ok {
		return 0, errInvalid
	}
	n, errno := sendInet(fd, p, oob, a, flags)
	return n, failure(errno)
}

// SendmsgNInet6 is sendmsg(2) with an IPv6 address, or none.
//
//pith:replaces syscall.sendmsgNInet6
func SendmsgNInet6(fd int, p, oob []byte, to *syscall.SockaddrInet6, flags int) (n int, err error) {
	a, ok := fromInet6(to)
	if !ok {
		return 0, errInvalid
	}
	n, errno := sendInet(fd, p, oob, a, flags)
	return n, failure(errno)
}

// Datagram reports whether a descriptor is a datagram socket of AF_INET or AF_INET6,
// which SendmsgN is for.
func Datagram(fd int) bool {
	_, errno := datagram(fd)
	return errno == 0
}

func datagram(fd int) (*inet, Errno) {
	if !started {
		return nil, syscall.ENOSYS
	}
	f, errno := open(uintptr(fd))
	if errno != 0 {
		return nil, errno
	}
	i, ok := f.object.(*inet)
	if !ok || i.typ != syscall.SOCK_DGRAM {
		return nil, syscall.ENOTSOCK
	}
	return i, 0
}

// SendmsgN is sendmsg(2) on a descriptor that is a Datagram, to the struct sockaddr of
// size bytes at name; 0 is none. It is what WriteMsgUDP comes down to.
func SendmsgN(fd int, p, oob []byte, name unsafe.Pointer, size uint32, flags int) (n int, err error) {
	i, errno := datagram(fd)
	if errno != 0 {
		return 0, failure(errno)
	}
	var to netip.AddrPort
	// SAFETY: the caller says how long the address is, and keeps it alive.
	raw := unsafe.Slice((*byte)(name), size)
	if size > 0 && family(raw) != syscall.AF_UNSPEC {
		if to, errno = decodeAddress(raw, i.family); errno != 0 {
			return 0, failure(errno)
		}
	}
	n, errno = i.sendTo(p, oob, to, flags)
	return n, failure(errno)
}
