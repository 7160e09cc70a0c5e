package inet

import (
	"net/netip"
	"strconv"
	"syscall"
)

// address is an IPv6 address, or an IPv4 address in its mapped form
// (::ffff:a.b.c.d): two words, cheap to compare and to hash. The zero address is "::",
// and anyV4 is 0.0.0.0.
type address struct{ hi, lo uint64 }

const mapped = 0xffff << 32

var (
	anyV4     = v4(0)
	broadcast = v4(0xffffffff)
	loopback4 = v4(0x7f000001)
	loopback6 = address{0, 1}
	allNodes  = address{0xff02 << 48, 1}
	allRouter = address{0xff02 << 48, 2}
)

func v4(a uint32) address { return address{0, mapped | uint64(a)} }

func v6(b []byte) address { return address{get64(b), get64(b[8:])} }

func (a address) is4() bool { return a.hi == 0 && a.lo>>32 == 0xffff }

// unspecified reports whether a is the wildcard of its family.
func (a address) unspecified() bool { return a.hi == 0 && (a.lo == 0 || a.lo == mapped) }

func (a address) isLoopback() bool {
	return a == loopback6 || a.is4() && uint8(a.lo>>24) == 127
}

func (a address) isMulticast() bool {
	if a.is4() {
		return uint8(a.lo>>24)&0xf0 == 0xe0
	}
	return a.hi>>56 == 0xff
}

// isLinkLocal reports whether a is an IPv6 unicast address that means something
// on one link only.
func (a address) isLinkLocal() bool { return a.hi>>54 == 0xfe80>>6 }

// scoped reports whether a needs a zone (an interface) to be complete.
func (a address) scoped() bool {
	return a.isLinkLocal() || a.hi>>56 == 0xff && a.hi>>48&0xf <= 2
}

// put writes a IPv6 address; of an IPv4 one the mapped form.
func (a address) put(b []byte) {
	put64(b, a.hi)
	put64(b[8:], a.lo)
}

// solicitedNode is the multicast group that a's neighbours ask (RFC 4291, section 2.7.1).
func (a address) solicitedNode() address {
	return address{0xff02 << 48, 1<<32 | 0xff<<24 | a.lo&0xffffff}
}

// multicastMAC is the Ethernet address of a multicast group (RFC 1112, section 6.4;
// RFC 2464, section 7).
func (a address) multicastMAC() hardwareAddr {
	if a.is4() {
		return 0x01005e<<24 | hardwareAddr(a.lo&0x7fffff)
	}
	return 0x3333<<32 | hardwareAddr(a.lo&0xffffffff)
}

// hasPrefix reports whether the first n of 128 bits of a and p are the same.
func (a address) hasPrefix(p address, n int) bool {
	if n <= 64 {
		return (a.hi^p.hi)>>(64-n) == 0
	}
	return a.hi == p.hi && (a.lo^p.lo)>>(128-n) == 0
}

// masked clears all bits of a behind the first n.
func (a address) masked(n int) address {
	if n <= 64 {
		return address{a.hi >> (64 - n) << (64 - n), 0}
	}
	return address{a.hi, a.lo >> (128 - n) << (128 - n)}
}

// commonPrefix counts the leading bits that a and b share.
func (a address) commonPrefix(b address) int {
	n := 0
	for n < 128 && a.hasPrefix(b, n+1) {
		n++
	}
	return n
}

// fromNetip takes a netip.Addr; of the zero Addr it makes "::".
func fromNetip(n netip.Addr) address {
	if !n.IsValid() {
		return address{}
	}
	b := n.As16()
	return v6(b[:])
}

// netip gives a as the program's socket of the given family is to see it: mapped
// on an AF_INET6 one. A scoped address takes the interface's index as its zone.
func (a address) netip(family, nic int) netip.Addr {
	if a.is4() && family == syscall.AF_INET {
		return netip.AddrFrom4([4]byte{byte(a.lo >> 24), byte(a.lo >> 16), byte(a.lo >> 8), byte(a.lo)})
	}
	var b [16]byte
	a.put(b[:])
	n := netip.AddrFrom16(b)
	if nic > 0 && a.scoped() {
		return n.WithZone(strconv.Itoa(nic))
	}
	return n
}

// plain gives a as a netip.Addr, IPv4 unmapped.
func (a address) plain() netip.Addr {
	if a.is4() {
		return a.netip(syscall.AF_INET, 0)
	}
	return a.netip(syscall.AF_INET6, 0)
}

// prefix is a range of addresses; bits counts from the front of the 128-bit
// form, so an IPv4 /24 has 120.
type prefix struct {
	addr address
	bits int
}

func fromPrefix(p netip.Prefix) prefix {
	n := p.Bits()
	if p.Addr().Is4() {
		n += 96
	}
	return prefix{fromNetip(p.Addr().WithZone("")), n}
}

func (p prefix) contains(a address) bool { return a.hasPrefix(p.addr, p.bits) }

func (p prefix) netip() netip.Prefix {
	if p.addr.is4() {
		return netip.PrefixFrom(p.addr.plain(), p.bits-96)
	}
	return netip.PrefixFrom(p.addr.plain(), p.bits)
}

// broadcast is an IPv4 prefix's directed broadcast address, or the zero address
// where there is none (IPv6, /31, /32).
func (p prefix) broadcast() address {
	if !p.addr.is4() || p.bits > 126 {
		return address{}
	}
	return address{0, p.addr.lo | (1<<(128-p.bits) - 1)}
}

// hardwareAddr is an Ethernet address in the low 48 bits.
type hardwareAddr uint64

const broadcastMAC hardwareAddr = 1<<48 - 1

func getMAC(b []byte) hardwareAddr {
	return hardwareAddr(get16(b))<<32 | hardwareAddr(get32(b[2:]))
}

func (h hardwareAddr) put(b []byte) {
	put16(b, uint16(h>>32))
	put32(b[2:], uint32(h))
}

// group reports whether h is a multicast or the broadcast address.
func (h hardwareAddr) group() bool { return h>>40&1 == 1 }
