package netstack

import (
	"net/netip"
	"strconv"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// toAddress converts an address as it is: IPv4-mapped stays 16 bytes long. The
// invalid Addr becomes the empty Address.
func toAddress(a netip.Addr) tcpip.Address {
	switch {
	case a.Is4():
		return tcpip.AddrFrom4(a.As4())
	case a.Is6():
		return tcpip.AddrFrom16(a.As16())
	}
	return tcpip.Address{}
}

// toGateway is toAddress without the zone.
func toGateway(a netip.Addr) tcpip.Address { return toAddress(a.WithZone("")) }

func fromAddress(a tcpip.Address) netip.Addr {
	switch a.Len() {
	case 4:
		return netip.AddrFrom4(a.As4())
	case 16:
		return netip.AddrFrom16(a.As16())
	}
	return netip.Addr{}
}

// toSubnet converts p, whose host bits must be zero.
func toSubnet(p netip.Prefix) tcpip.Subnet {
	return tcpip.AddressWithPrefix{Address: toAddress(p.Addr()), PrefixLen: p.Bits()}.Subnet()
}

func fromSubnet(s tcpip.Subnet) netip.Prefix {
	return netip.PrefixFrom(fromAddress(s.ID()), s.Prefix())
}

func fromPrefix(p tcpip.AddressWithPrefix) netip.Prefix {
	return netip.PrefixFrom(fromAddress(p.Address), p.PrefixLen)
}

// toFull converts a socket address for an endpoint of the given family. The
// unspecified address becomes the empty one, which is how gVisor spells it.
func (s *Stack) toFull(a netip.AddrPort) tcpip.FullAddress {
	addr := a.Addr()
	full := tcpip.FullAddress{Port: a.Port()}
	if zone := addr.Zone(); zone != "" {
		full.NIC = s.zoneID(zone)
		addr = addr.WithZone("")
	}
	if addr.IsUnspecified() {
		return full
	}
	full.Addr = toAddress(addr)
	return full
}

// zoneID finds an interface by name or by index in decimal; 0 if there is none.
func (s *Stack) zoneID(zone string) tcpip.NICID {
	if n, err := strconv.ParseUint(zone, 10, 31); err == nil {
		return tcpip.NICID(n)
	}
	if zone == "lo" {
		return loopbackID
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.interfaces {
		if i.name == zone {
			return i.id
		}
	}
	return 0
}

// fromFull converts an address for a program: in an AF_INET6 endpoint IPv4
// appears mapped, link-local addresses carry their interface's name as zone,
// and the empty address is the family's unspecified one.
func (s *Stack) fromFull(f tcpip.FullAddress, six bool) netip.AddrPort {
	addr := fromAddress(f.Addr)
	switch {
	case !addr.IsValid() && six:
		addr = netip.IPv6Unspecified()
	case !addr.IsValid():
		addr = netip.IPv4Unspecified()
	case six && addr.Is4():
		addr = netip.AddrFrom16(addr.As16())
	case addr.IsLinkLocalUnicast() && addr.Is6():
		addr = addr.WithZone(s.stack.FindNICNameFromID(f.NIC))
	}
	return netip.AddrPortFrom(addr, f.Port)
}
