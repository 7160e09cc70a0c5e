package deploy

import (
	"encoding/binary"
	"hash/fnv"
	"net/netip"
	"slices"

	"pith"
)

// pool is what networks get a subnet from, of poolBits each, if the file gives them
// none. They are in the deployment's own namespace: nothing of the host is there.
var pool = netip.MustParsePrefix("10.213.0.0/16")

const poolBits = 24

// Assign gives subnets and addresses where the file gives none: to networks that the
// deployment makes, and to services in them. An address follows from the service's
// name, so that it stays the same when other services come and go.
func Assign(t *pith.Topology) {
	for i := range t.Networks {
		if n := &t.Networks[i]; ownBridge(*n) && len(n.Subnet) == 0 {
			if p := freeSubnet(*t); p.IsValid() {
				n.Subnet = []netip.Prefix{p}
			}
		}
	}
	for _, n := range t.Networks {
		if ownBridge(n) {
			assignIn(t, n)
		}
	}
}

// freeSubnet is the first of the pool that overlaps no network's.
func freeSubnet(t pith.Topology) netip.Prefix {
	for a := pool.Addr(); pool.Contains(a); a = plus(a, 1<<(32-poolBits)) {
		p := netip.PrefixFrom(a, poolBits)
		if !slices.ContainsFunc(t.Networks, func(n pith.Network) bool { return slices.ContainsFunc(n.Subnet, p.Overlaps) }) {
			return p
		}
	}
	return netip.Prefix{}
}

// assignIn gives addresses to the services in a network that have none there.
func assignIn(t *pith.Topology, n pith.Network) {
	taken := addressesIn(*t, n)
	for _, g := range n.Gateway {
		taken[g] = true
	}
	for i := range t.Services {
		s := &t.Services[i]
		for j := range s.Links {
			l := &s.Links[j]
			if l.Network != n.Name || len(l.Addrs) > 0 {
				continue
			}
			for _, p := range n.Subnet {
				if a := freeRun(p, taken, s.Name, max(s.Replicas, 1)); a.IsValid() {
					l.Addrs = append(l.Addrs, netip.PrefixFrom(a, p.Bits()))
				}
			}
		}
	}
}

// freeRun finds addresses for n replicas, one behind the other, and takes them; an
// invalid one where there is no room. The last of the subnet is left to the host.
func freeRun(p netip.Prefix, taken map[netip.Addr]bool, name string, n int) netip.Addr {
	const most = 1 << 16 // of an IPv6 subnet no more is used
	room := most
	if bits := p.Addr().BitLen() - p.Bits(); bits < 16 {
		room = 1 << bits
	}
	room -= 3 // the subnet's own, the host's, the broadcast address
	h := fnv.New32a()
	h.Write([]byte(name))
	for i := range max(room, 0) {
		at := (int(h.Sum32()%uint32(room)) + i) % room
		first := plus(p.Masked().Addr(), 1+at)
		if at+n <= room && run(first, n, func(a netip.Addr) bool { return !taken[a] }) {
			run(first, n, func(a netip.Addr) bool { taken[a] = true; return true })
			return first
		}
	}
	return netip.Addr{}
}

// run tells whether something is true for n addresses from the first on.
func run(a netip.Addr, n int, is func(netip.Addr) bool) bool {
	for range n {
		if !is(a) {
			return false
		}
		a = a.Next()
	}
	return true
}

// plus is the address n places on.
func plus(a netip.Addr, n int) netip.Addr {
	b := a.As16()
	low := binary.BigEndian.Uint64(b[8:])
	binary.BigEndian.PutUint64(b[8:], low+uint64(n))
	if a.Is4() {
		return netip.AddrFrom16(b).Unmap()
	}
	return netip.AddrFrom16(b)
}
