package inet

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Stateless address autoconfiguration (RFC 4862), with addresses from the Ethernet address
// (RFC 4291, appendix A), routers and MTU (RFC 4861) and DNS servers (RFC 8106).
//
// Addresses are used at once, while it is still being asked whether somebody
// else has them (optimistic, RFC 4429): a machine that serves after 100 ms can't wait
// a second.
const (
	// claimTime is how long after the question another's objection counts, in
	// nanoseconds (RetransTimer).
	claimTime = 1e9
	// claimDelay is the most that the first question of an interface waits, in nanoseconds
	// (MAX_RTR_SOLICITATION_DELAY; RFC 4862, section 5.4.2), where nothing but a link-local
	// address depends on it: a start has other things to do.
	claimDelay = 1e9
	// routerInterval is the time between questions for routers, routerSolicits their number
	// (RFC 4861, section 10).
	routerInterval = 4e9
	routerSolicits = 3

	maxRouters    = 8
	maxPrefixes   = 16
	maxAdvertised = 8 // DNS servers
	twoHours      = 7200e9
	infinite      = 0xffffffff
)

// slaac is one interface's IPv6 configuration.
type slaac struct {
	nic     *nic
	enabled bool // listens to routers

	mu       sync.Mutex
	claims   map[address]int64 // until when somebody may object
	solicits int               // questions sent
	answered bool
	waits    bool  // with the link-local address's claim
	next     int64 // when to ask for routers again, 0 for never
	routers  map[address]int64
	prefixes []autoPrefix
	dns      map[netip.Addr]int64
	timer    timer
}

// autoPrefix is a prefix from which we formed an address.
type autoPrefix struct {
	prefix           prefix
	addr             address
	preferred, valid int64 // until when
}

func newSLAAC(n *nic, enabled bool) *slaac {
	return &slaac{
		nic: n, enabled: enabled,
		claims:  make(map[address]int64),
		routers: make(map[address]int64),
		dns:     make(map[netip.Addr]int64),
	}
}

// interfaceID is the modified EUI-64 identifier.
func (h hardwareAddr) interfaceID() uint64 {
	return (uint64(h)>>24<<40 | 0xfffe<<24 | uint64(h)&0xffffff) ^ 1<<57
}

// start forms the link-local address, claims all IPv6 addresses, and asks for routers.
func (v *slaac) start() {
	n := v.nic
	own := address{0xfe80 << 48, n.mac.interfaceID()}
	n.s.update(func(c *config) { c.addAddress(n, prefix{own, 64}, fromStatic) })
	b := n.s.begin()
	v.mu.Lock()
	if v.waits = !v.enabled && v.alone(); v.waits {
		b.s.timers.arm(&v.timer, v, b.now+claimDelay/2+int64(b.s.random()%(claimDelay/2)))
	} else {
		v.claimAll(&b)
	}
	if v.enabled {
		v.solicit(&b)
	}
	v.mu.Unlock()
	b.flush()
}

// alone tells whether the link-local address is the interface's only one for IPv6.
func (v *slaac) alone() bool {
	return !slices.ContainsFunc(v.nic.s.snapshot.Load().locals, func(l local) bool {
		return l.nic == v.nic && !l.prefix.addr.is4() && !l.prefix.addr.isLinkLocal()
	})
}

// claimAll claims all IPv6 addresses of the interface. Called with mu held.
func (v *slaac) claimAll(b *batch) {
	v.waits = false
	for _, l := range v.nic.s.snapshot.Load().locals {
		if l.nic == v.nic && !l.prefix.addr.is4() {
			v.claim(b, l.prefix.addr)
		}
	}
}

// claim asks whether somebody else has a. Called with mu held.
func (v *slaac) claim(b *batch, a address) {
	v.claims[a] = b.now + claimTime
	v.nic.claimAddress(b, a)
	v.nic.report(b, a.solicitedNode(), true) // for switches that watch (RFC 4861, section 7.2.1)
	b.s.timers.arm(&v.timer, v, b.now+claimTime)
}

// collision takes in that somebody else has a, and reports whether that was in time:
// then we no longer have it.
func (v *slaac) collision(a address) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, ok := v.claims[a]; !ok {
		return false
	}
	delete(v.claims, a)
	v.prefixes = slices.DeleteFunc(v.prefixes, func(p autoPrefix) bool { return p.addr == a })
	v.nic.s.update(func(c *config) { c.dropAddress(v.nic, a) })
	return true
}

// solicit asks for routers. Called with mu held.
func (v *slaac) solicit(b *batch) {
	v.solicits++
	v.next = b.now + routerInterval
	b.s.timers.arm(&v.timer, v, v.next)
	f := v.nic.newNDP(ndpRouterSolicit, 8, ndpSourceMAC)
	if f == nil {
		return
	}
	r, errno := b.s.route(allRouter, address{}, v.nic.index)
	if errno != 0 {
		f.Free()
		return
	}
	v.nic.sendNDP(b, f, &r)
}

// advertised takes a router's advertisement (RFC 4861, section 6.3.4).
func (v *slaac) advertised(p *packet, m []byte) {
	if !v.enabled || !p.src.isLinkLocal() || len(m) < 16 {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.answered = true
	v.next = 0
	if mac := ndpOption(m[16:], ndpSourceMAC); len(mac) >= 6 && !getMAC(mac).group() {
		if e := v.nic.neighborFor(p.src, true); e != nil {
			e.resolved(p.b, getMAC(mac))
		}
	}
	v.noteRouter(p, int64(get16(m[6:]))*1e9)
	v.options(p.b, m[16:])
	v.apply(p.b)
}

// noteRouter takes in for how long a router may be used, in nanoseconds. Called with mu held.
func (v *slaac) noteRouter(p *packet, lifetime int64) {
	if lifetime == 0 {
		delete(v.routers, p.src)
		return
	}
	if _, ok := v.routers[p.src]; ok || len(v.routers) < maxRouters {
		v.routers[p.src] = p.b.now + lifetime
	}
}

// options takes an advertisement's options. Called with mu held.
func (v *slaac) options(b *batch, o []byte) {
	for len(o) >= 8 {
		n := int(o[1]) * 8
		if n == 0 || n > len(o) {
			return
		}
		switch {
		case o[0] == ndpPrefix && n == 32:
			v.notePrefix(b, o)
		case o[0] == ndpMTU && n == 8:
			if mtu := int(min(get32(o[4:]), maxPacket)); mtu >= minPathMTU6 && mtu <= v.nic.dev.MTU() {
				v.nic.mtu6.Store(int32(mtu))
			}
		case o[0] == ndpDNS && n >= 24:
			v.noteDNS(b, get32(o[4:]), o[8:n])
		}
		o = o[n:]
	}
}

// until is when a lifetime in seconds ends.
func until(now int64, seconds uint32) int64 {
	if seconds == infinite {
		return never
	}
	return now + int64(seconds)*int64(time.Second)
}

// notePrefix takes a prefix option (RFC 4862, section 5.5.3). Called with mu held.
func (v *slaac) notePrefix(b *batch, o []byte) {
	const autonomous = 0x40
	bits, preferred, valid := int(o[2]), get32(o[8:]), get32(o[4:])
	p := prefix{v6(o[16:]).masked(64), 64}
	if o[3]&autonomous == 0 || bits != 64 || preferred > valid || p.addr.isLinkLocal() || p.addr.isMulticast() || p.addr.hi == 0 {
		return
	}
	for i := range v.prefixes {
		if a := &v.prefixes[i]; a.prefix == p {
			a.preferred = until(b.now, preferred)
			// A short lifetime, perhaps forged, can't take the address away at once.
			if end := until(b.now, valid); end > b.now+twoHours || end > a.valid {
				a.valid = end
			} else if a.valid > b.now+twoHours {
				a.valid = b.now + twoHours
			}
			return
		}
	}
	if valid == 0 || len(v.prefixes) == maxPrefixes {
		return
	}
	a := autoPrefix{p, address{p.addr.hi, v.nic.mac.interfaceID()}, until(b.now, preferred), until(b.now, valid)}
	v.prefixes = append(v.prefixes, a)
	b.s.update(func(c *config) { c.addAddress(v.nic, prefix{a.addr, 64}, fromRouter) })
	v.claim(b, a.addr)
}

// noteDNS takes a list of DNS servers. Called with mu held.
func (v *slaac) noteDNS(b *batch, seconds uint32, list []byte) {
	for ; len(list) >= 16; list = list[16:] {
		a := v6(list)
		server := a.netip(0, v.nic.index)
		if seconds == 0 {
			delete(v.dns, server)
		} else if _, ok := v.dns[server]; ok || len(v.dns) < maxAdvertised {
			v.dns[server] = until(b.now, seconds)
		}
	}
}

// apply makes the configuration what the routers said, without what has run out, and sets the
// timer for what runs out next. Called with mu held.
func (v *slaac) apply(b *batch) {
	n, first := v.nic, int64(never)
	keep := func(end int64) bool {
		if end > b.now {
			first = min(first, end)
			return true
		}
		return false
	}
	for r, end := range v.routers {
		if !keep(end) {
			delete(v.routers, r)
		}
	}
	var servers []netip.Addr
	for a, end := range v.dns {
		if keep(end) {
			servers = append(servers, a)
		} else {
			delete(v.dns, a)
		}
	}
	slices.SortFunc(servers, netip.Addr.Compare)
	var gone []address
	v.prefixes = slices.DeleteFunc(v.prefixes, func(p autoPrefix) bool {
		if keep(p.valid) {
			keep(p.preferred)
			return false
		}
		gone = append(gone, p.addr)
		return true
	})
	n.s.update(func(c *config) {
		v.applyTo(c, gone, servers, b.now)
	})
	if first != never {
		b.s.timers.arm(&v.timer, v, first)
	}
}

// applyTo changes the configuration. Called with mu held, within Stack.update.
func (v *slaac) applyTo(c *config, gone []address, servers []netip.Addr, now int64) {
	n := v.nic
	for _, a := range gone {
		c.dropAddress(n, a)
	}
	for _, p := range v.prefixes {
		for i := range c.locals {
			if c.locals[i].prefix.addr == p.addr {
				c.locals[i].deprecated = p.preferred <= now
			}
		}
	}
	c.routes = slices.DeleteFunc(c.routes, func(e routeEntry) bool {
		return e.nic == n && e.origin == fromRouter && e.gateway != (address{})
	})
	for r := range v.routers {
		c.addDefault(n, r, fromRouter)
	}
	c.setNameservers(n, fromRouter, servers)
}

// expire implements expirer.
func (v *slaac) expire(b *batch) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.timer.at = 0
	if v.waits {
		v.claimAll(b)
	}
	for a, end := range v.claims {
		if end <= b.now {
			delete(v.claims, a) // nobody objected
		} else {
			b.s.timers.arm(&v.timer, v, end)
		}
	}
	if v.next != 0 && v.next <= b.now {
		v.next = 0
		if !v.answered && v.solicits < routerSolicits {
			v.solicit(b)
		}
	} else if v.next != 0 {
		b.s.timers.arm(&v.timer, v, v.next)
	}
	if v.answered {
		v.apply(b)
	}
}
