package inet

// ARP for IPv4 over Ethernet (RFC 826), with announcements (RFC 5227, section 2.3).
const (
	arpLen     = 28
	arpRequest = 1
	arpReply   = 2
)

// arp handles a received ARP packet.
func (p *packet) arp() {
	if !pull(p.buf, arpLen) {
		p.malformed()
		return
	}
	h := p.buf.Bytes()
	if get16(h) != 1 || get16(h[2:]) != etherIPv4 || h[4] != 6 || h[5] != 4 {
		p.malformed()
		return
	}
	n := p.nic()
	op := get16(h[6:])
	mac, sender := getMAC(h[8:]), v4(get32(h[14:]))
	target := v4(get32(h[24:]))
	if mac == n.mac || mac.group() || sender.isMulticast() || sender == broadcast {
		return
	}
	mine := n.hasAddress(target)
	if e := n.neighborFor(sender, mine && op == arpRequest); e != nil {
		e.resolved(p.b, mac)
	}
	if op == arpRequest && mine {
		n.sendARP(p.b, arpReply, mac, target, mac, sender)
	}
}

// hasAddress reports whether a is one of this interface's own addresses.
func (n *nic) hasAddress(a address) bool { return n.s.snapshot.Load().localNIC(a) == n }

// neighborFor finds the entry of a machine that was heard of. One that talks to us gets
// an entry if it has none: an answer to it will follow.
func (n *nic) neighborFor(a address, create bool) *neighbor {
	if a.unspecified() || n.hasAddress(a) {
		return nil
	}
	if create {
		return n.neighbors.get(a)
	}
	return n.neighbors.find(a)
}

// askARP sends a request for target: to its known Ethernet address, or to all if
// that is 0.
func (n *nic) askARP(b *batch, target address, to hardwareAddr) {
	if to == 0 {
		to = broadcastMAC
	}
	r := route{nic: n, dst: target}
	if !n.s.snapshot.Load().chooseSource(&r) {
		r.src = anyV4
	}
	n.sendARP(b, arpRequest, to, r.src, 0, target)
}

// sendARP sends one ARP packet.
func (n *nic) sendARP(b *batch, op uint16, to hardwareAddr, src address, targetMAC hardwareAddr, target address) {
	f := n.dev.Alloc()
	if f == nil {
		b.s.stats.NoBuffer.Add(1)
		return
	}
	f.Len = arpLen
	h := f.Bytes()
	put16(h, 1)
	put16(h[2:], etherIPv4)
	h[4], h[5] = 6, 4
	put16(h[6:], op)
	n.mac.put(h[8:])
	put32(h[14:], uint32(src.lo))
	targetMAC.put(h[18:])
	put32(h[24:], uint32(target.lo))
	putEthernet(f, to, n.mac, etherARP)
	n.queues[0].transmit(b, f, noOffload)
}

// announce tells the link which addresses this interface has, so that caches of earlier
// owners are put right.
func (n *nic) announce() {
	b := n.s.begin()
	for _, l := range n.s.snapshot.Load().locals {
		if l.nic != n {
			continue
		}
		if a := l.prefix.addr; a.is4() {
			n.sendARP(&b, arpRequest, broadcastMAC, a, 0, a)
		}
	}
	b.flush()
}
