package manifest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"pith"
	"pith/machine"
)

// checker looks at a topology as a whole.
type checker struct {
	*report
	m *Manifest
}

// at is where something stands; its service or the file's begin where it has
// no place of its own.
func (c *checker) at(words ...any) spot {
	for len(words) > 0 {
		if s, ok := c.m.spots[join2(words)]; ok && s != (spot{}) {
			return s
		}
		words = words[:len(words)-1]
	}
	return spot{1, 1}
}

func (c *checker) all() {
	c.networks()
	c.vlans()
	c.services()
	c.addresses()
	c.dependencies()
	c.routes()
	c.ports()
	c.targets()
}

// networks checks what networks say of themselves and of one another.
func (c *checker) networks() {
	type seen struct {
		name string
		netip.Prefix
	}
	var before []seen
	bridges := map[string]string{}
	for _, n := range c.m.Networks {
		c.families("networks", n)
		for i, p := range n.Subnet {
			at := c.at("networks", n.Name, "subnet", i)
			for _, b := range before {
				if b.Overlaps(p) {
					c.add(at, "%s of network %s overlaps %s of network %s", p, n.Name, b.Prefix, b.name)
				}
			}
			before = append(before, seen{n.Name, p})
		}
		for i, g := range n.Gateway {
			if !subnetOf(&n, g).IsValid() {
				c.add(c.at("networks", n.Name, "gateway", i), "%s is not in network %s%s", g, n.Name, itsSubnet(n))
			}
		}
		if n.Bridge == "" {
			continue
		}
		key := fmt.Sprint(n.Bridge, "/", n.VLAN)
		if other, ok := bridges[key]; ok {
			c.add(c.at("networks", n.Name, "bridge"), "networks %s and %s are the same: bridge %s, VLAN %d", other, n.Name, n.Bridge, n.VLAN)
		}
		bridges[key] = n.Name
		if n.Kind == pith.NetworkUser {
			c.add(c.at("networks", n.Name, "bridge"), "network %s is of driver user, which uses no bridge", n.Name)
		}
	}
}

func itsSubnet(n pith.Network) string {
	if len(n.Subnet) == 0 {
		return ", which has no subnet"
	}
	return ", whose subnet is " + prefixes(n.Subnet)
}

// families allows one subnet of each.
func (c *checker) families(where string, n pith.Network) {
	var four, six int
	for i, p := range n.Subnet {
		if p.Addr().Is4() {
			four++
		} else {
			six++
		}
		if four > 1 || six > 1 {
			c.add(c.at(where, n.Name, "subnet", i), "network %s has two subnets of a family: make two networks of them", n.Name)
		}
	}
}

// services checks each service's references.
func (c *checker) services() {
	var networks, volumes []string
	for _, n := range c.m.Networks {
		networks = append(networks, n.Name)
	}
	for _, v := range c.m.Volumes {
		volumes = append(volumes, v.Name)
	}
	users := map[string]string{}
	for _, s := range c.m.Services {
		for i, l := range s.Links {
			if c.m.Network(l.Network) == nil {
				c.add(c.at(s.Name, "link", i), "there is no network %q%s", l.Network, meant(l.Network, networks))
			}
		}
		for i, m := range s.Mounts {
			if m.Volume == "" {
				continue
			}
			at := c.at(s.Name, "volume", i)
			if !c.m.Single && !slices.Contains(volumes, m.Volume) {
				c.add(at, "there is no volume %q%s", m.Volume, meant(m.Volume, volumes))
			}
			if other, ok := users[m.Volume]; ok && !m.ReadOnly {
				c.add(at, "volume %s is used by %s already: a volume is written by one machine", m.Volume, other)
			}
			if s.Replicas > 1 && !m.ReadOnly {
				c.add(at, "volume %s can't be written by %d replicas: add :ro, or write replicas: 1", m.Volume, s.Replicas)
			}
			users[m.Volume] = s.Name
		}
		if s.Memory != 0 && s.Memory < machine.MinMemory {
			c.add(c.at(s.Name, "memory"), "%s is too little memory: the least is %s", machine.FormatMemory(s.Memory), machine.FormatMemory(machine.MinMemory))
		}
		c.health(s)
	}
}

// health checks that a probe finds an address to ask.
func (c *checker) health(s pith.Service) {
	h := s.Health
	if h == nil {
		return
	}
	if h.Kind == pith.ProbeDNS && !validName(h.Query) {
		c.add(c.at(s.Name, "health"), "%q is no name to ask a DNS server for", h.Query)
	}
}

// validName tells whether a DNS question can be made of a name (RFC 1035,
// section 2.3.4).
func validName(name string) bool {
	name = strings.TrimSuffix(name, ".")
	if len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.ContainsAny(label, " \t\r\n") {
			return false
		}
	}
	return true
}

// owner is who has an address in a network.
type owner struct {
	network string
	addr    netip.Addr
}

// addresses looks for what is given away twice: MAC addresses, and addresses
// with those that follow for replicas.
func (c *checker) addresses() {
	taken, cards := map[owner]string{}, map[string]string{}
	for _, n := range c.m.Networks {
		for _, g := range n.Gateway {
			taken[owner{n.Name, g}] = "the host"
		}
	}
	for _, s := range c.m.Services {
		for i, l := range s.Links {
			if l.MAC != "" {
				at := c.at(s.Name, "mac", i)
				if other, ok := cards[l.MAC]; ok {
					c.add(at, "%s and %s have the same MAC address %s", other, s.Name, l.MAC)
				}
				if s.Replicas > 1 {
					c.add(at, "%d replicas of %s can't have the same MAC address", s.Replicas, s.Name)
				}
				cards[l.MAC] = s.Name
			}
			for j, p := range l.Addrs {
				at, home := c.at(s.Name, "addr", i, j), c.home(l.Network, p.Addr())
				if home != l.Network && !s.Forward {
					c.add(at, "%s is in network %s, a VLAN of %s: it takes a service with forward: true, or a card in %[2]s", p.Addr(), home, l.Network)
				}
				c.claim(taken, s, home, p, at)
			}
		}
	}
}

// claim takes a service's addresses in a network: one for each replica.
func (c *checker) claim(taken map[owner]string, s pith.Service, network string, p netip.Prefix, at spot) {
	a := p.Addr()
	for range max(s.Replicas, 1) {
		if !p.Contains(a) {
			c.add(at, "%s has no room for %d replicas from %s on", p.Masked(), s.Replicas, p.Addr())
			return
		}
		if why := unusable(netip.PrefixFrom(a, p.Bits())); why != "" {
			c.add(at, "%s can't be a machine's address: it is %s", a, why)
			return
		}
		if other, ok := taken[owner{network, a}]; ok {
			c.add(at, "%s has address %s of network %s already", other, a, network)
		}
		taken[owner{network, a}] = s.Name
		a = a.Next()
	}
}

// unusable says why no machine can have an address; "" where one can.
func unusable(p netip.Prefix) string {
	a := p.Addr()
	switch {
	case a.IsUnspecified():
		return "no address at all"
	case a.IsLoopback():
		return "loopback"
	case a.IsMulticast():
		return "multicast"
	case a.Is6() || p.Bits() >= 31:
		return ""
	case a == p.Masked().Addr():
		return "the subnet's own"
	case !p.Contains(a.Next()):
		return "the subnet's broadcast address"
	}
	return ""
}

// ports looks for host ports that are given away twice.
func (c *checker) ports() {
	type holder struct {
		service string
		pith.Port
	}
	var all []holder
	if s := c.m.Services; c.m.Single && len(s) == 1 && len(s[0].Ports) > 0 && !hasUser(s[0]) {
		c.add(c.at(s[0].Name, "port", 0), "ports are published on the user network only: on a tap or bridge the machine's own address is reachable")
	}
	for _, s := range c.m.Services {
		for i, p := range s.Ports {
			at := c.at(s.Name, "port", i)
			if p.Guest == 0 {
				c.add(at, "a port needs a target: the machine's port")
				continue
			}
			if p.Host.Port() == 0 {
				continue
			}
			for _, o := range all {
				if o.Protocol == p.Protocol && o.Host.Port() == p.Host.Port() && meet(o.Host.Addr(), p.Host.Addr()) {
					c.add(at, "%s has port %s/%s of the host already", o.service, o.Host, o.Protocol)
				}
			}
			if s.Replicas > 1 {
				c.add(at, "%d replicas can't share port %s of the host: leave the host's port out", s.Replicas, p.Host)
			}
			all = append(all, holder{s.Name, p})
		}
	}
}

func hasUser(s pith.Service) bool {
	return slices.ContainsFunc(s.Links, func(l pith.ServiceLink) bool { return l.Network == string(pith.NetworkUser) })
}

// meet tells whether two listening addresses get in each other's way.
func meet(a, b netip.Addr) bool { return a == b || a.IsUnspecified() || b.IsUnspecified() }

// targets looks for two files or mounts of a service at one path.
func (c *checker) targets() {
	for _, s := range c.m.Services {
		seen := map[string]bool{}
		take := func(kind string, i int, path string) {
			if path != "" && seen[path] {
				c.add(c.at(s.Name, kind, i), "%s gives two things the path %s", s.Name, path)
			}
			seen[path] = true
		}
		for i, f := range s.Files {
			take("files", i, f.Target)
		}
		for i, f := range s.Configs {
			take("configs", i, f.Target)
		}
		for i, f := range s.Secrets {
			take("secrets", i, f.Target)
		}
		for i, m := range s.Mounts {
			take("volume", i, m.Target)
		}
	}
}

// CheckHost asks the host about what it must have now: published ports that are
// free, but for those that ours has already. Its errors are as Read's.
func (m *Manifest) CheckHost(ours func(pith.Port) bool) error {
	r := &report{file: m.File}
	c := checker{report: r, m: m}
	for _, s := range m.Services {
		for i, p := range s.Ports {
			if p.Host.Port() == 0 || ours != nil && ours(p) {
				continue
			}
			if _, err := machine.FreePorts([]pith.Port{p}); err != nil {
				c.add(c.at(s.Name, "port", i), "%v", err)
			}
		}
	}
	return r.err()
}
