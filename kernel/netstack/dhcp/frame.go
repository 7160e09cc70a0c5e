package dhcp

import "net/netip"

// UDP ports (RFC 2131, section 4.1).
const (
	ServerPort = 67
	ClientPort = 68
)

// Lengths of the headers in front of a message.
const (
	etherLen = 14
	ipLen    = 20
	udpLen   = 8
)

var broadcastMAC = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// endpoints are a frame's addresses.
type endpoints struct {
	fromMAC, toMAC [6]byte
	from, to       netip.Addr // IPv4
}

// wrap puts a message from the client's port to the server's port into a
// frame.
func wrap(e endpoints, message []byte) []byte {
	total := ipLen + udpLen + len(message)
	f := make([]byte, etherLen+total)
	copy(f, e.toMAC[:])
	copy(f[6:], e.fromMAC[:])
	f[12] = 0x08 // IPv4

	ip := f[etherLen:]
	ip[0] = 0x45
	put16(ip[2:], uint16(total))
	ip[8] = 64 // time to live
	ip[9] = 17 // UDP
	from, to := e.from.As4(), e.to.As4()
	copy(ip[12:], from[:])
	copy(ip[16:], to[:])
	put16(ip[10:], ^sum(ip[:ipLen], 0))

	udp := ip[ipLen:]
	put16(udp, ClientPort)
	put16(udp[2:], ServerPort)
	put16(udp[4:], uint16(udpLen+len(message)))
	copy(udp[udpLen:], message)
	s := ^sum(udp, sumOfPseudo(ip, udpLen+len(message)))
	if s == 0 {
		s = 0xffff
	}
	put16(udp[6:], s)
	return f
}

// unwrap finds the message in a frame to the client's port. It checks lengths
// and checksums, and ignores fragments.
func unwrap(f []byte) (message []byte, e endpoints, ok bool) {
	if len(f) < etherLen+ipLen+udpLen || f[12] != 8 || f[13] != 0 {
		return nil, e, false
	}
	ip := f[etherLen:]
	head, total := int(ip[0]&15)*4, int(get16(ip[2:]))
	if ip[0]>>4 != 4 || head < ipLen || total < head+udpLen || total > len(ip) {
		return nil, e, false
	}
	if ip[9] != 17 || get16(ip[6:])&0x3fff != 0 || sum(ip[:head], 0) != 0xffff {
		return nil, e, false
	}
	udp := ip[head:total]
	n := int(get16(udp[4:]))
	if n < udpLen || n > len(udp) || get16(udp) != ServerPort || get16(udp[2:]) != ClientPort {
		return nil, e, false
	}
	// The checksum's field may be zero (none), or hold only the pseudo
	// header's sum if the frame never was on a wire.
	pseudo := sumOfPseudo(ip, n)
	if c := get16(udp[6:]); c != 0 && c != sum(nil, pseudo) && sum(udp[:n], pseudo) != 0xffff {
		return nil, e, false
	}
	e = endpoints{
		toMAC:   [6]byte(f),
		fromMAC: [6]byte(f[6:]),
		from:    netip.AddrFrom4([4]byte(ip[12:])),
		to:      netip.AddrFrom4([4]byte(ip[16:])),
	}
	return udp[udpLen:n], e, true
}

// sumOfPseudo is the sum of UDP's pseudo header (RFC 768).
func sumOfPseudo(ip []byte, udpBytes int) uint32 {
	return uint32(sum(ip[12:20], 17+uint32(udpBytes)))
}

// sum is the Internet checksum of RFC 1071 on top of acc, not complemented.
func sum(b []byte, acc uint32) uint16 {
	for ; len(b) >= 2; b = b[2:] {
		acc += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		acc += uint32(b[0]) << 8
	}
	for acc > 0xffff {
		acc = acc>>16 + acc&0xffff
	}
	return uint16(acc)
}

func get16(b []byte) uint16 { return uint16(b[0])<<8 | uint16(b[1]) }

func put16(b []byte, v uint16) { b[0], b[1] = byte(v>>8), byte(v) }
