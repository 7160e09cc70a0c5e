package linux

import (
	"net/netip"
	"syscall"

	"pith/kernel/socket"
)

// Requests of netdevice(7) that tell of interfaces; those that change them are
// refused.
const (
	siocgifname    = 0x8910
	siocgifconf    = 0x8912
	siocgifflags   = 0x8913
	siocgifaddr    = 0x8915
	siocgifbrdaddr = 0x8919
	siocgifnetmask = 0x891b
	siocgifmetric  = 0x891d
	siocgifmtu     = 0x8921
	siocgifhwaddr  = 0x8927
	siocgifindex   = 0x8933
	siocgiftxqlen  = 0x8942
	ifreqSize      = 40
	ifnameSize     = 16
)

// interfaceRequest answers an ioctl about an interface: struct ifreq is a name
// of 16 bytes and then what is asked for.
func interfaceRequest(request uintptr, arg address) Errno {
	s := stack()
	if s == nil || request < 0x8910 || request > 0x89ff {
		return syscall.ENOTTY
	}
	if request == siocgifconf {
		return interfaceList(s, arg)
	}
	r, errno := get[[ifreqSize]byte](arg)
	if errno != 0 {
		return errno
	}
	for _, i := range s.Interfaces() {
		if !meant(r[:], i, request == siocgifname) {
			continue
		}
		if errno := answerRequest(request, r[:], i); errno != 0 {
			return errno
		}
		return put(arg, &r)
	}
	return syscall.ENODEV
}

// meant reports whether a request is about an interface.
func meant(r []byte, i socket.Interface, byIndex bool) bool {
	if byIndex {
		return int(load32(r[ifnameSize:])) == i.Index
	}
	n := 0
	for n < ifnameSize && r[n] != 0 {
		n++
	}
	return string(r[:n]) == i.Name
}

// answerRequest fills in a struct ifreq.
func answerRequest(request uintptr, r []byte, i socket.Interface) Errno {
	value := r[ifnameSize:]
	switch request {
	case siocgifname:
		clear(r[:ifnameSize])
		copy(r[:ifnameSize-1], i.Name)
	case siocgifindex:
		store32(value, uint32(i.Index))
	case siocgifflags:
		store16(value, uint16(interfaceFlags(i)))
	case siocgifmtu:
		store32(value, uint32(i.MTU))
	case siocgifmetric:
		store32(value, 0)
	case siocgiftxqlen:
		store32(value, 1000)
	case siocgifhwaddr:
		clear(value)
		store16(value, hardwareType(i))
		copy(value[2:], i.HardwareAddr[:])
	case siocgifaddr, siocgifbrdaddr, siocgifnetmask:
		p, ok := firstIPv4(i)
		if !ok {
			return syscall.EADDRNOTAVAIL
		}
		clear(value)
		encodeAddress(value, netip.AddrPortFrom(ofPrefix(request, p), 0), syscall.AF_INET)
	default:
		return syscall.EPERM
	}
	return 0
}

// ofPrefix returns what a request asks of an interface's address.
func ofPrefix(request uintptr, p netip.Prefix) netip.Addr {
	switch request {
	case siocgifbrdaddr:
		return lastOf(p)
	case siocgifnetmask:
		mask := ^uint32(0) << (32 - p.Bits())
		return netip.AddrFrom4([4]byte{byte(mask >> 24), byte(mask >> 16), byte(mask >> 8), byte(mask)})
	}
	return p.Addr()
}

func firstIPv4(i socket.Interface) (netip.Prefix, bool) {
	for _, p := range i.Addrs {
		if p.Addr().Is4() {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// interfaceList is SIOCGIFCONF: struct ifconf is the length of a buffer and a
// pointer to it; a nil pointer asks for the length.
func interfaceList(s socket.Stack, arg address) Errno {
	room, errno := get[int32](arg)
	if errno != 0 {
		return errno
	}
	buf, errno := fetch(arg.plus(8))
	if errno != 0 {
		return errno
	}
	n := int32(0)
	for _, i := range s.Interfaces() {
		p, ok := firstIPv4(i)
		if !ok || !buf.null() && n+ifreqSize > room {
			continue
		}
		var r [ifreqSize]byte
		copy(r[:ifnameSize-1], i.Name)
		encodeAddress(r[ifnameSize:], netip.AddrPortFrom(p.Addr(), 0), syscall.AF_INET)
		if !buf.null() {
			if errno := put(buf.plus(uintptr(n)), &r); errno != 0 {
				return errno
			}
		}
		n += ifreqSize
	}
	return put(arg, &n)
}
