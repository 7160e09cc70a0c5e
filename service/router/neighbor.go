package router

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"pith/service/packet"
)

const (
	maxNeighbors = 4096
	maxWaiting   = 16   // packets that wait for one address
	maxAllWait   = 2048 // and for all of them
	askEvery     = 1e9  // nanoseconds
	askTimes     = 3    // before giving up
	freshFor     = 30e9 // then it is asked for again, while it is in use
	goodFor      = 90e9 // then it is forgotten
)

// neighborKey is an address on an interface.
type neighborKey struct {
	face int
	addr netip.Addr
}

// neighbor is a station on a link.
type neighbor struct {
	key       neighborKey
	face      *Interface
	mac       atomic.Uint64 // with bit 48 set if it is known
	confirmed atomic.Int64
	used      atomic.Int64
	gone      atomic.Bool

	mu      sync.Mutex
	asked   int64
	times   int
	waiting []*packet.Packet
}

const known = 1 << 48

// address is the hardware address, if it is known.
func (n *neighbor) address(now int64) (packet.MAC, bool) {
	v := n.mac.Load()
	if v&known == 0 || n.gone.Load() {
		return packet.MAC{}, false
	}
	if n.used.Load() != now {
		n.used.Store(now)
	}
	return packet.MAC{byte(v >> 40), byte(v >> 32), byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}, true
}

func macValue(m packet.MAC) uint64 {
	return known | uint64(m[0])<<40 | uint64(m[1])<<32 | uint64(m[2])<<24 | uint64(m[3])<<16 | uint64(m[4])<<8 | uint64(m[5])
}

// neighbors is the table of all links (RFC 826; RFC 4861, section 7).
type neighbors struct {
	r       *Router
	waiting atomic.Int64 // packets, of all entries

	mu  sync.RWMutex
	all map[neighborKey]*neighbor
}

func (t *neighbors) init(r *Router) { t.r, t.all = r, map[neighborKey]*neighbor{} }

// get is the entry of an address, made if need be; nil if there are too many stations.
func (t *neighbors) get(k neighborKey, f *Interface) *neighbor {
	t.mu.RLock()
	n := t.all[k]
	t.mu.RUnlock()
	if n != nil {
		return n
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if n = t.all[k]; n != nil {
		return n
	}
	if len(t.all) >= maxNeighbors && !t.evict() {
		return nil
	}
	n = &neighbor{key: k, face: f}
	t.all[k] = n
	return n
}

// evict drops an address that nobody has answered for yet, if there is one: packets to
// addresses that nobody has must not keep stations out (RFC 6583). mu is held.
func (t *neighbors) evict() bool {
	for k, n := range t.all {
		if n.mac.Load()&known == 0 {
			n.gone.Store(true)
			delete(t.all, k)
			n.mu.Lock()
			for range t.release(n) {
				t.r.drop(dropNeighbor)
			}
			n.mu.Unlock()
			return true
		}
	}
	return false
}

// wait keeps a packet until the address of its next station is known.
func (t *neighbors) wait(w *worker, n *neighbor, p *packet.Packet, out *Interface) {
	f := p.Frame.Clone()
	if f == nil {
		t.r.drop(dropNeighbor)
		return
	}
	kept := *p
	kept.Frame = f
	n.mu.Lock()
	if n.mac.Load()&known != 0 && !n.gone.Load() {
		n.mu.Unlock()
		mac, _ := n.address(w.now)
		w.send(&kept, out, mac)
		return
	}
	t.keep(n, &kept)
	ask := n.times == 0
	if ask {
		n.times, n.asked = 1, w.now
	}
	n.used.Store(w.now)
	n.mu.Unlock()
	if ask {
		w.ask(n, out)
	}
}

// keep lets a packet wait. Where too many do, the oldest for this address gives way, or the
// new one. n.mu is held.
func (t *neighbors) keep(n *neighbor, p *packet.Packet) {
	switch {
	case len(n.waiting) >= maxWaiting:
		n.waiting = append(append(n.waiting[:0], n.waiting[1:]...), p)
		t.r.drop(dropNeighbor)
	case n.gone.Load() || t.waiting.Load() >= maxAllWait:
		t.r.drop(dropNeighbor)
	default:
		t.waiting.Add(1)
		n.waiting = append(n.waiting, p)
	}
}

// release gives the packets that waited. n.mu is held.
func (t *neighbors) release(n *neighbor) []*packet.Packet {
	list := n.waiting
	n.waiting = nil
	t.waiting.Add(-int64(len(list)))
	return list
}

// ask sends a request for an address.
func (w *worker) ask(n *neighbor, out *Interface) {
	a := n.key.addr
	src := out.addressFor(a)
	if !src.IsValid() {
		return
	}
	if a.Is4() {
		f := packet.NewARP(packet.ARPPacket{Op: packet.ARPRequest, SenderMAC: out.port.mac, SenderIP: src, TargetIP: a}, packet.Broadcast, out.VLAN)
		w.transmit(f, out)
		return
	}
	group := packet.SolicitedNode(a)
	q := packet.NewNeighbor(packet.Neighbor{Type: packet.NeighborSol, Target: a, Link: out.port.mac}, src, group)
	w.send(q, out, packet.MulticastMAC(group))
}

// learn notes a station's address, and sends what waited for it. make says that it
// needn't have been asked for.
func (w *worker) learn(f *Interface, a netip.Addr, mac packet.MAC, make bool) {
	if mac.Group() || mac == (packet.MAC{}) || !a.IsValid() || a.IsUnspecified() || a.IsMulticast() {
		return
	}
	k := neighborKey{f.index, a}
	t := &w.r.neighbors
	t.mu.RLock()
	n := t.all[k]
	t.mu.RUnlock()
	if n == nil {
		if !make || !f.onLink(a) {
			return
		}
		if n = t.get(k, f); n == nil {
			return
		}
		n.used.Store(w.now)
	}
	n.mac.Store(macValue(mac))
	n.confirmed.Store(w.now)
	n.mu.Lock()
	waiting := t.release(n)
	n.times = 0
	n.mu.Unlock()
	for _, p := range waiting {
		w.send(p, f, mac)
	}
}

// onLink tells whether an address belongs to the interface's networks.
func (f *Interface) onLink(a netip.Addr) bool {
	if a.Is6() && a.IsLinkLocalUnicast() {
		return true
	}
	for _, p := range f.Addresses {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// arp takes an ARP packet.
func (w *worker) arp(p *packet.Packet, in *Interface) {
	a, ok := packet.ParseARP(p)
	if !ok {
		w.r.drop(dropMalformed)
		return
	}
	ours := w.state.local[a.TargetIP] == in
	w.learn(in, a.SenderIP, a.SenderMAC, ours && a.Op == packet.ARPRequest)
	if a.Op != packet.ARPRequest || !ours {
		return
	}
	w.transmit(packet.NewARP(packet.ARPPacket{
		Op: packet.ARPReply, SenderMAC: in.port.mac, SenderIP: a.TargetIP, TargetMAC: a.SenderMAC, TargetIP: a.SenderIP,
	}, a.SenderMAC, in.VLAN), in)
}

// neighbor takes a neighbour solicitation or advertisement.
func (w *worker) neighbor(p *packet.Packet, in *Interface) {
	n, ok := packet.ParseNeighbor(p)
	if !ok {
		w.r.drop(dropMalformed)
		return
	}
	if n.Type == packet.NeighborAdv {
		w.learn(in, n.Target, n.Link, false)
		return
	}
	if w.state.local[n.Target] != in && n.Target != in.linkLocal {
		return
	}
	to, mac := p.Src, p.SrcMAC()
	answer := packet.Neighbor{Type: packet.NeighborAdv, Target: n.Target, Link: in.port.mac, Router: true, Solicited: true, Override: true}
	if p.Src.IsUnspecified() { // someone looks whether the address is free
		to, answer.Solicited = netip.MustParseAddr("ff02::1"), false
		mac = packet.MulticastMAC(to)
	} else if n.Link != (packet.MAC{}) {
		w.learn(in, p.Src, n.Link, true)
		mac = n.Link
	}
	w.send(packet.NewNeighbor(answer, n.Target, to), in, mac)
}

// tick asks again, gives up, and forgets.
func (t *neighbors) tick(now int64) {
	t.mu.RLock()
	list := make([]*neighbor, 0, len(t.all))
	for _, n := range t.all {
		list = append(list, n)
	}
	t.mu.RUnlock()
	for _, n := range list {
		t.due(n, now)
	}
}

func (t *neighbors) due(n *neighbor, now int64) {
	idle := now - n.used.Load()
	age := now - n.confirmed.Load()
	n.mu.Lock()
	isKnown, times, waited := n.mac.Load()&known != 0, n.times, now-n.asked
	switch {
	case isKnown && (age > goodFor || idle > goodFor), !isKnown && times >= askTimes && waited >= askEvery, !isKnown && times == 0 && idle > goodFor:
		n.mu.Unlock()
		t.forget(n)
		return
	case isKnown && age > freshFor && idle < freshFor, !isKnown && times > 0 && waited >= askEvery:
		n.times, n.asked = times+1, now
		n.mu.Unlock()
		t.r.background(n.face, func(w *worker) { w.ask(n, n.face) })
		return
	}
	n.mu.Unlock()
}

// forget removes an entry; those who wait for it are told.
func (t *neighbors) forget(n *neighbor) {
	t.mu.Lock()
	if t.all[n.key] == n {
		delete(t.all, n.key)
	}
	t.mu.Unlock()
	n.gone.Store(true)
	n.mu.Lock()
	waiting := t.release(n)
	n.mu.Unlock()
	for _, p := range waiting {
		t.r.drop(dropNeighbor)
		t.r.background(n.face, func(w *worker) {
			way := w.route(p.Src)
			if way == nil || way.Face == nil || w.state.local[p.Src] != nil {
				return
			}
			w.complain(p, way.Face, packet.Unreachable, 1, packet.Unreachable6, 3, 0)
		})
	}
}

// background runs f with a worker of its own, outside of any batch.
func (r *Router) background(f *Interface, do func(w *worker)) {
	w := newWorker(r, f.port, 0)
	if !w.begin() {
		return
	}
	do(w)
	w.done()
}

// Send sends an IP packet of the router's own stack.
func (r *Router) Send(ip []byte) {
	if len(ip) < 20 || len(r.ports) == 0 {
		return
	}
	f, b := packet.Ethernet(packet.MAC{}, packet.MAC{}, 0, map[bool]uint16{true: packet.EtherIPv6, false: packet.EtherIPv4}[ip[0]>>4 == 6], len(ip))
	copy(b, ip)
	w := newWorker(r, r.ports[0], 0)
	if !w.begin() || w.packet.Parse(f) != packet.OK {
		return
	}
	w.originate(&w.packet, nil)
	w.done()
}
