package inet

import "sync"

// What a router or a switch hears of the groups that sockets joined (IGMPv2, RFC 2236;
// MLDv1, RFC 2710, which those who speak later versions understand): a report at the
// join, another soon after in case that one got lost, one whenever a query asks, and
// a word at the last leave. The groups that every host is in are never reported.
const (
	igmpLen    = 8
	igmpQuery  = 0x11
	igmpReport = 0x16
	igmpLeave  = 0x17

	mldLen    = 24
	mldQuery  = 130
	mldReport = 131
	mldDone   = 132

	// secondReport is the longest time to the second report, queryTime what a query
	// allows that names no time, as those of IGMPv1 do, both in nanoseconds (RFC 2236,
	// sections 8.10 and 4).
	secondReport = 10e9
	queryTime    = 10e9
)

// reporter sends an interface's late reports. All that are due come at one moment,
// chosen by chance so that many machines don't answer a query at once.
type reporter struct {
	nic *nic

	mu    sync.Mutex
	due   map[address]bool
	timer timer
}

// asked makes reports due within the given time, in nanoseconds: of one group, or of
// all if it is the unspecified one.
func (r *reporter) asked(b *batch, group address, within int64) {
	n := r.nic
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.due == nil {
		r.due = make(map[address]bool)
	}
	for _, g := range n.groups.list() {
		if a := fromNetip(g.Addr); a.is4() == group.is4() && (a == group || group.unspecified()) {
			r.due[a] = true
		}
	}
	if len(r.due) > 0 {
		b.s.timers.arm(&r.timer, r, b.now+int64(b.s.random()%uint64(max(within, 1))))
	}
}

// expire reports what is due and not left meanwhile.
func (r *reporter) expire(b *batch) {
	r.mu.Lock()
	r.timer.at = 0
	due := r.due
	r.due = nil
	r.mu.Unlock()
	for group := range due {
		if r.nic.groups.has(group) {
			r.nic.report(b, group, true)
		}
	}
}

// igmp handles a received IGMP message.
func (p *packet) igmp() {
	if !pull(p.buf, igmpLen) {
		p.malformed()
		return
	}
	if !partial(0).chain(p.buf).valid() {
		p.b.s.stats.BadChecksum.Add(1)
		return
	}
	h := p.buf.Bytes()
	if h[0] != igmpQuery || p.nic().loopback {
		return
	}
	within := int64(h[1]) * 100e6 // or longer: the greater half of the codes means more in IGMPv3
	if within == 0 {
		within = queryTime
	}
	p.nic().reporter.asked(p.b, v4(get32(h[4:])), within)
}

// mldQuery handles a received query whose checksum is right. Queries come from the
// link itself (RFC 2710, section 5).
func (p *packet) mldQuery() {
	if p.ttl != 1 || !p.src.scoped() || p.nic().loopback {
		return
	}
	if !pull(p.buf, mldLen) {
		p.malformed()
		return
	}
	h := p.buf.Bytes()
	p.nic().reporter.asked(p.b, v6(h[8:]), int64(get16(h[4:]))*1e6)
}

// report tells the link that this machine listens to a group, or no longer does.
func (n *nic) report(b *batch, group address, joined bool) {
	const allHosts, interfaceLocal = 0xe0000001, 0xff01
	switch {
	case group == v4(allHosts) || group == allNodes || group.hi>>48&0xff0f == interfaceLocal:
	case group.is4():
		n.reportIGMP(b, group, joined)
	default:
		n.reportMLD(b, group, joined)
	}
}

// Both protocols' packets carry the router alert option (RFC 2113, RFC 2711), without which
// a router needn't look at them, and go no further than the link.

func (n *nic) reportIGMP(b *batch, group address, joined bool) {
	kind, dst := byte(igmpReport), group
	if !joined {
		kind, dst = igmpLeave, v4(0xe0000002) // all routers
	}
	r, errno := n.s.route(dst, address{}, n.index)
	if errno != 0 {
		return
	}
	f := n.dev.Alloc()
	if f == nil {
		n.s.stats.NoBuffer.Add(1)
		return
	}
	f.Len = igmpLen
	m := f.Bytes()
	clear(m)
	m[0] = kind
	put32(m[4:], uint32(group.lo))
	put16(m[2:], partial(0).bytes(m).checksum())

	const alert = 0x94040000
	f.Off -= 4
	f.Len += 4
	put32(f.Bytes(), alert)
	putIPv4(f, &r, ipHeader{protocol: protoIGMP, ttl: 1}, f.Len, 0, flagDF)
	h := f.Bytes()[:ipv4Len+4]
	h[0] = 0x46
	put16(h[10:], 0)
	put16(h[10:], partial(0).bytes(h).checksum())
	r.sendFrame(b, n.queues[0], f, noOffload)
}

func (n *nic) reportMLD(b *batch, group address, joined bool) {
	kind, dst := byte(mldReport), group
	if !joined {
		kind, dst = mldDone, allRouter
	}
	r, errno := n.s.route(dst, n.linkLocal(), n.index)
	if errno != 0 {
		return
	}
	f := n.dev.Alloc()
	if f == nil {
		n.s.stats.NoBuffer.Add(1)
		return
	}
	f.Len = mldLen
	m := f.Bytes()
	clear(m)
	m[0] = kind
	group.put(m[8:])
	put16(m[2:], pseudoHeader(r.src, r.dst, protoICMPv6, mldLen).bytes(m).checksum())

	f.Off -= 8
	f.Len += 8
	copy(f.Bytes(), []byte{protoICMPv6, 0, 5, 2, 0, 0, 1, 0}) // router alert for MLD, and padding
	r.send(b, n.queues[0], f, ipHeader{protocol: protoHopByHop, ttl: 1}, noOffload)
}

// linkLocal is the interface's link-local address, from which alone MLD is sent.
func (n *nic) linkLocal() address {
	for _, l := range n.s.snapshot.Load().locals {
		if a := l.prefix.addr; l.nic == n && !a.is4() && a.scoped() {
			return a
		}
	}
	return address{}
}
