package manifest

import (
	"net/netip"
	"slices"
	"strings"

	"pith"
)

// defaultNetwork is the network of services that name none, as in compose.
const defaultNetwork = "default"

// links reads a program's cards and places its addresses in them.
func (d *decoder) links(s *pith.Service, n *node) {
	networks := n.get("networks")
	for i, v := range items(networks) {
		if v.form == scalar && networks.form == list {
			d.link(s, v.text, v, nil)
			d.mark(v, s.Name, "link", i)
		}
	}
	if networks != nil && networks.form == mapping {
		for i, p := range networks.pairs {
			at := p.value
			if p.spot != (spot{}) {
				at = &node{spot: p.spot}
			}
			d.link(s, p.key, at, p.value)
			d.mark(at, s.Name, "link", i)
		}
	}
	if networks == nil {
		name := defaultNetwork
		if d.m.Single {
			name = string(pith.NetworkUser)
		}
		d.ensure(name)
		s.Links = append(s.Links, pith.ServiceLink{Network: name})
		d.m.spots[join2([]any{s.Name, "link", 0})] = n.spot
	}
	for _, v := range items(n.get("addresses")) {
		d.place(s, v)
	}
}

// link adds a card in a network.
func (d *decoder) link(s *pith.Service, name string, at, options *node) {
	if d.m.Single {
		if !modePattern.MatchString(name) {
			d.add(at.spot, "there is no network %q: use user, tap:NAME or bridge:NAME", name)
			return
		}
		d.ensure(name)
	}
	if !d.m.Single && name == defaultNetwork {
		d.ensure(name)
	}
	if slices.ContainsFunc(s.Links, func(l pith.ServiceLink) bool { return l.Network == name }) {
		d.add(at.spot, "%s is in network %s twice", s.Name, name)
	}
	l := pith.ServiceLink{Network: name}
	number := len(s.Links)
	if v := options.get("mac_address"); v != nil {
		l.MAC = strings.ToLower(v.text)
		d.mark(v, s.Name, "mac", number)
	}
	for i, v := range items(options.get("gateway")) {
		l.Gateway = append(l.Gateway, netip.MustParseAddr(v.text))
		d.mark(v, s.Name, "gateway", number, i)
	}
	s.Links = append(s.Links, l)
	addresses := items(options.get("addresses"))
	for _, key := range []string{"ipv4_address", "ipv6_address"} {
		if v := options.get(key); v != nil {
			addresses = append(addresses, v)
		}
	}
	for _, v := range addresses {
		d.address(s, number, v)
	}
}

// ensure makes a network that needs no entry of its own.
func (d *decoder) ensure(name string) {
	if d.m.Network(name) != nil {
		return
	}
	n := pith.Network{Name: name, Kind: pith.NetworkUser}
	if _, device, ok := strings.Cut(name, ":"); ok {
		n.Kind = pith.NetworkBridge
		n.Bridge = device
	}
	d.m.Networks = append(d.m.Networks, n)
}

// Network returns a network by its name, nil where there is none.
func (m *Manifest) Network(name string) *pith.Network {
	for i := range m.Networks {
		if m.Networks[i].Name == name {
			return &m.Networks[i]
		}
	}
	return nil
}

// Service returns a service by its name, nil where there is none.
func (m *Manifest) Service(name string) *pith.Service {
	for i := range m.Services {
		if m.Services[i].Name == name {
			return &m.Services[i]
		}
	}
	return nil
}

// place finds the card for an address that stands under addresses: the one
// whose subnet has it, or the only one.
func (d *decoder) place(s *pith.Service, v *node) {
	a := addressOf(v.text)
	for i, l := range s.Links {
		if n := d.m.Network(l.Network); n != nil && subnetOf(n, a).IsValid() {
			d.address(s, i, v)
			return
		}
	}
	if len(s.Links) != 1 {
		d.add(v.spot, "%s is in no subnet of the networks of %s", a, s.Name)
		return
	}
	d.address(s, 0, v)
}

// addressOf is an address without its prefix length.
func addressOf(text string) netip.Addr {
	bare, _, _ := strings.Cut(text, "/")
	return netip.MustParseAddr(bare)
}

// subnetOf is the subnet of a network that has an address; an invalid one where
// none has.
func subnetOf(n *pith.Network, a netip.Addr) netip.Prefix {
	for _, p := range n.Subnet {
		if p.Contains(a) {
			return p
		}
	}
	return netip.Prefix{}
}

// address gives card number i an address, with its network's prefix length.
func (d *decoder) address(s *pith.Service, i int, v *node) {
	l := &s.Links[i]
	a := addressOf(v.text)
	d.mark(v, s.Name, "addr", i, len(l.Addrs))
	p, err := netip.ParsePrefix(v.text)
	n := d.m.Network(l.Network)
	if n == nil {
		return // an unknown network has its own sentence
	}
	subnet := subnetOf(n, a)
	switch {
	case n.Kind == pith.NetworkUser && d.m.Single:
		d.add(v.spot, "the user network has its own addresses: name a tap or bridge under networks")
		return
	case len(n.Subnet) > 0 && !subnet.IsValid():
		d.add(v.spot, "%s is not in network %s, whose subnet is %s", a, n.Name, prefixes(n.Subnet))
		return
	case subnet.IsValid() && err == nil && p.Bits() != subnet.Bits():
		d.add(v.spot, "%s has another prefix length than network %s, whose subnet is %s", v.text, n.Name, subnet)
		return
	case subnet.IsValid():
		p = netip.PrefixFrom(a, subnet.Bits())
	case err != nil:
		d.add(v.spot, "%s needs its prefix length, as in %s/24, because network %s has no subnet", v.text, v.text, n.Name)
		return
	}
	l.Addrs = append(l.Addrs, p)
}

func prefixes(list []netip.Prefix) string {
	var words []string
	for _, p := range list {
		words = append(words, p.String())
	}
	return strings.Join(words, " and ")
}

func (d *decoder) routes(s *pith.Service, n *node) {
	for _, v := range items(n.get("routes")) {
		var r pith.Route
		if v.form == mapping {
			to, via := v.get("to"), v.get("via")
			if to == nil || via == nil {
				d.add(v.spot, "a route needs to and via")
				continue
			}
			destination, _ := parseDestination(to.text) // checked by the table
			r = newRoute(destination, netip.MustParseAddr(via.text))
		} else {
			r, _ = parseRoute(v.text) // checked by the table
		}
		d.mark(v, s.Name, "route", len(s.Routes))
		s.Routes = append(s.Routes, r)
	}
}
