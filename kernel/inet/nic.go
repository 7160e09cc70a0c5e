package inet

import (
	"sync"
	"sync/atomic"
	"time"

	"pith/kernel/link"
	"pith/kernel/socket"
)

// nic is one network interface.
type nic struct {
	s        *Stack
	index    int // from 1
	name     string
	dev      link.Device
	mac      hardwareAddr
	mtu      atomic.Int32 // of IP packets, in bytes
	mtu6     atomic.Int32 // what routers advertise for IPv6, at most mtu
	features link.Features
	loopback bool
	queues   []*queue

	neighbors neighborTable
	groups    groupTable
	dhcp      *dhcpClient // nil without
	slaac     *slaac      // nil on the loopback
}

// queue is one queue pair of a nic's device.
type queue struct {
	nic   *nic
	index int
	bit   uint64 // in batch.dirty

	// While active is set the receive goroutine is at work since the given time, and
	// will flush; see flush.
	active atomic.Bool
	since  atomic.Int64

	// relief gets a token when a program has made room in a queue that was full.
	relief chan struct{}

	// Of the receive goroutine alone:
	crowded int // packets of this batch that met a full queue with a busy reader
	nap     *time.Timer
	batch   batch
	packet  packet
	deliver func(*link.Buffer, link.Offload)
}

const (
	// pollBudget is how many frames one batch takes from the ring.
	pollBudget = 64
	// flushPatience is how long a sender relies on the receive goroutine to flush,
	// in nanoseconds.
	flushPatience = 100e3
	// maxNap is how long the receive goroutine waits at most for programs to catch up, in
	// nanoseconds.
	maxNap = 1e6
	// queueBits is how many queues batch.dirty can tell apart; the loopback has
	// the 64th bit. Queues that share a bit are flushed together.
	queueBits = 63
)

func newNIC(s *Stack, name string, dev link.Device) *nic {
	n := &nic{s: s, name: name, dev: dev, features: dev.Features()}
	hw := dev.HardwareAddr()
	n.mac = getMAC(hw[:])
	n.mtu.Store(int32(dev.MTU()))
	n.mtu6.Store(int32(dev.MTU()))
	n.neighbors.init(n)
	for i := range dev.Queues() {
		q := &queue{nic: n, index: i, bit: 1 << (s.queueCount.Add(1) % queueBits)}
		q.batch = batch{s: s, acks: make([]*tcpEndpoint, 0, pollBudget)}
		q.deliver = q.input
		q.relief = make(chan struct{}, 1)
		n.queues = append(n.queues, q)
	}
	return n
}

// configure adds the static addresses and routes. Called within Stack.update.
func (n *nic) configure(c *config, conf socket.InterfaceConfig) {
	for _, p := range conf.Addrs {
		c.addAddress(n, fromPrefix(p), fromStatic)
	}
	for _, g := range conf.Gateways {
		c.addDefault(n, fromNetip(g.WithZone("")), fromStatic)
	}
	for _, r := range conf.Routes {
		c.addRoute(routeEntry{dst: fromPrefix(r.Destination), gateway: fromNetip(r.Gateway.WithZone("")), nic: n})
	}
	c.setNameservers(n, fromStatic, conf.Nameservers)
}

// begin starts what runs over the wire: automatic configuration.
func (n *nic) begin(conf socket.InterfaceConfig) {
	n.slaac = newSLAAC(n, conf.SLAAC)
	n.slaac.start()
	n.announce()
	if conf.DHCP {
		n.dhcp = newDHCP(n)
		n.dhcp.start()
	}
}

// queueFor spreads flows over the queues.
func (n *nic) queueFor(hash uint32) *queue {
	if len(n.queues) == 1 {
		return n.queues[0]
	}
	return n.queues[hash%uint32(len(n.queues))]
}

// run is a queue's receive goroutine.
func (q *queue) run() {
	dev := q.nic.dev
	for !q.nic.s.closed.Load() {
		switch n := q.poll(); {
		case n == 0:
			dev.Wait(q.index)
		case q.crowded > n/2:
			q.rest()
		}
	}
}

// rest leaves the CPU to programs that can't keep up. Meanwhile the device drops
// what is too much, which costs us nothing; to take it and drop it here would cost
// the programs their time.
func (q *queue) rest() {
	if q.nap == nil {
		q.nap = time.NewTimer(maxNap)
	} else {
		q.nap.Reset(maxNap)
	}
	select {
	case <-q.relief:
		q.nap.Stop()
	case <-q.nap.C:
	}
}

// relieve ends a rest.
func (q *queue) relieve() {
	select {
	case q.relief <- struct{}{}:
	default:
	}
}

// poll serves one batch and reports how many frames it had.
func (q *queue) poll() int {
	b := &q.batch
	q.crowded = 0
	b.now = b.s.conf.Now()
	q.since.Store(b.now)
	q.active.Store(true)
	n := q.nic.dev.Poll(q.index, pollBudget, q.deliver)
	b.acknowledge()
	// A sender that saw active has put its frame on the ring before, so the
	// flush that follows covers it.
	q.active.Store(false)
	b.dirty |= q.bit
	b.flush()
	return n
}

// flush tells the device about new frames, or leaves it to the receive goroutine if
// that is about to do it anyway.
func (q *queue) flush(now int64) {
	if q.active.Load() && now-q.since.Load() < flushPatience {
		return
	}
	q.nic.dev.Flush(q.index)
}

// transmit hands one frame, from the Ethernet header on, to the device. It
// reports false if the ring was full; the frame is gone in any case.
func (q *queue) transmit(b *batch, f *link.Buffer, o link.Offload) bool {
	b.dirty |= q.bit
	if q.nic.dev.Transmit(q.index, f, o) {
		return true
	}
	b.s.stats.RingFull.Add(1)
	return false
}

// batch is the work of one call: a burst of received frames, a program's call, or
// expired timers. It is passed along by pointer and never kept.
type batch struct {
	s     *Stack
	now   int64          // the clock at the beginning, in nanoseconds
	dirty uint64         // queues with frames that the device hasn't been told about
	acks  []*tcpEndpoint // acknowledgements that wait for the burst's end; cap 0 outside of bursts
}

// flush tells devices about frames. The caller holds no lock.
func (b *batch) flush() {
	for b.dirty != 0 {
		dirty := b.dirty
		b.dirty = 0
		for _, n := range b.s.snapshot.Load().nics {
			if n.loopback {
				continue
			}
			for _, q := range n.queues {
				if dirty&q.bit != 0 {
					q.flush(b.now)
				}
			}
		}
		if dirty&loopbackBit != 0 {
			b.s.lo.drain()
		}
	}
}

// acknowledge sends the acknowledgements that the burst left due.
func (b *batch) acknowledge() {
	for i, c := range b.acks {
		b.acks[i] = nil
		c.flushAck(b)
	}
	b.acks = b.acks[:0]
}

// groupTable counts the multicast groups that sockets joined.
type groupTable struct {
	mu     sync.Mutex
	counts map[address]int
	joined atomic.Pointer[map[address]bool] // for look-ups without lock
}

// join adds one membership and reports whether it is the group's first.
func (t *groupTable) join(g address) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = make(map[address]int)
	}
	t.counts[g]++
	t.publish()
	return t.counts[g] == 1
}

// leave takes one membership back and reports whether it was the group's last.
func (t *groupTable) leave(g address) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts[g] == 0 {
		return false
	}
	t.counts[g]--
	last := t.counts[g] == 0
	if last {
		delete(t.counts, g)
	}
	t.publish()
	return last
}

// publish makes the look-up copy. Called with mu held.
func (t *groupTable) publish() {
	set := make(map[address]bool, len(t.counts))
	for g := range t.counts {
		set[g] = true
	}
	t.joined.Store(&set)
}

func (t *groupTable) has(g address) bool {
	set := t.joined.Load()
	return set != nil && (*set)[g]
}
