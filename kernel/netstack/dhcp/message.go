// Package dhcp is a DHCP client for IPv4: RFC 2131, with the options of RFC
// 2132, classless static routes (RFC 3442) and rapid commit (RFC 4039).
//
// It makes and reads whole Ethernet frames, so it needs no stack that could
// send and receive without an address. It relies on nothing above the
// language's own packages that os itself uses, so that any stack in the kernel
// can use it. It must not touch an interface: its owner sends frames and
// applies leases.
//
// It doesn't probe the offered address with ARP (RFC 2131, section 4.4.1 says
// SHOULD): that costs a start a second or more, and addresses come from
// the network that the machine's manager made.
package dhcp

import (
	"errors"
	"net/netip"
	"time"
)

// Type is a message's kind (RFC 2132, section 9.6).
type Type uint8

// The kinds that a client sends and receives.
const (
	Discover Type = 1
	Offer    Type = 2
	Request  Type = 3
	ACK      Type = 5
	NAK      Type = 6
	Release  Type = 7
)

// Option codes (RFC 2132; 80: RFC 4039; 121: RFC 3442).
const (
	optPad          = 0
	optMask         = 1
	optRouter       = 3
	optNameserver   = 6
	optHostName     = 12
	optMTU          = 26
	optRequestedIP  = 50
	optLeaseTime    = 51
	optOverload     = 52
	optType         = 53
	optServer       = 54
	optParameters   = 55
	optMaxSize      = 57
	optRenewTime    = 58
	optRebindTime   = 59
	optClientID     = 61
	optRapidCommit  = 80
	optStaticRoutes = 121
	optEnd          = 255
)

// Offsets in the fixed part (RFC 2131, section 2).
const (
	offXID    = 4
	offFlags  = 10
	offClient = 12
	offYours  = 16
	offMAC    = 28
	offSName  = 44
	offFile   = 108
	offCookie = 236
	fixedLen  = 240
	minLen    = 300 // what a BOOTP relay may insist on (RFC 1542, section 2.1)
)

var cookie = [4]byte{99, 130, 83, 99}

// Route is a static route that a server gave.
type Route struct {
	Destination netip.Prefix
	Gateway     netip.Addr // unspecified: on link
}

// Lease is what a server gave.
type Lease struct {
	Addr        netip.Prefix
	Server      netip.Addr
	Routers     []netip.Addr
	Routes      []Route // if any, they stand in place of Routers (RFC 3442)
	Nameservers []netip.Addr
	MTU         int // 0 if the server said nothing
	// Times since the lease was acknowledged: when to ask the server again, when to
	// ask any server, and when it ends. Lifetime is negative for an endless lease.
	Renew, Rebind, Lifetime time.Duration
}

// Message is a DHCP message as far as a client needs it.
type Message struct {
	Type      Type
	XID       uint32
	Reply     bool // from a server
	Broadcast bool // the client asks for a broadcast answer
	MAC       [6]byte
	Client    netip.Addr // ciaddr: the address that the client uses already
	Requested netip.Addr // option 50
	Rapid     bool       // option 80
	Host      string     // option 12; only sent
	Lease     Lease      // of a reply; only Server is sent
}

// errMessage is the reason why a message can't be read.
var errMessage = errors.New("dhcp: malformed message")

// Append appends the message, as a client sends it, to b.
func (m *Message) Append(b []byte) []byte {
	start := len(b)
	b = append(b, make([]byte, fixedLen)...)
	h := b[start:]
	h[0], h[1], h[2] = 1, 1, 6 // BOOTREQUEST, Ethernet, 6 bytes of address
	put32(h[offXID:], m.XID)
	if m.Broadcast {
		h[offFlags] = 0x80
	}
	if m.Client.Is4() {
		a := m.Client.As4()
		copy(h[offClient:], a[:])
	}
	copy(h[offMAC:], m.MAC[:])
	copy(h[offCookie:], cookie[:])
	b = append(b, optType, 1, byte(m.Type))
	b = append(b, optClientID, 7, 1)
	b = append(b, m.MAC[:]...)
	b = appendAddr(b, optRequestedIP, m.Requested)
	b = appendAddr(b, optServer, m.Lease.Server)
	if m.Host != "" && len(m.Host) < 64 {
		b = append(b, optHostName, byte(len(m.Host)))
		b = append(b, m.Host...)
	}
	if m.Type != Release {
		b = append(b, optMaxSize, 2, 1500>>8, 1500&255)
		b = append(b, optParameters, 8, optMask, optStaticRoutes, optRouter, optNameserver,
			optMTU, optLeaseTime, optRenewTime, optRebindTime)
	}
	if m.Rapid {
		b = append(b, optRapidCommit, 0)
	}
	b = append(b, optEnd)
	for len(b)-start < minLen {
		b = append(b, optPad)
	}
	return b
}

func appendAddr(b []byte, code byte, a netip.Addr) []byte {
	if !a.Is4() {
		return b
	}
	four := a.As4()
	return append(append(b, code, 4), four[:]...)
}

// Parse reads a message. Options that it doesn't know, or whose length is
// wrong, are skipped; a message whose structure is broken is an error.
func Parse(b []byte) (Message, error) {
	if len(b) < fixedLen || b[1] != 1 || b[2] != 6 || [4]byte(b[offCookie:]) != cookie {
		return Message{}, errMessage
	}
	m := Message{
		XID:       get32(b[offXID:]),
		Reply:     b[0] == 2,
		Broadcast: b[offFlags]&0x80 != 0,
		MAC:       [6]byte(b[offMAC:]),
		Client:    netip.AddrFrom4([4]byte(b[offClient:])),
	}
	o := options{}
	if err := o.collect(b[fixedLen:]); err != nil {
		return Message{}, err
	}
	// RFC 2131, section 4.1: the file field first, then sname.
	overload := o.first(optOverload)
	if len(overload) == 1 && overload[0]&1 != 0 {
		if err := o.collect(b[offFile:offCookie]); err != nil {
			return Message{}, err
		}
	}
	if len(overload) == 1 && overload[0]&2 != 0 {
		if err := o.collect(b[offSName:offFile]); err != nil {
			return Message{}, err
		}
	}
	m.apply(o, netip.AddrFrom4([4]byte(b[offYours:])))
	if m.Type == 0 {
		return Message{}, errMessage
	}
	return m, nil
}

// options holds the value of each option. An option that appears several
// times is one value in pieces (RFC 3396).
type options map[byte][]byte

func (o options) first(code byte) []byte { return o[code] }

func (o options) collect(b []byte) error {
	for len(b) > 0 {
		code := b[0]
		if code == optEnd {
			return nil
		}
		if code == optPad {
			b = b[1:]
			continue
		}
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			return errMessage
		}
		n := 2 + int(b[1])
		o[code] = append(o[code], b[2:n]...)
		b = b[n:]
	}
	return nil
}

// apply fills in what the options say.
func (m *Message) apply(o options, yours netip.Addr) {
	if v := o[optType]; len(v) == 1 {
		m.Type = Type(v[0])
	}
	_, m.Rapid = o[optRapidCommit]
	m.Requested = addr(o[optRequestedIP])
	l := &m.Lease
	l.Server = addr(o[optServer])
	l.Addr = netip.PrefixFrom(yours, maskBits(o[optMask], yours))
	l.Routers = addrs(o[optRouter])
	l.Nameservers = addrs(o[optNameserver])
	l.Routes = routes(o[optStaticRoutes])
	if v := o[optMTU]; len(v) == 2 {
		l.MTU = int(v[0])<<8 | int(v[1])
	}
	l.setTimes(o[optLeaseTime], o[optRenewTime], o[optRebindTime])
}

// setTimes applies the defaults of RFC 2131, section 4.4.5, and repairs what
// doesn't ascend.
func (l *Lease) setTimes(lease, renew, rebind []byte) {
	const endless = 0xffffffff
	if len(lease) != 4 || get32(lease) == endless {
		l.Lifetime = -1
		return
	}
	l.Lifetime = time.Duration(get32(lease)) * time.Second
	l.Renew, l.Rebind = l.Lifetime/2, l.Lifetime*7/8
	if len(renew) != 4 || len(rebind) != 4 {
		return
	}
	t1 := time.Duration(get32(renew)) * time.Second
	t2 := time.Duration(get32(rebind)) * time.Second
	if t1 <= t2 && t2 <= l.Lifetime {
		l.Renew, l.Rebind = t1, t2
	}
}

// maskBits reads a subnet mask; without a valid one the address's old class
// decides.
func maskBits(mask []byte, a netip.Addr) int {
	if len(mask) == 4 {
		m := get32(mask)
		bits := 0
		for m&0x80000000 != 0 {
			m <<= 1
			bits++
		}
		if m == 0 && bits > 0 {
			return bits
		}
	}
	switch first := a.As4()[0]; {
	case first < 128:
		return 8
	case first < 192:
		return 16
	}
	return 24
}

func addr(v []byte) netip.Addr {
	if len(v) != 4 {
		return netip.Addr{}
	}
	return netip.AddrFrom4([4]byte(v))
}

func addrs(v []byte) []netip.Addr {
	var list []netip.Addr
	for ; len(v) >= 4; v = v[4:] {
		if a := addr(v[:4]); !a.IsUnspecified() {
			list = append(list, a)
		}
	}
	return list
}

// routes reads option 121: prefix length, the significant bytes of the
// destination, router.
func routes(v []byte) []Route {
	var list []Route
	for len(v) > 0 {
		bits := int(v[0])
		n := (bits + 7) / 8
		if bits > 32 || len(v) < 1+n+4 {
			return list
		}
		var to [4]byte
		copy(to[:], v[1:1+n])
		list = append(list, Route{
			Destination: netip.PrefixFrom(netip.AddrFrom4(to), bits).Masked(),
			Gateway:     netip.AddrFrom4([4]byte(v[1+n:])),
		})
		v = v[1+n+4:]
	}
	return list
}

func get32(b []byte) uint32 {
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

func put32(b []byte, v uint32) {
	b[0], b[1], b[2], b[3] = byte(v>>24), byte(v>>16), byte(v>>8), byte(v)
}
