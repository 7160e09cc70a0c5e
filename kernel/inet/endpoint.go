package inet

import (
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"

	"pith/kernel/socket"
)

// base is what all kinds of sockets have. Its fields are guarded by the endpoint's mu,
// apart from s, family and protocol, which never change.
type base struct {
	s        *Stack
	family   int
	protocol uint8

	local, remote address
	lport, rport  uint16
	oif           int // index of the interface the socket is tied to, or 0

	binding *binding // in the port table, or nil
	route   route    // the last way out, see base.way
	notify  func(socket.Readiness)
	err     syscall.Errno // what SO_ERROR will tell

	options
}

// options are a socket's settings.
type options struct {
	v6only, reuseAddr, reusePort, mayBroadcast bool
	ttl, tos                                   uint8 // ttl 0 is the default
	multicastTTL                               uint8
	multicastMute                              bool // IP_MULTICAST_LOOP is off
	multicastNIC                               int
	packetInfo, packetInfo6, hopLimitInfo      bool
	receiveBuffer, sendBuffer                  int
	keepAlive                                  bool
	linger                                     int32 // seconds, or -1
	neverCut                                   bool  // IP_MTU_DISCOVER: always DF
}

func (e *base) init(s *Stack, family int, protocol uint8) {
	e.s, e.family, e.protocol = s, family, protocol
	e.linger = -1
	e.multicastTTL = 1
	if family == syscall.AF_INET {
		e.local = anyV4
		e.remote = anyV4
	}
}

// wake tells the socket's owner that something may have become possible.
// Called with the endpoint's mu held.
func (e *base) wake(r socket.Readiness) {
	if e.notify != nil {
		e.notify(r)
	}
}

// takeError gives and forgets the pending error.
func (e *base) takeError() syscall.Errno {
	errno := e.err
	e.err = 0
	return errno
}

// parse takes an address that a program gave, with the zone's interface index.
func (e *base) parse(a netip.Addr) (addr address, nic int, errno syscall.Errno) {
	if !a.IsValid() {
		if e.family == syscall.AF_INET {
			return anyV4, 0, 0
		}
		return address{}, 0, 0
	}
	addr = fromNetip(a)
	switch {
	case addr.is4() && e.family == syscall.AF_INET6 && e.v6only:
		return addr, 0, syscall.ENETUNREACH
	case !addr.is4() && e.family == syscall.AF_INET:
		return addr, 0, syscall.EAFNOSUPPORT
	}
	if zone := a.Zone(); zone != "" {
		nic = e.s.nicByName(zone)
		if nic == 0 {
			return addr, 0, syscall.ENODEV
		}
	}
	return addr, nic, 0
}

// nicByName gives the index of the interface with that name or number, or 0.
func (s *Stack) nicByName(name string) int {
	c := s.snapshot.Load()
	if i, err := strconv.Atoi(name); err == nil && i > 0 && i <= len(c.nics) {
		return i
	}
	for _, n := range c.nics {
		if n.name == name {
			return n.index
		}
	}
	return 0
}

// way looks up the route to dst, or uses the last one again.
func (e *base) way(dst, src address, oif int) syscall.Errno {
	if e.route.dst == dst && e.route.current(e.s) && (src.unspecified() || src == e.route.src) &&
		(oif == 0 || oif == e.route.nic.index) {
		return 0
	}
	r, errno := e.s.route(dst, src, oif)
	if errno != 0 {
		e.route = route{}
		return errno
	}
	e.route = r
	return 0
}

// bindable reports whether a program may bind to the address.
func (e *base) bindable(a address) bool {
	if a.unspecified() {
		return true
	}
	c := e.s.snapshot.Load()
	if c.isLocal(a) {
		return true
	}
	if e.protocol == protoTCP {
		return false
	}
	if a.isMulticast() || a == broadcast {
		return true
	}
	for _, n := range c.nics {
		if c.isBroadcast(n, a) {
			return true
		}
	}
	return false
}

// hopLimit is the TTL for packets to dst.
func (e *base) hopLimit(dst address) uint8 {
	if dst.isMulticast() {
		return e.multicastTTL
	}
	if e.ttl != 0 {
		return e.ttl
	}
	return defaultTTL
}

// localName gives the socket's own address.
func (e *base) localName() netip.AddrPort {
	return netip.AddrPortFrom(e.local.netip(e.family, e.scope(e.local)), e.lport)
}

// remoteName gives the peer's address.
func (e *base) remoteName() netip.AddrPort {
	return netip.AddrPortFrom(e.remote.netip(e.family, e.scope(e.remote)), e.rport)
}

// scope is the interface index that makes a complete.
func (e *base) scope(a address) int {
	if !a.scoped() {
		return 0
	}
	if e.oif != 0 {
		return e.oif
	}
	if e.route.nic != nil {
		return e.route.nic.index
	}
	return 0
}

// key is how received packets find an endpoint. It is immutable.
type key struct {
	local, remote address
	lport, rport  uint16
	oif           int
	family        int
	v6only        bool
	reusePort     bool
}

func (e *base) key() key {
	return key{
		local: e.local, remote: e.remote, lport: e.lport, rport: e.rport,
		oif: e.oif, family: e.family, v6only: e.v6only, reusePort: e.reusePort,
	}
}

// covers reports whether a socket with this key takes packets of the family at all.
func (k *key) covers(ipv4 bool) bool {
	if !ipv4 {
		return k.family == syscall.AF_INET6 && !k.local.is4()
	}
	return k.family == syscall.AF_INET || k.local.is4() || !k.v6only && k.local == address{}
}

// score tells how well a packet fits: negative if not at all. The more exact
// key wins.
func (k *key) score(dst, src address, dport, sport uint16, nic int) int {
	if k.lport != dport || !k.covers(dst.is4()) {
		return -1
	}
	score := 0
	if k.family == syscall.AF_INET {
		score++
	}
	if k.oif != 0 {
		if k.oif != nic {
			return -1
		}
		score += 2
	}
	if !k.local.unspecified() {
		if k.local != dst {
			return -1
		}
		score += 4
	}
	if k.rport != 0 {
		if k.rport != sport || k.remote != src {
			return -1
		}
		score += 8
	}
	return score
}

// endpointTable finds sockets by local port. Look-ups take no lock.
type endpointTable[E comparable] struct {
	buckets [64]atomic.Pointer[[]entry[E]]
	count   atomic.Int32

	mu sync.Mutex // serialises changes
}

type entry[E comparable] struct {
	key key
	ep  E
}

func (t *endpointTable[E]) any() bool { return t.count.Load() != 0 }

// at gives the entries of port's bucket, and some of other ports.
func (t *endpointTable[E]) at(port uint16) []entry[E] {
	if list := t.buckets[port%64].Load(); list != nil {
		return *list
	}
	return nil
}

// put adds an endpoint, or gives it a new key. Its local port stays the same.
func (t *endpointTable[E]) put(k key, ep E) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.at(k.lport)
	list := make([]entry[E], 0, len(old)+1)
	for _, e := range old {
		if e.ep != ep {
			list = append(list, e)
		}
	}
	list = append(list, entry[E]{k, ep})
	t.count.Add(int32(len(list) - len(old)))
	t.buckets[k.lport%64].Store(&list)
}

// drop removes an endpoint that is bound to port.
func (t *endpointTable[E]) drop(port uint16, ep E) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.at(port)
	list := make([]entry[E], 0, len(old))
	for _, e := range old {
		if e.ep != ep {
			list = append(list, e)
		}
	}
	t.count.Add(int32(len(list) - len(old)))
	t.buckets[port%64].Store(&list)
}

// find gives the endpoint that fits a packet best. Among equals with SO_REUSEPORT
// the flow's hash decides.
func (t *endpointTable[E]) find(p *packet, dport, sport uint16) (best E, ok bool) {
	list := t.at(dport)
	top, equals := -1, 0
	for i := range list {
		switch s := list[i].key.score(p.dst, p.src, dport, sport, p.nic().index); {
		case s > top:
			best, top, equals = list[i].ep, s, 1
		case s == top && s >= 0 && list[i].key.reusePort:
			equals++
		}
	}
	if equals > 1 {
		best = t.pick(p, list, dport, sport, top, equals)
	}
	return best, top >= 0
}

// pick chooses one of several endpoints that fit equally well.
func (t *endpointTable[E]) pick(p *packet, list []entry[E], dport, sport uint16, top, equals int) (best E) {
	flow := tuple{p.dst, p.src, dport, sport}
	n := int(uint32(p.b.s.hashSeed.tuple(&flow, 0)) % uint32(equals))
	for i := range list {
		if list[i].key.score(p.dst, p.src, dport, sport, p.nic().index) != top {
			continue
		}
		best = list[i].ep
		if n == 0 {
			break
		}
		n--
	}
	return best
}
