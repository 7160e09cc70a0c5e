package router

import (
	"net/netip"

	"pith/service/conntrack"
	"pith/service/firewall/nft"
	"pith/service/packet"
)

// worker does all for the packets of one queue of a port. It is used by one goroutine.
type worker struct {
	r     *Router
	port  *port
	queue int

	now    int64
	fresh  bool // now is of this batch
	state  *state
	packet packet.Packet
	ctx    nft.Context
	view   conntrack.View
	dirty  []*port // to be flushed
	routes [16]cachedRoute
	hops   [16]cachedHop
}

// cachedRoute spares the look-ups of a flow's packets.
type cachedRoute struct {
	state *state
	dst   netip.Addr
	route *route
	in    *Interface // for which ours holds; nil: none yet
	ours  bool
}

type cachedHop struct {
	entry *neighbor
	key   neighborKey
}

func newWorker(r *Router, p *port, queue int) *worker {
	return &worker{r: r, port: p, queue: queue, dirty: make([]*port, 0, len(r.ports))}
}

// done ends a batch.
func (w *worker) done() {
	for _, p := range w.dirty {
		p.Flush(w.queue % p.Queues())
	}
	w.dirty = w.dirty[:0]
	w.fresh = false
}

// begin takes the time and the configuration, once a batch.
func (w *worker) begin() bool {
	if !w.fresh {
		w.now, w.fresh = w.r.clock(), true
		w.state = w.r.state.Load()
	}
	return w.state != nil
}

// input takes one frame.
func (w *worker) input(f *packet.Frame) {
	if !w.begin() {
		w.r.drop(dropClosed)
		return
	}
	p := &w.packet
	result := p.Parse(f)
	if result == packet.Malformed {
		w.r.drop(dropMalformed)
		return
	}
	in := w.state.face(w.port, p.VLAN)
	dst := p.DstMAC()
	if in == nil || dst != w.port.mac && !dst.Group() || p.SrcMAC() == w.port.mac {
		w.r.drop(dropNotOurs)
		return
	}
	in.RxPackets.Add(1)
	in.RxBytes.Add(uint64(f.Size()))
	if result == packet.NotIP {
		if p.EtherType == packet.EtherARP {
			w.arp(p, in)
		}
		return
	}
	if in.dhcp != nil && p.Protocol == packet.UDP && p.DstPort == 67 && p.Version == 4 {
		w.dhcp(p, in)
		return
	}
	if w.state.rules == nil {
		w.r.drop(dropClosed)
		return
	}
	w.ip(p, in)
}

// face is the interface of a port's VLAN, nil if there is none.
func (s *state) face(p *port, vlan uint16) *Interface {
	for _, f := range s.byPort[p.index] {
		if f.VLAN == vlan {
			return f
		}
	}
	return nil
}

// ip takes an IP packet from the wire.
func (w *worker) ip(p *packet.Packet, in *Interface) {
	if martian(p) {
		w.r.drop(dropMartian)
		return
	}
	if p.IsFragment() {
		whole := w.r.fragments.add(p, w.now)
		if whole == nil {
			return
		}
		p = whole
	}
	w.ctx = nft.Context{Packet: p, In: in.value, State: nft.StateInvalid, Now: w.now}
	if !w.prerouting(p, in) {
		return
	}
	if w.ours(p.Dst, in) {
		w.input4us(p, in)
		return
	}
	if p.DstMAC().Group() {
		w.r.drop(dropNotOurs)
		return
	}
	w.forward(p, in)
}

// martian tells whether a packet's addresses may not be seen on a wire (RFC 1812,
// section 5.3.7; RFC 4291, section 2.7).
func martian(p *packet.Packet) bool {
	if p.Src.IsMulticast() || p.Src.IsLoopback() || p.Dst.IsLoopback() {
		return true
	}
	if p.Version == 6 {
		return p.Dst.IsUnspecified()
	}
	src, dst := p.Src.As4(), p.Dst.As4()
	return src[0] >= 240 || dst[0] == 0 || src[0] == 0 && p.Src.IsUnspecified() == false
}

// broadcast tells whether an address is everyone's on an interface's networks.
func (s *state) broadcast(a netip.Addr, f *Interface) bool {
	if !a.Is4() {
		return false
	}
	b := a.As4()
	if b == [4]byte{255, 255, 255, 255} {
		return true
	}
	for _, n := range f.Addresses {
		if n.Addr().Is4() && n.Bits() < 31 && n.Contains(a) && lastOf(n) == a {
			return true
		}
	}
	return false
}

// lastOf is an IPv4 network's highest address.
func lastOf(n netip.Prefix) netip.Addr {
	b := n.Addr().As4()
	for i := n.Bits(); i < 32; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	return netip.AddrFrom4(b)
}

// prerouting does what comes before a packet is routed.
func (w *worker) prerouting(p *packet.Packet, in *Interface) bool {
	rules, c := w.state.rules, &w.ctx
	if !rules.Tracks() {
		w.view = conntrack.View{State: conntrack.Untracked}
		return !rules.Has(nft.Prerouting) || w.pass(rules.Filter(nft.Prerouting, nft.First, nft.Last, c), p, in)
	}
	if !w.pass(rules.Filter(nft.Prerouting, nft.First, nft.PriorityConntrack, c), p, in) {
		return false
	}
	if c.State != nft.StateUntracked {
		w.track(p)
	} else {
		w.view = conntrack.View{State: conntrack.Untracked}
	}
	if !w.pass(rules.Filter(nft.Prerouting, nft.PriorityConntrack, nft.PriorityDstNAT, c), p, in) {
		return false
	}
	if !w.nat(nft.Prerouting, in) {
		return false
	}
	w.view.TranslateDst(p)
	return w.pass(rules.Filter(nft.Prerouting, nft.PriorityDstNAT, nft.Last, c), p, in)
}

// track finds the packet's connection and tells the rules of it.
func (w *worker) track(p *packet.Packet) {
	w.view = w.r.conns.Track(p, w.now)
	w.tell()
}

func (w *worker) tell() {
	c, conn := &w.ctx, w.view.Conn
	c.State, c.Tracked, c.Reply = uint8(w.view.State), conn != nil, w.view.Reply
	if conn == nil {
		return
	}
	c.CTMark = conn.Mark.Load()
	c.Status = status(conn)
}

func status(c *conntrack.Conn) (s uint32) {
	if c.SNAT {
		s |= nft.StatusSNAT
	}
	if c.DNAT {
		s |= nft.StatusDNAT
	}
	if c.Seen() {
		s |= 2
	}
	if c.Confirmed() {
		s |= 8
	}
	return s
}

// pass acts on a decision; false ends the packet's way.
func (w *worker) pass(d nft.Decision, p *packet.Packet, in *Interface) bool {
	switch d.Verdict {
	case nft.Accept:
		return true
	case nft.Reject:
		w.reject(p, d.Reject, in)
	}
	w.r.drop(dropFilter)
	return false
}

// nat lets the rules decide how a new connection is translated at a hook.
func (w *worker) nat(h nft.Hook, face *Interface) bool {
	c := w.view.Conn
	if c == nil || w.view.State != conntrack.New || c.Confirmed() {
		return true
	}
	w.ctx.State, w.ctx.Tracked = nft.StateNew, true
	d := w.state.rules.NAT(h, &w.ctx)
	if d.Verdict == nft.Drop || d.Verdict == nft.Reject {
		w.r.drop(dropFilter)
		return false
	}
	if d.Verdict != nft.Translate {
		return true
	}
	if !w.translate(c, &d.NAT, face) {
		w.r.drop(dropTable)
		return false
	}
	w.ctx.Status = status(c)
	return true
}

// translate sets up a connection's translation.
func (w *worker) translate(c *conntrack.Conn, n *nft.NAT, face *Interface) bool {
	r := conntrack.Range{PortFrom: n.PortFrom, PortTo: n.PortTo}
	if n.HasAddr {
		r.From, r.To = n.From.Addr(n.Is6), n.To.Addr(n.Is6)
	}
	switch n.Kind {
	case nft.SNAT:
		return w.r.conns.SourceNAT(c, r, w.now)
	case nft.DNAT:
		return w.r.conns.DestinationNAT(c, r, w.now)
	}
	own := face.addressFor(c.Orig.Dst)
	if !own.IsValid() {
		return false
	}
	r.From, r.To = own, own
	if n.Kind == nft.Redirect {
		return w.r.conns.DestinationNAT(c, r, w.now)
	}
	return w.r.conns.SourceNAT(c, r, w.now)
}

// addressFor is the interface's address that talks to another: one of the same
// version, of the same network if there is one.
func (f *Interface) addressFor(other netip.Addr) netip.Addr {
	var best netip.Addr
	for _, p := range f.Addresses {
		if p.Addr().Is4() != other.Is4() {
			continue
		}
		if p.Contains(other) {
			return p.Addr()
		}
		if !best.IsValid() {
			best = p.Addr()
		}
	}
	if other.Is6() && (!best.IsValid() || other.IsLinkLocalUnicast()) {
		return f.linkLocal
	}
	return best
}

// input4us takes a packet for this machine.
func (w *worker) input4us(p *packet.Packet, in *Interface) {
	if !w.pass(w.state.rules.Filter(nft.Input, nft.First, nft.Last, &w.ctx), p, in) {
		return
	}
	w.unique()
	w.view.TranslateSrc(p)
	if !w.confirm() {
		return
	}
	switch {
	case p.Protocol == packet.ICMPv6 && p.Version == 6 && p.L4 != 0 && (p.Type == packet.NeighborSol || p.Type == packet.NeighborAdv):
		w.neighbor(p, in)
	case p.Protocol == packet.ICMPv6 && p.Version == 6 && p.L4 != 0 && p.Type == packet.RouterSolicit:
		if in.advert != nil {
			in.advert.solicited(w.r, in, w.now)
		}
	case p.Dst.IsMulticast() || w.state.broadcast(p.Dst, in):
	case p.L4 != 0 && p.IsQuery() && (p.Type == packet.EchoRequest && p.Version == 4 || p.Type == packet.EchoRequest6 && p.Version == 6):
		w.echo(p)
	default:
		w.deliver(p)
	}
}

// echo answers a ping.
func (w *worker) echo(p *packet.Packet) {
	q := p
	if p.Frame.Rest > 0 || !p.ChecksumOK() {
		return
	}
	q.EchoAnswer()
	w.originate(q, nil)
}

// deliver gives a packet to the stack of our own.
func (w *worker) deliver(p *packet.Packet) {
	l := w.r.local.Load()
	if l == nil {
		w.closed(p)
		return
	}
	if p.Frame.Rest > 0 {
		w.r.drop(dropPort)
		return
	}
	if p.Frame.Offload.NeedsChecksum {
		p.SumTransport()
	}
	(*l).Deliver(p.Bytes())
}

// closed refuses a packet for a port that nobody listens at.
func (w *worker) closed(p *packet.Packet) {
	w.r.drop(dropPort)
	in := w.state.faceOf(w.ctx.In)
	switch {
	case p.IsError() || p.Protocol == packet.ICMP || p.Protocol == packet.ICMPv6 || in == nil:
	case p.Protocol == packet.TCP:
		if r := packet.NewReset(p, p.TOS); r != nil && p.ChecksumOK() && w.r.errors.allow(w.now) {
			w.originate(r, nil)
		}
	case p.Protocol == packet.UDP:
		if p.L4 != 0 && p.ChecksumOK() {
			w.complain(p, in, packet.Unreachable, 3, packet.Unreachable6, 4, 0)
		}
	case p.Version == 4:
		w.complain(p, in, packet.Unreachable, 2, 0, 0, 0)
	default:
		w.complain(p, in, 0, 0, 4, 1, uint32(p.L4-p.L3)) // parameter problem: next header
	}
}

// faceOf finds an interface by its name.
func (s *state) faceOf(name nft.Value) *Interface {
	for _, f := range s.faces {
		if f.value == name {
			return f
		}
	}
	return nil
}

// confirm makes a connection known for good.
func (w *worker) confirm() bool {
	c := w.view.Conn
	if c == nil || w.view.Reply && !c.Confirmed() {
		return true // the refusal of a connection doesn't make it one
	}
	if w.ctx.CTMark != c.Mark.Load() {
		c.Mark.Store(w.ctx.CTMark)
	}
	if c.Confirmed() || w.r.conns.Confirm(c, w.now) {
		return true
	}
	w.r.drop(dropTable)
	return false
}
