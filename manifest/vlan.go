package manifest

import (
	"cmp"
	"fmt"
	"net/netip"

	"pith"
)

// vlans checks the networks that another one carries.
func (c *checker) vlans() {
	var names []string
	for _, n := range c.m.Networks {
		names = append(names, n.Name)
	}
	tags := map[string]string{}
	for _, n := range c.m.Networks {
		if n.Parent == "" {
			continue
		}
		at := c.at("networks", n.Name, "parent")
		switch p := c.m.Network(n.Parent); {
		case p == nil:
			c.add(at, "there is no network %q%s", n.Parent, meant(n.Parent, names))
		case n.VLAN == 0:
			c.add(at, "network %s is carried by %s: write by which tag, as in vlan: 10", n.Name, n.Parent)
		case n.Kind != pith.NetworkBridge || n.Bridge != "":
			c.add(at, "network %s is carried by %s: it has no bridge of the host and no driver user", n.Name, n.Parent)
		case p.Kind != pith.NetworkBridge || p.Bridge != "" || p.Parent != "":
			c.add(at, "network %s can't carry %s: it must be one that Pith makes, of driver bridge, and no VLAN itself", p.Name, n.Name)
		case mtuOf(n) > mtuOf(*p):
			c.add(at, "network %s has MTU %d, and %s, which carries it, %d", n.Name, mtuOf(n), p.Name, mtuOf(*p))
		}
		key := fmt.Sprint(n.Parent, "/", n.VLAN)
		if other, ok := tags[key]; ok {
			c.add(at, "networks %s and %s are the same: VLAN %d of %s", other, n.Name, n.VLAN, n.Parent)
		}
		tags[key] = n.Name
	}
}

// mtuOf is a bridge's MTU.
func mtuOf(n pith.Network) int { return cmp.Or(n.MTU, 1500) }

// home is the network that an address of a card belongs to: the card's own, or a VLAN
// that this one carries.
func (c *checker) home(network string, a netip.Addr) string {
	for _, n := range c.m.Networks {
		if n.Parent == network && subnetOf(&n, a).IsValid() {
			return n.Name
		}
	}
	return network
}
