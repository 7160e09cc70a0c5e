package inet

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
)

// routeEntry is one line of the route table. The zero gateway means on link.
type routeEntry struct {
	dst     prefix
	gateway address
	nic     *nic
	metric  int // the smaller of two with the same prefix wins
	origin  origin
}

// route says how packets to one destination go. It is valid as long as gen is the
// snapshot's.
type route struct {
	gen       uint64
	nic       *nic
	src, dst  address
	mtu       int          // of the path, as far as known
	neighbor  *neighbor    // who takes it next, or nil:
	mac       hardwareAddr // then the fixed address to send to
	broadcast bool
}

// route looks up the way to dst. src is the source address or a wildcard, then the
// best one is chosen; oif is the index of the interface to use, or 0.
func (s *Stack) route(dst, src address, oif int) (route, syscall.Errno) {
	c := s.snapshot.Load()
	r := route{gen: c.gen, src: src, dst: dst}
	if c.isLocal(dst) {
		r.nic = s.lo.nic
		r.mtu = loopbackMTU
		if src.unspecified() {
			r.src = dst
		}
		return r, 0
	}
	nic, gateway, errno := c.lookup(dst, src, oif)
	if errno != 0 {
		return route{}, errno
	}
	if nic.loopback {
		return route{}, syscall.ENETUNREACH
	}
	r.nic = nic
	if src.unspecified() && !c.chooseSource(&r) {
		return route{}, syscall.EADDRNOTAVAIL
	}
	r.mtu = s.paths.mtu(dst, nic, s)
	r.resolve(c, gateway)
	return r, 0
}

// resolve fills in who takes the packets next.
func (r *route) resolve(c *config, gateway address) {
	switch {
	case r.dst.isMulticast():
		r.mac = r.dst.multicastMAC()
	case r.dst == broadcast || c.isBroadcast(r.nic, r.dst):
		r.mac = broadcastMAC
		r.broadcast = true
	case gateway != (address{}):
		r.neighbor = r.nic.neighbors.get(gateway)
	default:
		r.neighbor = r.nic.neighbors.get(r.dst)
	}
}

// current reports whether r may still be used.
func (r *route) current(s *Stack) bool {
	return r.nic != nil && r.gen == s.snapshot.Load().gen && (r.neighbor == nil || !r.neighbor.gone.Load())
}

// lookup finds the interface and the next hop.
func (c *config) lookup(dst, src address, oif int) (*nic, address, syscall.Errno) {
	if dst.scoped() || dst == broadcast || dst.isMulticast() {
		n := c.scopedNIC(dst, src, oif)
		if n == nil {
			return nil, address{}, syscall.ENETUNREACH
		}
		return n, address{}, 0
	}
	for i := range c.routes {
		e := &c.routes[i]
		if oif != 0 && e.nic.index != oif || dst.is4() != e.dst.addr.is4() || !e.dst.contains(dst) {
			continue
		}
		return e.nic, e.gateway, 0
	}
	return nil, address{}, syscall.ENETUNREACH
}

// scopedNIC chooses the interface for addresses that no route tells apart: the one asked
// for, the one that has src, the default route's, the first.
func (c *config) scopedNIC(dst, src address, oif int) *nic {
	if oif != 0 {
		if oif < 1 || oif > len(c.nics) {
			return nil
		}
		return c.nics[oif-1]
	}
	if !src.unspecified() {
		for i := range c.locals {
			if c.locals[i].prefix.addr == src {
				return c.locals[i].nic
			}
		}
	}
	for i := range c.routes {
		e := &c.routes[i]
		if dst.is4() == e.dst.addr.is4() && e.gateway != (address{}) {
			return e.nic
		}
	}
	if len(c.nics) > 1 {
		return c.nics[1]
	}
	return nil
}

// isLocal reports whether dst is one of the machine's own unicast addresses.
func (c *config) isLocal(dst address) bool {
	for i := range c.locals {
		if c.locals[i].prefix.addr == dst {
			return true
		}
	}
	return dst.is4() && dst.isLoopback()
}

// isBroadcast reports whether dst is an IPv4 broadcast address on n.
func (c *config) isBroadcast(n *nic, dst address) bool {
	for i := range c.locals {
		l := &c.locals[i]
		if l.nic == n && l.broadcast == dst && dst != (address{}) {
			return true
		}
	}
	return false
}

// localNIC gives the interface that has the address, or nil.
func (c *config) localNIC(a address) *nic {
	for i := range c.locals {
		if c.locals[i].prefix.addr == a {
			return c.locals[i].nic
		}
	}
	if a.is4() && a.isLoopback() {
		return c.nics[0]
	}
	return nil
}

// chooseSource picks r.src: of r's interface before others, of dst's scope, not
// deprecated, with the longest common prefix (RFC 6724, section 5, shortened).
func (c *config) chooseSource(r *route) bool {
	best := -1
	for i := range c.locals {
		l := &c.locals[i]
		if l.nic.loopback || l.prefix.addr.is4() != r.dst.is4() {
			continue
		}
		if score := l.score(r); score > best {
			best = score
			r.src = l.prefix.addr
		}
	}
	return best >= 0
}

func (l *local) score(r *route) int {
	score := l.prefix.addr.commonPrefix(r.dst)
	if l.nic == r.nic {
		score += 4096
	} else if l.prefix.addr.isLinkLocal() {
		return -1
	}
	if l.prefix.addr.isLinkLocal() == r.dst.scoped() {
		score += 1024
	}
	if !l.deprecated {
		score += 512
	}
	return score
}

// addAddress adds or renews one of the machine's addresses, with the route to its
// link.
func (c *config) addAddress(n *nic, p prefix, o origin) {
	for i := range c.locals {
		if c.locals[i].nic == n && c.locals[i].prefix == p {
			c.locals[i].deprecated = false
			return
		}
	}
	c.locals = append(c.locals, local{nic: n, prefix: p, broadcast: p.broadcast(), origin: o})
	if !n.loopback && p.bits < 128 {
		c.addRoute(routeEntry{dst: prefix{p.addr.masked(p.bits), p.bits}, nic: n, origin: o})
	}
}

// dropAddress removes an address and the routes that came with its prefix.
func (c *config) dropAddress(n *nic, a address) {
	for i := range c.locals {
		l := c.locals[i]
		if l.nic != n || l.prefix.addr != a {
			continue
		}
		c.locals = slices.Delete(c.locals, i, i+1)
		dst := prefix{a.masked(l.prefix.bits), l.prefix.bits}
		c.routes = slices.DeleteFunc(c.routes, func(e routeEntry) bool {
			return e.nic == n && e.dst == dst && e.gateway == (address{}) && e.origin == l.origin
		})
		return
	}
}

// addDefault adds a default route.
func (c *config) addDefault(n *nic, gateway address, o origin) {
	dst := prefix{address{}, 0}
	if gateway.is4() {
		dst = prefix{anyV4, 96}
	}
	c.addRoute(routeEntry{dst: dst, gateway: gateway, nic: n, metric: n.index, origin: o})
}

// addRoute adds a route unless it is there.
func (c *config) addRoute(e routeEntry) {
	if !slices.Contains(c.routes, e) {
		c.routes = append(c.routes, e)
	}
}

// drop removes a nic's addresses and routes of one origin and family.
func (c *config) drop(n *nic, o origin, ipv4 bool) {
	c.locals = slices.DeleteFunc(c.locals, func(l local) bool {
		return l.nic == n && l.origin == o && l.prefix.addr.is4() == ipv4
	})
	c.routes = slices.DeleteFunc(c.routes, func(e routeEntry) bool {
		return e.nic == n && e.origin == o && e.dst.addr.is4() == ipv4
	})
}

// nameserver is a DNS server that some configuration named.
type nameserver struct {
	addr   netip.Addr
	nic    *nic
	origin origin
}

// setNameservers replaces what one origin said of a nic's DNS servers.
func (c *config) setNameservers(n *nic, o origin, list []netip.Addr) {
	c.nameservers = slices.DeleteFunc(c.nameservers, func(s nameserver) bool {
		return s.nic == n && s.origin == o
	})
	for _, a := range list {
		c.nameservers = append(c.nameservers, nameserver{a, n, o})
	}
	slices.SortStableFunc(c.nameservers, func(a, b nameserver) int {
		return int(a.origin) - int(b.origin)
	})
}

// pathTable holds the paths whose MTU is smaller than the link's (RFC 1191, 8201).
type pathTable struct {
	count atomic.Int32

	mu    sync.Mutex
	paths map[address]path
}

type path struct {
	mtu     int
	expires int64
}

const (
	// pathLifetime is how long a path's MTU is believed, in nanoseconds
	// (RFC 1191, section 6.3: ten minutes).
	pathLifetime = 600e9
	maxPaths     = 256
	// minPathMTU is the least that anybody can talk us into (RFC 791 asks for 68;
	// Linux, like us, doesn't go below 552).
	minPathMTU  = 552
	minPathMTU6 = 1280
)

// mtu gives the path MTU to dst by the given interface.
func (t *pathTable) mtu(dst address, n *nic, s *Stack) int {
	mtu := int(n.mtu.Load())
	if !dst.is4() {
		mtu = int(n.mtu6.Load())
	}
	if t.count.Load() == 0 {
		return mtu
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.paths[dst]
	if !ok {
		return mtu
	}
	if p.expires < s.conf.Now() {
		delete(t.paths, dst)
		t.count.Store(int32(len(t.paths)))
		return mtu
	}
	return min(mtu, p.mtu)
}

// learn takes in that dst's path carries packets of at most mtu bytes, and reports
// whether that is less than was believed.
func (t *pathTable) learn(dst address, mtu int, now int64) bool {
	if dst.is4() {
		mtu = max(mtu, minPathMTU)
	} else {
		mtu = max(mtu, minPathMTU6)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.paths == nil {
		t.paths = make(map[address]path)
	}
	if p, ok := t.paths[dst]; ok && p.expires > now && p.mtu <= mtu {
		return false
	}
	if len(t.paths) >= maxPaths {
		for old := range t.paths {
			delete(t.paths, old)
			break
		}
	}
	t.paths[dst] = path{mtu, now + pathLifetime}
	t.count.Store(int32(len(t.paths)))
	return true
}
