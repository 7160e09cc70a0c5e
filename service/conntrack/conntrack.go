// Package conntrack follows connections through a router and translates their
// addresses: the states that Linux's nf_conntrack gives, for TCP, UDP, ICMP,
// ICMPv6 and, by addresses alone, any other protocol.
//
// It relies on RFC 9293, RFC 792, RFC 4443, RFC 5382 (NAT for TCP), RFC 4787 (for UDP)
// and RFC 5508 (for ICMP). Look-ups take no lock. It must not decide whether a
// packet may pass, and it does not check TCP's sequence numbers.
package conntrack

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"

	"pith/service/packet"
)

// Tuple names one direction of a connection.
type Tuple struct {
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16 // of ICMP queries both are the identifier
	Protocol         uint8
	Kind             uint8 // ICMP's type
}

// inverse are the types of ICMP queries and their answers, plus one.
var (
	inverse4 = [256]uint8{packet.EchoRequest: 1, packet.EchoReply: 9, 13: 15, 14: 14, 15: 17, 16: 16, 17: 19, 18: 18}
	inverse6 = [256]uint8{packet.EchoRequest6: packet.EchoReply6 + 1, packet.EchoReply6: packet.EchoRequest6 + 1}
)

// Reverse is the tuple of the answers.
func (t Tuple) Reverse() Tuple {
	r := Tuple{Src: t.Dst, Dst: t.Src, SrcPort: t.DstPort, DstPort: t.SrcPort, Protocol: t.Protocol}
	switch t.Protocol {
	case packet.ICMP:
		r.Kind = inverse4[t.Kind] - 1
	case packet.ICMPv6:
		r.Kind = inverse6[t.Kind] - 1
	}
	return r
}

// TupleOf is the tuple of a packet; false if it can't begin or continue a connection.
func TupleOf(p *packet.Packet) (Tuple, bool) {
	t := Tuple{Src: p.Src, Dst: p.Dst, SrcPort: p.SrcPort, DstPort: p.DstPort, Protocol: p.Protocol}
	switch p.Protocol {
	case packet.TCP, packet.UDP:
		return t, p.L4 != 0
	case packet.ICMP:
		t.Kind = p.Type
		return t, p.L4 != 0 && p.Version == 4 && inverse4[p.Type] != 0
	case packet.ICMPv6:
		t.Kind = p.Type
		return t, p.L4 != 0 && p.Version == 6 && inverse6[p.Type] != 0
	}
	return t, true
}

// Conn is a connection.
type Conn struct {
	Orig  Tuple // as its first packet came in
	Reply Tuple // as answers come in
	Mark  atomic.Uint32

	SNAT, DNAT bool // set before Confirm only

	deadline  atomic.Int64
	seen      atomic.Bool // an answer was seen
	confirmed atomic.Bool
	dead      atomic.Bool
	packets   [2]atomic.Uint64

	mu   sync.Mutex
	tcp  tcpState
	last lastSegment
	// finished: an end was announced (FIN).
	finished bool
	nodes    [2]node
}

// node is a Conn's place in a bucket, one for each direction.
type node struct {
	next  atomic.Pointer[node]
	conn  *Conn
	reply bool
}

func (n *node) tuple() *Tuple {
	if n.reply {
		return &n.conn.Reply
	}
	return &n.conn.Orig
}

// Seen tells whether an answer has been seen.
func (c *Conn) Seen() bool { return c.seen.Load() }

// Confirmed tells whether the connection is in the table.
func (c *Conn) Confirmed() bool { return c.confirmed.Load() }

// Table holds connections.
type Table struct {
	buckets []atomic.Pointer[node]
	locks   [64]sync.Mutex
	mask    uint64
	key     uint64
	most    int64
	count   atomic.Int64
	swept   int

	// Full counts connections that were refused because the table was full, Evicted those
	// that made place for another one.
	Full, Evicted atomic.Uint64
}

// NewTable makes a table for at most n connections.
func NewTable(n int) *Table {
	n = max(n, 64)
	size := 1 << bits.Len(uint(n-1))
	return &Table{buckets: make([]atomic.Pointer[node], size), mask: uint64(size - 1), key: rand.Uint64() | 1, most: int64(n)}
}

// Len is how many connections there are.
func (t *Table) Len() int { return int(t.count.Load()) }

func (t *Table) hash(k *Tuple) uint64 {
	a, b := k.Src.As16(), k.Dst.As16()
	h := t.key
	mix := func(v uint64) {
		hi, lo := bits.Mul64(h^v, 0x9e3779b97f4a7c15)
		h = hi ^ lo ^ t.key
	}
	mix(binary.LittleEndian.Uint64(a[:]) ^ bits.RotateLeft64(binary.LittleEndian.Uint64(b[:]), 17))
	mix(binary.LittleEndian.Uint64(a[8:]))
	mix(binary.LittleEndian.Uint64(b[8:]))
	mix(uint64(k.SrcPort)<<48 | uint64(k.DstPort)<<32 | uint64(k.Protocol)<<8 | uint64(k.Kind))
	return h >> 7 & t.mask
}

// find looks a tuple up.
func (t *Table) find(k *Tuple, now int64) *node {
	for n := t.buckets[t.hash(k)].Load(); n != nil; n = n.next.Load() {
		if *n.tuple() == *k && !n.conn.dead.Load() {
			if n.conn.deadline.Load() < now {
				t.remove(n.conn)
				return nil
			}
			return n
		}
	}
	return nil
}

// taken tells whether a tuple is some connection's.
func (t *Table) taken(k *Tuple, now int64) bool { return t.find(k, now) != nil }

// Confirm puts a new connection into the table; now is in nanoseconds. It reports
// false if the table is full of others that stand, or another packet has taken the same
// tuple.
func (t *Table) Confirm(c *Conn, now int64) bool {
	if c.confirmed.Load() {
		return true
	}
	a, b := t.hash(&c.Orig), t.hash(&c.Reply)
	if t.count.Add(1) > t.most && !t.evict(a) {
		t.count.Add(-1)
		t.Full.Add(1)
		return false
	}
	unlock := t.lock(a, b)
	defer unlock()
	if t.held(a, &c.Orig, now) || t.held(b, &c.Reply, now) {
		t.count.Add(-1)
		return false
	}
	c.nodes[0].conn, c.nodes[1].conn, c.nodes[1].reply = c, c, true
	c.confirmed.Store(true)
	for i, at := range []uint64{a, b} {
		n := &c.nodes[i]
		n.next.Store(t.buckets[at].Load())
		t.buckets[at].Store(n)
	}
	return true
}

// evictRange is in how many buckets evict looks.
const evictRange = 64

// evict takes out a connection that doesn't stand, if there is one in or behind a bucket:
// else first packets that nobody answers would keep all others out.
func (t *Table) evict(at uint64) bool {
	for i := range uint64(min(len(t.buckets), evictRange)) {
		for n := t.buckets[(at+i)&t.mask].Load(); n != nil; n = n.next.Load() {
			if !n.conn.stands() && t.remove(n.conn) {
				t.Evicted.Add(1)
				return true
			}
		}
	}
	return false
}

// held is taken, with the bucket locked.
func (t *Table) held(at uint64, k *Tuple, now int64) bool {
	for n := t.buckets[at].Load(); n != nil; n = n.next.Load() {
		if *n.tuple() == *k && !n.conn.dead.Load() && n.conn.deadline.Load() >= now {
			return true
		}
	}
	return false
}

// lock locks the buckets a and b.
func (t *Table) lock(a, b uint64) (unlock func()) {
	x, y := &t.locks[min(a%64, b%64)], &t.locks[max(a%64, b%64)]
	x.Lock()
	if x == y {
		return x.Unlock
	}
	y.Lock()
	return func() { y.Unlock(); x.Unlock() }
}

// remove takes a connection out, and reports false if somebody else has. Readers that are
// on one of its nodes go on from there.
func (t *Table) remove(c *Conn) bool {
	a, b := t.hash(&c.Orig), t.hash(&c.Reply)
	unlock := t.lock(a, b)
	defer unlock()
	if c.dead.Swap(true) {
		return false
	}
	t.count.Add(-1)
	for i, at := range []uint64{a, b} {
		t.unlink(at, &c.nodes[i])
	}
	return true
}

func (t *Table) unlink(at uint64, n *node) {
	link := &t.buckets[at]
	for m := link.Load(); m != nil; m = link.Load() {
		if m == n {
			link.Store(n.next.Load())
			return
		}
		link = &m.next
	}
}

// Sweep removes what has timed out in an eighth of the table.
func (t *Table) Sweep(now int64) {
	n := len(t.buckets) / 8
	for range n {
		t.swept = (t.swept + 1) & int(t.mask)
		for m := t.buckets[t.swept].Load(); m != nil; m = m.next.Load() {
			if m.conn.deadline.Load() < now {
				t.remove(m.conn)
			}
		}
	}
}

// Each calls f for each connection until it returns false.
func (t *Table) Each(f func(c *Conn) bool) {
	for i := range t.buckets {
		for m := t.buckets[i].Load(); m != nil; m = m.next.Load() {
			if !m.reply && !f(m.conn) {
				return
			}
		}
	}
}

// Packets are how many came from the side that began, and from the other.
func (c *Conn) Packets() (orig, reply uint64) { return c.packets[0].Load(), c.packets[1].Load() }
