package router

import (
	"net/netip"

	"pith/service/conntrack"
	"pith/service/firewall/nft"
	"pith/service/packet"
)

// forward sends a packet on its way.
func (w *worker) forward(p *packet.Packet, in *Interface) {
	if p.Dst.IsLinkLocalUnicast() || p.Version == 6 && (p.Src.IsUnspecified() || p.Src.IsLinkLocalUnicast()) {
		w.r.drop(dropMartian)
		return
	}
	if p.TTL <= 1 {
		w.r.drop(dropTTL)
		w.complain(p, in, packet.TimeExceeded, 0, packet.TimeExceeded6, 0, 0)
		return
	}
	way := w.route(p.Dst)
	if way == nil || way.Face == nil {
		w.r.drop(dropNoRoute)
		w.complain(p, in, packet.Unreachable, 0, packet.Unreachable6, 0, 0)
		return
	}
	out := way.Face
	if !w.fits(p, out) {
		w.r.drop(dropTooBig)
		w.complain(p, in, packet.Unreachable, 4, packet.TooBig6, 0, uint32(out.MTU))
		return
	}
	p.DecrementTTL()
	w.ctx.Out = out.value
	if rules := w.state.rules; rules.Has(nft.Forward) && !w.pass(rules.Filter(nft.Forward, nft.First, nft.Last, &w.ctx), p, in) {
		return
	}
	if out.clampMSS {
		w.clamp(p, out)
	}
	w.postrouting(p, way)
}

// clamp lowers the MSS to what the way out takes.
func (w *worker) clamp(p *packet.Packet, out *Interface) {
	headers := 40
	if p.Version == 6 {
		headers = 60
	}
	p.ClampMSS(uint16(out.MTU - headers))
}

// route finds the way to an address.
func (w *worker) route(dst netip.Addr) *route { return w.cached(dst).route }

func (w *worker) cached(dst netip.Addr) *cachedRoute {
	b := dst.As16()
	c := &w.routes[b[15]&15]
	if c.state != w.state || c.dst != dst {
		*c = cachedRoute{state: w.state, dst: dst, route: w.state.routes.find(dst)}
	}
	return c
}

// ours tells whether what comes in for an address is for this machine itself.
func (w *worker) ours(dst netip.Addr, in *Interface) bool {
	c := w.cached(dst)
	if c.in != in {
		c.in = in
		c.ours = w.state.local[dst] != nil || dst.IsMulticast() || w.state.broadcast(dst, in) || dst.IsLinkLocalUnicast() && dst == in.linkLocal
	}
	return c.ours
}

// fits tells whether a packet can leave by an interface, in fragments if need be.
func (w *worker) fits(p *packet.Packet, out *Interface) bool {
	f := p.Frame
	if f.Offload.Segmentation != packet.SegmentNone {
		return p.Headers()+int(f.Offload.SegmentSize) <= out.MTU
	}
	if p.Length <= out.MTU || p.Largest > 0 && p.Largest <= out.MTU {
		return true // what came in pieces leaves in pieces
	}
	return !p.DontFragment()
}

// postrouting does what comes after a packet was routed, and sends it.
func (w *worker) postrouting(p *packet.Packet, way *route) {
	rules, out := w.state.rules, way.Face
	if rules.Has(nft.Postrouting) {
		if !w.pass(rules.Filter(nft.Postrouting, nft.First, nft.PrioritySrcNAT, &w.ctx), p, out) || !w.nat(nft.Postrouting, out) {
			return
		}
	}
	w.unique()
	w.view.TranslateSrc(p)
	if rules.Has(nft.Postrouting) && !w.pass(rules.Filter(nft.Postrouting, nft.PrioritySrcNAT, nft.Last, &w.ctx), p, out) {
		return
	}
	if !w.confirm() {
		return
	}
	next := way.Gateway
	if !next.IsValid() {
		next = p.Dst
	}
	if p.Length > out.MTU && p.Frame.Offload.Segmentation == packet.SegmentNone || p.Largest > 0 {
		for _, piece := range w.r.split(p, out.MTU) {
			w.hop(piece, out, next)
		}
		return
	}
	w.hop(p, out, next)
}

// unique gives a new connection another source port if its answers would look like those
// of one that is translated.
func (w *worker) unique() {
	c := w.view.Conn
	if c == nil || c.Confirmed() || c.SNAT || w.view.State != conntrack.New || !w.r.conns.Clash(c, w.now) {
		return
	}
	w.r.conns.SourceNAT(c, conntrack.Range{}, w.now)
}

// hop sends a packet to the next station.
func (w *worker) hop(p *packet.Packet, out *Interface, next netip.Addr) {
	if next.IsMulticast() {
		w.send(p, out, packet.MulticastMAC(next))
		return
	}
	k := neighborKey{out.index, next}
	b := next.As16()
	c := &w.hops[b[15]&15]
	if c.entry == nil || c.key != k {
		c.entry, c.key = w.r.neighbors.get(k, out), k
	}
	if c.entry == nil {
		w.r.drop(dropNeighbor)
		return
	}
	if mac, ok := c.entry.address(w.now); ok {
		w.send(p, out, mac)
		return
	}
	w.r.neighbors.wait(w, c.entry, p, out)
	c.entry = nil
}

// send puts a packet on the wire.
func (w *worker) send(p *packet.Packet, out *Interface, to packet.MAC) {
	if !p.SetEthernet(to, out.port.mac, out.VLAN) {
		out.TxDropped.Add(1)
		return
	}
	w.transmit(p.Frame, out)
}

// transmit puts a frame on the wire.
func (w *worker) transmit(f *packet.Frame, out *Interface) {
	size := f.Size()
	if !out.port.Send(w.queue%out.port.Queues(), f) {
		out.TxDropped.Add(1)
		return
	}
	out.TxPackets.Add(1)
	out.TxBytes.Add(uint64(size))
	for _, p := range w.dirty {
		if p == out.port {
			return
		}
	}
	w.dirty = append(w.dirty, out.port)
}

// complain sends an ICMP error about a packet that came in, if one may be sent.
func (w *worker) complain(p *packet.Packet, in *Interface, type4, code4, type6, code6 uint8, word uint32) {
	if !w.r.errors.allow(w.now) {
		return
	}
	// What the sender knows is the packet as it sent it.
	src := in.addressFor(p.Src)
	typ, code := type4, code4
	if p.Version == 6 {
		typ, code = type6, code6
	}
	if !src.IsValid() {
		return
	}
	if e := packet.NewError(p, src, typ, code, word); e != nil {
		w.answer(e)
	}
}

// reject answers a packet that a rule refuses.
func (w *worker) reject(p *packet.Packet, kind nft.RejectKind, in *Interface) {
	if !p.ChecksumOK() {
		return
	}
	if kind.Reset {
		if r := packet.NewReset(p, 0); r != nil && w.r.errors.allow(w.now) {
			w.answer(r)
			if w.view.Conn != nil {
				w.view.Conn.Close()
			}
		}
		return
	}
	v4, v6 := kind.Codes()
	w.complain(p, in, packet.Unreachable, v4, packet.Unreachable6, v6, 0)
}

// answer sends a packet about the one that is being worked on: it belongs to the same
// connection.
func (w *worker) answer(p *packet.Packet) {
	view := w.view
	switch {
	case view.Conn != nil:
		view = conntrack.View{Conn: view.Conn, Reply: !view.Reply, State: conntrack.Related}
	case p.Protocol == packet.TCP:
		w.originate(p, nil) // a reset ends the connection that it is taken for
		return
	}
	w.originate(p, &view)
}

// originate sends a packet of this machine's own. view is its part in a connection;
// nil looks for it.
func (w *worker) originate(p *packet.Packet, view *conntrack.View) {
	if w.state == nil || w.state.rules == nil {
		return
	}
	// A packet that is being worked on has its own context.
	ctx, old := w.ctx, w.view
	defer func() { w.ctx, w.view = ctx, old }()
	way := w.wayFor(p)
	if way == nil || way.Face == nil {
		w.r.drop(dropNoRoute)
		return
	}
	w.ctx = nft.Context{Packet: p, Out: way.Face.value, State: nft.StateInvalid, Now: w.now}
	rules := w.state.rules
	if !w.quiet(rules.Filter(nft.Output, nft.First, nft.PriorityConntrack, &w.ctx)) {
		return
	}
	switch {
	case !rules.Tracks():
		w.view = conntrack.View{State: conntrack.Untracked}
	case view != nil:
		w.view = *view
		w.tell()
	default:
		w.track(p)
	}
	if !w.quiet(rules.Filter(nft.Output, nft.PriorityConntrack, nft.PriorityDstNAT, &w.ctx)) {
		return
	}
	w.view.TranslateDst(p) // of answers to whom unique gave another port
	if !w.quiet(rules.Filter(nft.Output, nft.PriorityDstNAT, nft.Last, &w.ctx)) {
		return
	}
	w.postrouting(p, way)
}

// wayFor routes a packet of our own: groups and link-local addresses by the interface
// whose address is its source.
func (w *worker) wayFor(p *packet.Packet) *route {
	if !p.Dst.IsMulticast() && !p.Dst.IsLinkLocalUnicast() {
		return w.route(p.Dst)
	}
	if f := w.state.local[p.Src]; f != nil {
		return &route{Face: f}
	}
	for _, f := range w.state.faces {
		if f.linkLocal == p.Src && w.ctx.In == f.value {
			return &route{Face: f}
		}
	}
	for _, f := range w.state.faces {
		if f.linkLocal == p.Src {
			return &route{Face: f}
		}
	}
	return nil
}

// quiet is pass for packets of our own: nobody is told of a refusal.
func (w *worker) quiet(d nft.Decision) bool {
	if d.Verdict == nft.Accept {
		return true
	}
	w.r.drop(dropFilter)
	return false
}
