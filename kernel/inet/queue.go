package inet

import (
	"runtime"
	"sync/atomic"
	"time"

	"pith/kernel/link"
)

const (
	// pollBudget is how many frames one batch takes from the ring.
	pollBudget = 64
	// maxNap is how long the receive goroutine waits at most for programs to catch up, in
	// nanoseconds.
	maxNap = 1e6
	// flushPatience is how long a sender relies on the receive goroutine to flush,
	// in nanoseconds.
	flushPatience = 100e3
	// To tell the device of frames costs an exit of the virtual machine, 2 µs or
	// (emulated, on a busy host) 30 µs, more than all else that is done for a small
	// packet. So frames that follow each other closely share one: senders spend
	// at most one part in flushShare of the time on it. flushMin and flushMax bound the
	// interval that follows, in nanoseconds.
	flushShare = 16
	flushMin   = 20e3
	flushMax   = 500e3
	// queueBits is how many queues batch.dirty can tell apart; the loopback has
	// the 64th bit. Queues that share a bit are flushed together.
	queueBits = 63
)

// queue is one queue pair of a nic's device.
type queue struct {
	nic   *nic
	index int
	bit   uint64 // in batch.dirty

	// While active is set the receive goroutine is at work since the given time, and
	// will flush; see flush.
	active atomic.Bool
	since  atomic.Int64

	// flushed is when a sender last told the device, interval how long the next is to
	// wait; pending is since when one has left that to the flusher, or 0.
	flushed  atomic.Int64
	interval atomic.Int64
	pending  atomic.Int64
	wake     chan struct{} // a token for the flusher

	// relief gets a token when a program has made room in a queue that was full.
	relief chan struct{}

	// Of the receive goroutine alone:
	crowded int // packets of this batch that met a full queue with a busy reader
	nap     *time.Timer
	batch   batch
	packet  packet
	deliver func(*link.Buffer, link.Offload)
}

func newQueue(n *nic, index int) *queue {
	q := &queue{
		nic: n, index: index, bit: 1 << (n.s.queueCount.Add(1) % queueBits),
		wake: make(chan struct{}, 1), relief: make(chan struct{}, 1),
		batch: batch{s: n.s, acks: make([]*tcpEndpoint, 0, pollBudget)},
	}
	q.deliver = q.input
	return q
}

// run is a queue's receive goroutine.
func (q *queue) run() {
	for !q.nic.s.closed.Load() {
		switch n := q.poll(); {
		case n == 0:
			q.nic.dev.Wait(q.index)
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
func (q *queue) relieve() { token(q.relief) }

// token puts a token into a channel that holds one.
func token(c chan struct{}) {
	select {
	case c <- struct{}{}:
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
	q.nic.dev.Flush(q.index)
	b.dirty &^= q.bit
	b.flush()
	return n
}

// flush sees to it that the device hears of new frames soon: at once, if it wasn't told
// of any for a while; else at the end of the receive goroutine's batch, if one is under
// way; else when the programs that can run now have run.
func (q *queue) flush(now int64) {
	if q.active.Load() && now-q.since.Load() < flushPatience {
		return
	}
	interval := q.interval.Load()
	if now-q.flushed.Load() >= interval {
		q.kick()
		return
	}
	// Whoever finds pending set has put his frame on the ring before, and the
	// flusher clears it before it flushes.
	switch first := q.pending.Load(); {
	case first != 0 && now-first >= interval:
		q.kick()
	case first == 0 && q.pending.CompareAndSwap(0, now):
		token(q.wake)
	}
}

// kick tells the device, and learns what that costs.
func (q *queue) kick() {
	clock := q.nic.s.conf.Now
	q.pending.Store(0)
	before := clock()
	q.nic.dev.Flush(q.index)
	after := clock()
	q.flushed.Store(after)
	old := q.interval.Load()
	fresh := min((after-before)*flushShare, flushMax) // a pre-emption is not what it costs
	q.interval.Store(max(old+(fresh-old)/8, flushMin))
}

// flusher is the goroutine that flushes for senders. It lets the others go first
// that can run now: they may have something to send, too.
func (q *queue) flusher() {
	for range q.wake {
		if q.nic.s.closed.Load() {
			return
		}
		if q.pending.Load() == 0 {
			continue
		}
		runtime.Gosched()
		if q.pending.Load() != 0 {
			q.kick()
		}
	}
}

// transmit hands one frame, from the Ethernet header on, to the device. It
// reports false if the ring was full; the frame is gone in any case.
func (q *queue) transmit(b *batch, f *link.Buffer, o link.Offload) bool {
	b.dirty |= q.bit
	if q.nic.dev.Transmit(q.index, f, o) {
		return true
	}
	b.s.stats.RingFull.Add(1)
	q.nic.dev.Flush(q.index)
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
