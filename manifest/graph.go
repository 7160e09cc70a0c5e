package manifest

import (
	"net/netip"
	"slices"
	"strings"

	"pith"
)

// dependencies checks that each is there and none leads back to itself.
func (c *checker) dependencies() {
	var names []string
	for _, s := range c.m.Services {
		names = append(names, s.Name)
	}
	for _, s := range c.m.Services {
		for i, n := range s.Needs {
			target := c.m.Service(n.Service)
			switch {
			case target == nil:
				c.add(c.at(s.Name, "need", i), "there is no service %q%s", n.Service, meant(n.Service, names))
			case n.Condition == pith.Completed && (target.Restart.When == pith.RestartAlways || target.Restart.When == pith.RestartUnlessStopped):
				c.add(c.at(s.Name, "need", i), "%s never ends, because it is always restarted: %s would wait forever", n.Service, s.Name)
			}
		}
	}
	c.circles()
}

// circles reports each circle of dependencies once, at its first service.
func (c *checker) circles() {
	const fresh, open, done = 0, 1, 2
	state := map[string]int{}
	var way []string
	var visit func(name string)
	visit = func(name string) {
		s := c.m.Service(name)
		if s == nil || state[name] == done {
			return
		}
		if state[name] == open {
			circle := append(slices.Clone(way[slices.Index(way, name):]), name)
			c.add(c.at(name), "these depend on one another in a circle: %s", strings.Join(circle, " → "))
			return
		}
		state[name] = open
		way = append(way, name)
		for _, n := range s.Needs {
			visit(n.Service)
		}
		way = way[:len(way)-1]
		state[name] = done
	}
	for _, s := range c.m.Services {
		visit(s.Name)
	}
}

// Order returns the services so that each stands behind those that it needs,
// in the file's order otherwise.
func (m *Manifest) Order() []*pith.Service {
	var order []*pith.Service
	seen := map[string]bool{}
	var visit func(s *pith.Service)
	visit = func(s *pith.Service) {
		if s == nil || seen[s.Name] {
			return
		}
		seen[s.Name] = true
		for _, n := range s.Needs {
			visit(m.Service(n.Service))
		}
		order = append(order, s)
	}
	for i := range m.Services {
		visit(&m.Services[i])
	}
	return order
}

// routes checks gateways and routes: that the router can be reached, is there,
// and knows the way on.
func (c *checker) routes() {
	for _, s := range c.m.Services {
		for i, l := range s.Links {
			for j, g := range l.Gateway {
				at := c.at(s.Name, "gateway", i, j)
				if n := c.m.Network(l.Network); n != nil && len(l.Addrs) > 0 && !reaches(*n, l, g) {
					c.add(at, "gateway %s is not in network %s%s", g, n.Name, itsSubnet(*n))
					continue
				}
				c.router(s, g, at)
			}
			if len(l.Gateway) > 1 && l.Gateway[0].Is4() == l.Gateway[1].Is4() || len(l.Gateway) > 2 {
				c.add(c.at(s.Name, "gateway", i), "%s has more than one gateway of a family in network %s", s.Name, l.Network)
			}
		}
		for i, r := range s.Routes {
			c.route(s, r, c.at(s.Name, "route", i))
		}
	}
}

// reaches tells whether a card has an address as its neighbour.
func reaches(n pith.Network, l pith.ServiceLink, a netip.Addr) bool {
	if subnetOf(&n, a).IsValid() {
		return true
	}
	return slices.ContainsFunc(l.Addrs, func(p netip.Prefix) bool { return p.Contains(a) })
}

func (c *checker) route(s pith.Service, r pith.Route, at spot) {
	if r.To.Addr().Is4() != r.Via.Is4() {
		c.add(at, "a route to %s can't lead over %s, which is of the other family", r.To, r.Via)
		return
	}
	card := slices.IndexFunc(s.Links, func(l pith.ServiceLink) bool {
		n := c.m.Network(l.Network)
		return n != nil && reaches(*n, l, r.Via)
	})
	if card < 0 {
		c.add(at, "%s can't be reached by %s: it is in none of its networks", r.Via, s.Name)
		return
	}
	if c.router(s, r.Via, at) {
		c.follow(s, r, at)
	}
}

// router checks that somebody has the router's address, where that can be
// known: a bridge of the host may have machines that this file doesn't name.
func (c *checker) router(s pith.Service, via netip.Addr, at spot) bool {
	if owner := c.hasAddress(via); owner != nil {
		if owner.Name == s.Name {
			c.add(at, "%s can't be its own router (%s)", s.Name, via)
			return false
		}
		return true
	}
	for _, n := range c.m.Networks {
		if !subnetOf(&n, via).IsValid() {
			continue
		}
		if n.Bridge == "" && !slices.Contains(n.Gateway, via) {
			c.add(at, "nobody in network %s has the address %s", n.Name, via)
		}
	}
	return false
}

// hasAddress finds the service with an address.
func (c *checker) hasAddress(a netip.Addr) *pith.Service {
	for i, s := range c.m.Services {
		for _, l := range s.Links {
			for _, p := range l.Addrs {
				if p.Addr() == a {
					return &c.m.Services[i]
				}
			}
		}
	}
	return nil
}

// follow goes from router to router until one is in the destination.
func (c *checker) follow(s pith.Service, r pith.Route, at spot) {
	if r.To.Bits() == 0 {
		return // everything else: there is no end to come to
	}
	way := []string{s.Name}
	for via := r.Via; ; {
		next := c.hasAddress(via)
		if next == nil {
			return // it leaves for where this file knows nothing
		}
		if slices.Contains(way, next.Name) {
			c.add(at, "the way to %s goes in a circle: %s", r.To, strings.Join(append(way, next.Name), " → "))
			return
		}
		way = append(way, next.Name)
		if attached(c.m, next, r.To) {
			return
		}
		var ok bool
		if via, ok = nextHop(next, r.To); !ok {
			c.add(at, "there is no way to %s: %s is not in it and has no route to it", r.To, next.Name)
			return
		}
	}
}

// attached tells whether a service has a card in a subnet, or in a network
// whose addresses aren't known.
func attached(m *Manifest, s *pith.Service, to netip.Prefix) bool {
	return slices.ContainsFunc(s.Links, func(l pith.ServiceLink) bool {
		n := m.Network(l.Network)
		return n == nil || len(n.Subnet) == 0 || slices.ContainsFunc(n.Subnet, to.Overlaps)
	})
}

// nextHop is where a service sends what is for a subnet: by the longest of its
// routes that has it, or its gateway.
func nextHop(s *pith.Service, to netip.Prefix) (via netip.Addr, ok bool) {
	bits := -1
	for _, r := range s.Routes {
		if r.To.Bits() <= to.Bits() && r.To.Contains(to.Addr()) && r.To.Bits() > bits {
			via, bits = r.Via, r.To.Bits()
		}
	}
	if bits >= 0 {
		return via, true
	}
	for _, l := range s.Links {
		for _, g := range l.Gateway {
			if g.Is4() == to.Addr().Is4() {
				return g, true
			}
		}
	}
	return via, false
}
