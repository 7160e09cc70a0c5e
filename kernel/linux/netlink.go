package linux

import (
	"net/netip"
	"sync"
	"syscall"

	"pith/kernel/socket"
)

// netlink is a socket of AF_NETLINK for NETLINK_ROUTE (rtnetlink(7)): it
// answers dumps of links, addresses and routes, and refuses changes, because
// interfaces are configured from outside the machine.
type netlink struct {
	file
	inode uint64

	mu      sync.Mutex
	port    uint32 // the address; 0 until bound
	replies [][]byte
}

// netlinkPorts gives unbound sockets their addresses.
var netlinkPorts struct {
	mu   sync.Mutex
	used map[uint32]bool
	last uint32
}

func newNetlink(typ, protocol int, flags uintptr) (*file, Errno) {
	switch {
	case typ != syscall.SOCK_RAW && typ != syscall.SOCK_DGRAM:
		return nil, syscall.ESOCKTNOSUPPORT
	case protocol != syscall.NETLINK_ROUTE:
		return nil, syscall.EPROTONOSUPPORT
	}
	n := &netlink{inode: nextInode()}
	n.begin(n, syscall.O_RDWR|flags, true)
	return &n.file, 0
}

func (n *netlink) bind(name []byte) Errno {
	if len(name) < syscall.SizeofSockaddrNetlink || family(name) != syscall.AF_NETLINK {
		return syscall.EINVAL
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	want := load32(name[4:])
	switch {
	case n.port != 0 && want != 0 && want != n.port:
		return syscall.EINVAL
	case n.port != 0:
		return 0
	}
	var errno Errno
	n.port, errno = takePort(want)
	return errno
}

// takePort returns a free address, or the wanted one.
func takePort(want uint32) (uint32, Errno) {
	p := &netlinkPorts
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.used == nil {
		p.used = map[uint32]bool{}
		pid, _, _ := rawTrap(syscall.SYS_GETPID, 0, 0, 0, 0, 0, 0)
		p.last = uint32(pid) - 1 // a process's first socket has its pid as address
	}
	if want != 0 && p.used[want] {
		return 0, syscall.EADDRINUSE
	}
	for want == 0 {
		p.last++
		if !p.used[p.last] {
			want = p.last
		}
	}
	p.used[want] = true
	return want, 0
}

func (n *netlink) connect(name []byte) Errno {
	if len(name) < syscall.SizeofSockaddrNetlink || family(name) != syscall.AF_NETLINK {
		return syscall.EINVAL
	}
	if load32(name[4:]) != 0 {
		return syscall.ECONNREFUSED // only the kernel is there to talk to
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.autobind()
}

// autobind gives the socket an address if it has none. The caller holds n.mu.
func (n *netlink) autobind() (errno Errno) {
	if n.port == 0 {
		n.port, errno = takePort(0)
	}
	return errno
}

func (n *netlink) listen(int) Errno { return syscall.EOPNOTSUPP }

func (n *netlink) accept(uintptr, *[maxSockaddr]byte) (*file, []byte, Errno) {
	return nil, nil, syscall.EOPNOTSUPP
}

func (n *netlink) localName(room *[maxSockaddr]byte) ([]byte, Errno) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return encodeNetlink(room, n.port), 0
}

func (n *netlink) peerName(room *[maxSockaddr]byte) ([]byte, Errno) {
	return encodeNetlink(room, 0), 0
}

func encodeNetlink(room *[maxSockaddr]byte, port uint32) []byte {
	name := room[:syscall.SizeofSockaddrNetlink]
	clear(name)
	store16(name, syscall.AF_NETLINK)
	store32(name[4:], port)
	return name
}

func (n *netlink) shutdown(int) Errno { return syscall.EOPNOTSUPP }

// setOption takes what libraries set by habit; nothing here depends on it.
func (n *netlink) setOption(level, name int, value []byte) Errno {
	const solNetlink = 270
	if level != syscall.SOL_SOCKET && level != solNetlink {
		return syscall.ENOPROTOOPT
	}
	return 0
}

func (n *netlink) option(level, name int, value []byte) (int, Errno) {
	if level != syscall.SOL_SOCKET {
		return 0, syscall.ENOPROTOOPT
	}
	switch name {
	case syscall.SO_TYPE:
		return number(value, syscall.SOCK_RAW)
	case soDomain:
		return number(value, syscall.AF_NETLINK)
	case soProtocol:
		return number(value, syscall.NETLINK_ROUTE)
	case syscall.SO_ERROR, syscall.SO_ACCEPTCONN:
		return number(value, 0)
	case syscall.SO_RCVBUF, syscall.SO_SNDBUF:
		return number(value, unixBuffer)
	}
	return 0, syscall.ENOPROTOOPT
}

func (n *netlink) stat(st *syscall.Stat_t) Errno {
	anonymous(st, syscall.S_IFSOCK|0o777, n.inode)
	return 0
}

func (n *netlink) close() {
	n.mu.Lock()
	port := n.port
	n.mu.Unlock()
	if port == 0 {
		return
	}
	netlinkPorts.mu.Lock()
	delete(netlinkPorts.used, port)
	netlinkPorts.mu.Unlock()
}

func (n *netlink) readiness() socket.Readiness {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.replies) > 0 {
		return readable | writable
	}
	return writable
}

func (n *netlink) read(p []byte) (int, Errno) {
	m := newMessage()
	defer m.free()
	m.data = p
	return n.receive(m)
}

func (n *netlink) write(p []byte) (int, Errno) {
	m := newMessage()
	defer m.free()
	m.data = p
	return n.send(m)
}

func (n *netlink) receive(m *message) (int, Errno) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.replies) == 0 {
		return 0, syscall.EAGAIN
	}
	reply := n.replies[0]
	if m.flags&msgPeek == 0 {
		n.replies = n.replies[1:]
	}
	m.name = encodeNetlink(&m.room, 0)
	done := copy(m.data, reply)
	if done < len(reply) {
		m.outFlags |= msgTrunc
		if m.flags&msgTrunc != 0 {
			return len(reply), 0
		}
	}
	return done, 0
}

func (n *netlink) send(m *message) (int, Errno) {
	n.mu.Lock()
	errno := n.autobind()
	for rest := m.data; errno == 0 && len(rest) >= nlHeader; {
		size := load32(rest)
		if size < nlHeader || size > uint32(len(rest)) {
			break
		}
		n.replies = append(n.replies, n.reply(rest[:size])...)
		rest = rest[min(len(rest), nlAlign(int(size))):]
	}
	n.mu.Unlock()
	n.watch.notify(readable)
	if errno != 0 {
		return 0, errno
	}
	return len(m.data), 0
}

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
	case typ == syscall.RTM_GETLINK, typ == syscall.RTM_GETADDR, typ == syscall.RTM_GETROUTE:
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
