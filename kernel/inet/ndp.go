package inet

import "pith/kernel/link"

// Neighbor Discovery (RFC 4861): asking for and telling Ethernet addresses. What
// routers advertise is slaac.go's.
const (
	ndpRouterSolicit       = 133
	ndpRouterAdvertisement = 134
	ndpNeighborSolicit     = 135
	ndpNeighborAdvertise   = 136

	ndpLen       = 24 // of a solicitation or advertisement without options
	ndpHopLimit  = 255
	ndpSourceMAC = 1
	ndpTargetMAC = 2
	ndpPrefix    = 3
	ndpMTU       = 5
	ndpDNS       = 25 // RFC 8106

	ndpSolicited = 1 << 30
	ndpOverride  = 1 << 29
)

// ndp handles a received message whose checksum is right.
func (p *packet) ndp(kind uint8) {
	// A hop limit of 255 proves that no router passed it on. In fragments it would get by
	// switches that guard against forged ones (RFC 6980).
	if p.ttl != ndpHopLimit || p.cut || p.nic().loopback || !pull(p.buf, chainLen(p.buf)) {
		return
	}
	m := p.buf.Bytes()
	if m[1] != 0 {
		return
	}
	switch {
	case kind == ndpRouterAdvertisement:
		p.nic().slaac.advertised(p, m)
	case len(m) < ndpLen || v6(m[8:]).isMulticast():
		p.malformed()
	case kind == ndpNeighborSolicit:
		p.solicited(m)
	default:
		p.advertised(m)
	}
}

// ndpOption finds an option's contents, without type and length, or nil.
func ndpOption(o []byte, kind uint8) []byte {
	for len(o) >= 8 {
		n := int(o[1]) * 8
		if n == 0 || n > len(o) {
			return nil
		}
		if o[0] == kind {
			return o[2:n]
		}
		o = o[n:]
	}
	return nil
}

// solicited answers a question for one of our Ethernet addresses.
func (p *packet) solicited(m []byte) {
	n, target := p.nic(), v6(m[8:])
	if !n.hasAddress(target) {
		return
	}
	if p.src.unspecified() {
		// Someone wants to have the same address.
		if !n.slaac.collision(target) {
			n.advertise(p.b, target, allNodes, ndpOverride)
		}
		return
	}
	if mac := ndpOption(m[ndpLen:], ndpSourceMAC); len(mac) >= 6 {
		if e := n.neighborFor(p.src, true); e != nil && !getMAC(mac).group() {
			e.resolved(p.b, getMAC(mac))
		}
	}
	n.advertise(p.b, target, p.src, ndpSolicited|ndpOverride)
}

// advertised takes an answer.
func (p *packet) advertised(m []byte) {
	n, target := p.nic(), v6(m[8:])
	if n.hasAddress(target) {
		n.slaac.collision(target)
		return
	}
	e := n.neighbors.find(target)
	mac := ndpOption(m[ndpLen:], ndpTargetMAC)
	if e == nil || len(mac) < 6 || getMAC(mac).group() {
		return
	}
	override := get32(m[4:])&ndpOverride != 0
	if old := e.mac.Load(); old == 0 || override || old == known|uint64(getMAC(mac)) {
		e.resolved(p.b, getMAC(mac))
	}
}

// newNDP begins a message of the given length without options; its last option
// place, of eight bytes, is filled with our Ethernet address if option isn't 0.
func (n *nic) newNDP(kind uint8, length int, option uint8) *link.Buffer {
	f := n.dev.Alloc()
	if f == nil {
		n.s.stats.NoBuffer.Add(1)
		return nil
	}
	f.Len = length
	if option != 0 {
		f.Len += 8
	}
	h := f.Bytes()
	clear(h)
	h[0] = kind
	if option != 0 {
		h[length], h[length+1] = option, 1
		n.mac.put(h[length+2:])
	}
	return f
}

// sendNDP sends a message.
func (n *nic) sendNDP(b *batch, f *link.Buffer, r *route) {
	o := r.sumICMP(f)
	r.send(b, n.queues[0], f, ipHeader{protocol: protoICMPv6, ttl: ndpHopLimit}, o)
}

// askNDP asks for target's Ethernet address: target itself at the known one, or the
// group it is in if that is 0.
func (n *nic) askNDP(b *batch, target address, to hardwareAddr) {
	f := n.newNDP(ndpNeighborSolicit, ndpLen, ndpSourceMAC)
	if f == nil {
		return
	}
	target.put(f.Bytes()[8:])
	r := route{nic: n, dst: target, mac: to, mtu: int(n.mtu.Load())}
	if to == 0 {
		r.dst = target.solicitedNode()
		r.mac = r.dst.multicastMAC()
	}
	choose := route{nic: n, dst: target}
	if !n.s.snapshot.Load().chooseSource(&choose) {
		f.Free()
		return
	}
	r.src = choose.src
	n.sendNDP(b, f, &r)
}

// claimAddress asks whether anybody else has one of our addresses (RFC 4862, section 5.4.2).
func (n *nic) claimAddress(b *batch, a address) {
	f := n.newNDP(ndpNeighborSolicit, ndpLen, 0)
	if f == nil {
		return
	}
	a.put(f.Bytes()[8:])
	group := a.solicitedNode()
	n.sendNDP(b, f, &route{nic: n, dst: group, mac: group.multicastMAC(), mtu: int(n.mtu.Load())})
}

// advertise tells dst our Ethernet address for target.
func (n *nic) advertise(b *batch, target, dst address, flags uint32) {
	f := n.newNDP(ndpNeighborAdvertise, ndpLen, ndpTargetMAC)
	if f == nil {
		return
	}
	h := f.Bytes()
	put32(h[4:], flags)
	target.put(h[8:])
	r := route{nic: n, src: target, dst: dst, mtu: int(n.mtu.Load())}
	if dst.isMulticast() {
		r.mac = dst.multicastMAC()
	} else {
		r.neighbor = n.neighbors.get(dst)
	}
	n.sendNDP(b, f, &r)
}
