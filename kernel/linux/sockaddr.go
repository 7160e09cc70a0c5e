package linux

import (
	"net/netip"
	"strconv"
	"syscall"
)

// Sizes of struct sockaddr_..., in bytes.
const (
	sizeofSockaddr4   = syscall.SizeofSockaddrInet4
	sizeofSockaddr6   = syscall.SizeofSockaddrInet6
	sizeofFamily      = 2
	maxSockaddr       = 128 // struct sockaddr_storage
	sizeofRawSockaddr = syscall.SizeofSockaddrAny
)

// family returns a socket address's family; AF_UNSPEC if it is cut short.
func family(name []byte) int {
	if len(name) < sizeofFamily {
		return syscall.AF_UNSPEC
	}
	return int(load16(name))
}

// decodeAddress reads a sockaddr_in or sockaddr_in6 for a socket of the given
// family. A sockaddr_in for an AF_INET6 socket becomes an IPv4-mapped address.
func decodeAddress(name []byte, sock int) (netip.AddrPort, Errno) {
	if len(name) < sizeofFamily {
		return netip.AddrPort{}, syscall.EINVAL
	}
	switch got := family(name); {
	case got == syscall.AF_INET && len(name) >= sizeofSockaddr4:
		ip := netip.AddrFrom4([4]byte(name[4:8]))
		if sock == syscall.AF_INET6 {
			ip = netip.AddrFrom16(ip.As16())
		}
		return netip.AddrPortFrom(ip, loadPort(name[2:])), 0
	case got == syscall.AF_INET6 && sock == syscall.AF_INET6 && len(name) >= sizeofSockaddr6-4:
		ip := netip.AddrFrom16([16]byte(name[8:24]))
		if len(name) >= sizeofSockaddr6 {
			ip = withScope(ip, load32(name[24:]))
		}
		return netip.AddrPortFrom(ip, loadPort(name[2:])), 0
	case got != syscall.AF_INET && got != syscall.AF_INET6:
		return netip.AddrPort{}, syscall.EAFNOSUPPORT
	case got == syscall.AF_INET6 && sock == syscall.AF_INET:
		return netip.AddrPort{}, syscall.EAFNOSUPPORT
	}
	return netip.AddrPort{}, syscall.EINVAL
}

// withScope gives a link-local address its zone: the interface's index in
// decimal, as package socket has it.
func withScope(ip netip.Addr, scope uint32) netip.Addr {
	if scope == 0 || !ip.IsLinkLocalUnicast() && !ip.IsLinkLocalMulticast() && !ip.IsInterfaceLocalMulticast() {
		return ip
	}
	return ip.WithZone(strconv.FormatUint(uint64(scope), 10))
}

// scope is withScope's opposite. A zone may be an interface's name too.
func scope(ip netip.Addr) uint32 {
	zone := ip.Zone()
	if zone == "" {
		return 0
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n)
	}
	for _, i := range stack().Interfaces() {
		if i.Name == zone {
			return uint32(i.Index)
		}
	}
	return 0
}

// encodeAddress writes a sockaddr_in or sockaddr_in6 to name, which has room
// for either, and returns its size. The zero address is the family's
// unspecified one.
func encodeAddress(name []byte, a netip.AddrPort, sock int) int {
	if sock == syscall.AF_INET {
		clear(name[:sizeofSockaddr4])
		store16(name, syscall.AF_INET)
		storePort(name[2:], a.Port())
		if ip := a.Addr().Unmap(); ip.Is4() {
			four := ip.As4()
			copy(name[4:], four[:])
		}
		return sizeofSockaddr4
	}
	clear(name[:sizeofSockaddr6])
	store16(name, syscall.AF_INET6)
	storePort(name[2:], a.Port())
	if ip := a.Addr(); ip.IsValid() {
		sixteen := ip.As16()
		copy(name[8:], sixteen[:])
		store32(name[24:], scope(ip))
	}
	return sizeofSockaddr6
}

// readName reads a socket address argument into room.
func (c call) readName(a, size uintptr, room *[maxSockaddr]byte) ([]byte, Errno) {
	if int32(size) < 0 || uint32(size) > maxSockaddr {
		return nil, syscall.EINVAL
	}
	name := room[:uint32(size)]
	return name, copyIn(name, c.address(a))
}

// writeName returns a socket address to the user as accept(2) and the like do:
// size points to the room that there is and gets the address's true length.
// Nothing happens if to is nil.
func (c call) writeName(to, size uintptr, name []byte) Errno {
	if to == 0 {
		return 0
	}
	room, errno := get[int32](c.address(size))
	switch {
	case errno != 0:
		return errno
	case room < 0:
		return syscall.EINVAL
	}
	n := min(int(room), len(name))
	if errno := copyOut(c.address(to), name[:n]); errno != 0 {
		return errno
	}
	full := int32(len(name))
	return put(c.address(size), &full)
}
