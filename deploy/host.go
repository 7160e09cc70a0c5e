package deploy

import (
	"net/netip"
	"slices"

	"pith"
)

// withHost gives the host an address in each network that the deployment makes
// and where the file gives it none: that of before, or else the last free one. Instances are asked for
// their health from there, and ports are forwarded. The host's end is in the
// deployment's own namespace, which forwards nothing.
func withHost(t pith.Topology, before *Wanted) []pith.Network {
	networks := slices.Clone(t.Networks)
	for i := range networks {
		n := &networks[i]
		if !ownBridge(*n) {
			continue
		}
		taken := addressesIn(t, *n)
		n.Gateway = slices.Clone(n.Gateway)
		for _, p := range n.Subnet {
			if slices.ContainsFunc(n.Gateway, p.Contains) {
				continue
			}
			a := lastFree(p, taken)
			if i := slices.IndexFunc(hostBefore(before, n.Name), func(a netip.Addr) bool { return p.Contains(a) && !taken[a] }); i >= 0 {
				a = hostBefore(before, n.Name)[i]
			}
			if a.IsValid() {
				n.Gateway = append(n.Gateway, a)
			}
		}
	}
	return networks
}

// hostBefore are the host's addresses in a network of the deployment as it is now.
func hostBefore(before *Wanted, network string) []netip.Addr {
	if before == nil {
		return nil
	}
	return hostIn(before, network)
}

// addressesIn are the addresses of all replicas in a network, and in the one that carries
// it: a router has its addresses in VLANs there.
func addressesIn(t pith.Topology, n pith.Network) map[netip.Addr]bool {
	taken := map[netip.Addr]bool{}
	for _, s := range t.Services {
		for _, l := range s.Links {
			if l.Network != n.Name && (n.Parent == "" || l.Network != n.Parent) {
				continue
			}
			for _, g := range l.Gateway {
				taken[g] = true
			}
			for _, p := range l.Addrs {
				a := p.Addr()
				for range max(s.Replicas, 1) {
					taken[a] = true
					a = a.Next()
				}
			}
		}
	}
	return taken
}

// lastFree is the last address of a subnet that a machine can have and none has;
// the zero one where there is none.
func lastFree(p netip.Prefix, taken map[netip.Addr]bool) netip.Addr {
	a := p.Masked().Addr()
	host := a.BitLen() - p.Bits()
	if host < 2 {
		return netip.Addr{}
	}
	b := a.AsSlice()
	for i := range host {
		b[len(b)-1-i/8] |= 1 << (i % 8)
	}
	a, _ = netip.AddrFromSlice(b) // the broadcast address in IPv4, left free in IPv6 too
	for a = a.Prev(); a != p.Masked().Addr(); a = a.Prev() {
		if !taken[a] {
			return a
		}
	}
	return netip.Addr{}
}
