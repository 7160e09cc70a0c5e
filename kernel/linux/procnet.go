package linux

import (
	"net/netip"
	"slices"
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

// upper is hex with capital letters.
func (p *prose) upper(bytes ...byte) *prose {
	const digits = "0123456789ABCDEF"
	for _, b := range bytes {
		*p = append(*p, digits[b>>4], digits[b&15])
	}
	return p
}

// left adds a text and spaces up to a width.
func (p *prose) left(s string, width int) *prose {
	p.add(s)
	for range width - len(s) {
		p.add(" ")
	}
	return p
}

// right adds a number with spaces before it up to a width.
func (p *prose) right(n, width int) *prose {
	s := strconv.Itoa(n)
	return p.left("", width-len(s)).add(s)
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

// procIGMP is /proc/net/igmp: by interface, the group that every host is in
// (RFC 1112) and those that sockets joined, each in the machine's byte order.
func procIGMP() []byte {
	everyone := socket.Group{Addr: netip.AddrFrom4([4]byte{224, 0, 0, 1}), Users: 1}
	var p prose
	p.add("Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n")
	for _, i := range interfaces() {
		var groups []socket.Group
		for _, g := range append(i.Groups, everyone) {
			if g.Addr.Is4() {
				groups = append(groups, g)
			}
		}
		p.number(uint64(i.Index)).add("\t").left(i.Name, 10).add(": ")
		p.right(len(groups), 5).add("      V3\n")
		for _, g := range groups {
			a := g.Addr.As4()
			p.add("\t\t\t\t").upper(a[3], a[2], a[1], a[0]).add(" ").right(g.Users, 5).add(" 0:00000000\t\t0\n")
		}
	}
	return p
}

// procIGMP6 is /proc/net/igmp6: by interface, the groups that sockets joined and
// those that every host is in (RFC 4291, section 2.8): one for each of its
// addresses, and all nodes.
func procIGMP6() []byte {
	const loaded, silent = 4, 8 // MAF_LOADED, MAF_NOREPORT (linux/include/net/if_inet6.h)
	var p prose
	for _, i := range interfaces() {
		line := func(g socket.Group, flags byte) {
			sixteen := g.Addr.As16()
			p.left(strconv.Itoa(i.Index), 4).add(" ").left(i.Name, 15).add(" ").hex(sixteen[:]...).add(" ")
			p.right(g.Users, 5).add(" ").upper(0, 0, 0, flags).add(" 0\n")
		}
		for _, g := range i.Groups {
			if g.Addr.Is6() {
				line(g, loaded)
			}
		}
		for _, g := range solicited(i) {
			line(g, loaded)
		}
		if slices.ContainsFunc(i.Addrs, func(a netip.Prefix) bool { return a.Addr().Is6() }) {
			line(socket.Group{Addr: netip.IPv6LinkLocalAllNodes(), Users: 1}, loaded|silent)
		}
	}
	return p
}

// solicited lists the groups ff02::1:ffXX:XXXX in which an interface is asked for
// its IPv6 addresses, with as many users as there are such addresses. Nobody asks on
// the loopback.
func solicited(i socket.Interface) (groups []socket.Group) {
	for _, a := range i.Addrs {
		if i.Loopback || !a.Addr().Is6() {
			continue
		}
		group, unicast := [16]byte{0: 0xff, 1: 2, 11: 1, 12: 0xff}, a.Addr().As16()
		copy(group[13:], unicast[13:])
		addr := netip.AddrFrom16(group)
		at := slices.IndexFunc(groups, func(g socket.Group) bool { return g.Addr == addr })
		if at < 0 {
			groups = append(groups, socket.Group{Addr: addr, Users: 1})
		} else {
			groups[at].Users++
		}
	}
	return groups
}
