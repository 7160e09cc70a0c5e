package linux

import (
	"net/netip"
	"syscall"

	"pith/kernel/socket"
)

// struct nlmsghdr, netlink(7).
const (
	nlHeader  = syscall.NLMSG_HDRLEN
	nlMaxPart = 4096 // size of one datagram of a dump: what all readers have room for
)

func nlAlign(n int) int { return (n + 3) &^ 3 }

// reply makes the datagrams that answer a request. The caller holds n.mu.
func (n *netlink) reply(request []byte) [][]byte {
	typ, flags, seq := load16(request[4:]), load16(request[6:]), load32(request[8:])
	d := dump{seq: seq, port: n.port}
	s := stack()
	if flags&syscall.NLM_F_REQUEST == 0 {
		return nil
	}
	want := byte(syscall.AF_UNSPEC)
	if len(request) > nlHeader {
		want = request[nlHeader]
	}
	all := flags&syscall.NLM_F_DUMP != 0
	switch {
	case s == nil:
		return d.fail(request, syscall.ENETDOWN)
	case typ == syscall.RTM_GETLINK && all:
		d.links(s, 0)
	case typ == syscall.RTM_GETLINK && len(request) >= nlHeader+syscall.SizeofIfInfomsg:
		index := int(int32(load32(request[nlHeader+4:])))
		if !d.links(s, index) {
			return d.fail(request, syscall.ENODEV)
		}
		return d.parts(false)
	case typ == syscall.RTM_GETADDR && all:
		d.addresses(s, want)
	case typ == syscall.RTM_GETROUTE && all:
		d.routes(s, want)
	case typ >= syscall.RTM_BASE && typ&3 == syscall.RTM_GETLINK&3: // a question of another kind
		return d.fail(request, syscall.EOPNOTSUPP)
	case typ == syscall.NLMSG_NOOP, typ == syscall.NLMSG_DONE:
		return nil
	default:
		return d.fail(request, syscall.EPERM) // the configuration is not the program's to change
	}
	return d.parts(true)
}

// dump builds an answer of several messages.
type dump struct {
	seq, port uint32
	out       []byte
	ends      []int // where each message ends
}

// begin starts a message with a fixed part of size bytes, which it returns.
func (d *dump) begin(typ uint16, flags uint16, size int) []byte {
	start := len(d.out)
	d.out = append(d.out, make([]byte, nlHeader+size)...)
	h := d.out[start:]
	store16(h[4:], typ)
	store16(h[6:], flags)
	store32(h[8:], d.seq)
	store32(h[12:], d.port)
	return h[nlHeader:]
}

// attribute adds a struct rtattr to the message.
func (d *dump) attribute(typ uint16, value []byte) {
	var h [4]byte
	store16(h[:], uint16(4+len(value)))
	store16(h[2:], typ)
	d.out = append(append(d.out, h[:]...), value...)
	d.out = append(d.out, make([]byte, nlAlign(len(value))-len(value))...)
}

func (d *dump) number(typ uint16, v uint32) {
	var four [4]byte
	store32(four[:], v)
	d.attribute(typ, four[:])
}

func (d *dump) address(typ uint16, a netip.Addr) { d.attribute(typ, a.AsSlice()) }

// end completes the message.
func (d *dump) end() {
	start := 0
	if len(d.ends) > 0 {
		start = d.ends[len(d.ends)-1]
	}
	store32(d.out[start:], uint32(len(d.out)-start))
	d.ends = append(d.ends, len(d.out))
}

// parts cuts the answer into datagrams, and adds the end of a dump.
func (d *dump) parts(done bool) (parts [][]byte) {
	if done {
		d.begin(syscall.NLMSG_DONE, syscall.NLM_F_MULTI, 4)
		d.end()
	}
	start, last := 0, 0
	for _, end := range d.ends {
		if end-start > nlMaxPart && last > start {
			parts = append(parts, d.out[start:last])
			start = last
		}
		last = end
	}
	return append(parts, d.out[start:last])
}

// fail makes the answer an error message.
func (d *dump) fail(request []byte, errno Errno) [][]byte {
	body := d.begin(syscall.NLMSG_ERROR, 0, 4+nlHeader)
	store32(body, uint32(-int32(errno)))
	copy(body[4:], request[:nlHeader])
	d.end()
	return d.parts(false)
}

// Values of link and address messages that package syscall lacks.
const (
	iffLowerUp    = 0x10000
	iflaOperstate = 16
	iflaStats64   = 23
	iflaTxqlen    = 13
	operUnknown   = 0
	operUp        = 6
	ifaFlags      = 8
	rtTableMain   = 254
)

// interfaceFlags returns an interface's IFF_... flags.
func interfaceFlags(i socket.Interface) (flags uint32) {
	if i.Up {
		flags |= syscall.IFF_UP | syscall.IFF_RUNNING | iffLowerUp
	}
	if i.Loopback {
		return flags | syscall.IFF_LOOPBACK
	}
	return flags | syscall.IFF_BROADCAST | syscall.IFF_MULTICAST
}

func hardwareType(i socket.Interface) uint16 {
	if i.Loopback {
		return syscall.ARPHRD_LOOPBACK
	}
	return syscall.ARPHRD_ETHER
}

// links adds the interfaces, or only the one with an index. It reports whether
// there was one.
func (d *dump) links(s socket.Stack, index int) (found bool) {
	multi := uint16(syscall.NLM_F_MULTI)
	if index != 0 {
		multi = 0
	}
	for _, i := range s.Interfaces() {
		if index != 0 && i.Index != index {
			continue
		}
		found = true
		info := d.begin(syscall.RTM_NEWLINK, multi, syscall.SizeofIfInfomsg)
		store16(info[2:], hardwareType(i))
		store32(info[4:], uint32(i.Index))
		store32(info[8:], interfaceFlags(i))
		d.attribute(syscall.IFLA_IFNAME, append([]byte(i.Name), 0))
		d.number(iflaTxqlen, 1000)
		state := byte(operUp)
		if i.Loopback {
			state = operUnknown
		}
		d.attribute(iflaOperstate, []byte{state})
		d.number(syscall.IFLA_MTU, uint32(i.MTU))
		d.attribute(syscall.IFLA_ADDRESS, i.HardwareAddr[:])
		if !i.Loopback {
			d.attribute(syscall.IFLA_BROADCAST, []byte{255, 255, 255, 255, 255, 255})
			d.attribute(iflaStats64, trafficOf(i.Name).linkStats())
		}
		d.end()
	}
	return found
}

// familyOf returns an address's family.
func familyOf(a netip.Addr) byte {
	if a.Is4() {
		return syscall.AF_INET
	}
	return syscall.AF_INET6
}

// addresses adds the interfaces' addresses, of one family or of all.
func (d *dump) addresses(s socket.Stack, want byte) {
	for _, i := range s.Interfaces() {
		for _, p := range i.Addrs {
			a := p.Addr().WithZone("")
			if want != syscall.AF_UNSPEC && want != familyOf(a) {
				continue
			}
			info := d.begin(syscall.RTM_NEWADDR, syscall.NLM_F_MULTI, syscall.SizeofIfAddrmsg)
			info[0] = familyOf(a)
			info[1] = byte(p.Bits())
			info[2] = syscall.IFA_F_PERMANENT
			info[3] = scopeOf(a)
			store32(info[4:], uint32(i.Index))
			d.address(syscall.IFA_ADDRESS, a)
			if a.Is4() {
				d.address(syscall.IFA_LOCAL, a)
				if !i.Loopback && p.Bits() < 31 {
					d.address(syscall.IFA_BROADCAST, lastOf(p))
				}
				d.attribute(syscall.IFA_LABEL, append([]byte(i.Name), 0))
			}
			d.number(ifaFlags, syscall.IFA_F_PERMANENT)
			d.end()
		}
	}
}

// scopeOf returns an address's RT_SCOPE_...
func scopeOf(a netip.Addr) byte {
	switch {
	case a.IsLoopback():
		return syscall.RT_SCOPE_HOST
	case a.IsLinkLocalUnicast():
		return syscall.RT_SCOPE_LINK
	}
	return syscall.RT_SCOPE_UNIVERSE
}

// lastOf returns an IPv4 prefix's last address: the broadcast address.
func lastOf(p netip.Prefix) netip.Addr {
	four := p.Masked().Addr().As4()
	host := ^uint32(0) >> p.Bits()
	for i := range four {
		four[i] |= byte(host >> (24 - 8*i))
	}
	return netip.AddrFrom4(four)
}

// routes adds the route table, of one family or of both.
func (d *dump) routes(s socket.Stack, want byte) {
	for _, r := range s.Routes() {
		dst := r.Destination.Addr()
		if !dst.IsValid() || want != syscall.AF_UNSPEC && want != familyOf(dst) {
			continue
		}
		info := d.begin(syscall.RTM_NEWROUTE, syscall.NLM_F_MULTI, syscall.SizeofRtMsg)
		info[0] = familyOf(dst)
		info[1] = byte(r.Destination.Bits())
		info[4] = rtTableMain
		info[5] = syscall.RTPROT_BOOT
		info[6] = syscall.RT_SCOPE_LINK
		info[7] = syscall.RTN_UNICAST
		if r.Gateway.IsValid() {
			info[6] = syscall.RT_SCOPE_UNIVERSE
		}
		d.number(syscall.RTA_TABLE, rtTableMain)
		if r.Destination.Bits() > 0 {
			d.address(syscall.RTA_DST, dst.WithZone(""))
		}
		if r.Gateway.IsValid() {
			d.address(syscall.RTA_GATEWAY, r.Gateway.WithZone(""))
		}
		d.number(syscall.RTA_OIF, uint32(r.Interface))
		d.end()
	}
}
