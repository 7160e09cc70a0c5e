package linux

import (
	"net/netip"
	"strconv"
	"syscall"

	"pith/kernel/socket"
)

// interfaces lists the network stack's interfaces.
func interfaces() []socket.Interface {
	if s := stack(); s != nil {
		return s.Interfaces()
	}
	return nil
}

const hexDigits = "0123456789abcdef"

// hex adds bytes in hexadecimal.
func (p *prose) hex(bytes ...byte) *prose {
	for _, b := range bytes {
		*p = append(*p, hexDigits[b>>4], hexDigits[b&15])
	}
	return p
}

// procIfInet6 is /proc/net/if_inet6: address, interface, prefix, scope, flags,
// name.
func procIfInet6() []byte {
	var p prose
	for _, i := range interfaces() {
		for _, a := range i.Addrs {
			if !a.Addr().Is6() {
				continue
			}
			sixteen := a.Addr().As16()
			p.hex(sixteen[:]...).add(" ").hex(byte(i.Index)).add(" ").hex(byte(a.Bits())).add(" ")
			p.hex(scopeOf(a.Addr())).add(" ").hex(syscall.IFA_F_PERMANENT).add(" ").add(i.Name).add("\n")
		}
	}
	return p
}

// procIGMP is /proc/net/igmp. It tells of the group that every host is in
// (RFC 1112); which ones sockets joined, only the stack knows.
func procIGMP() []byte {
	var p prose
	p.add("Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n")
	for _, i := range interfaces() {
		p.number(uint64(i.Index)).add("\t").add(i.Name).add("       :     1      V3\n")
		p.add("\t\t\t\t010000E0     1 0:00000000\t\t0\n") // 224.0.0.1, in the machine's byte order
	}
	return p
}

// procIGMP6 is /proc/net/igmp6. It tells of the groups that every host is in
// (RFC 4291, section 2.8): all nodes, and one for each of its addresses.
func procIGMP6() []byte {
	var p prose
	for _, i := range interfaces() {
		for _, group := range groups6(i) {
			sixteen := group.As16()
			p.add(strconv.Itoa(i.Index)).add("    ").add(i.Name).add(" ").hex(sixteen[:]...).add("     1 0000000C 0\n")
		}
	}
	return p
}

// groups6 lists an interface's IPv6 groups, if it has an IPv6 address.
func groups6(i socket.Interface) (groups []netip.Addr) {
	for _, a := range i.Addrs {
		if !a.Addr().Is6() {
			continue
		}
		node, unicast := netip.IPv6LinkLocalAllNodes().As16(), a.Addr().As16()
		if groups == nil {
			groups = append(groups, netip.AddrFrom16(node))
		}
		node[11], node[12] = 1, 0xff // solicited-node: ff02::1:ffXX:XXXX
		copy(node[13:], unicast[13:])
		groups = append(groups, netip.AddrFrom16(node))
	}
	return groups
}
