package inet

import (
	"sync"
	"sync/atomic"
	"syscall"

	"pith/kernel/link"
)

// Neighbour resolution, the part that ARP (RFC 826) and NDP (RFC 4861, section 7.3)
// share.
const (
	// reachableTime is how long a neighbour is believed after it was last heard
	// of, in nanoseconds (RFC 4861: REACHABLE_TIME).
	reachableTime = 30e9
	// solicitInterval is the time between questions (RFC 4861: RETRANS_TIMER).
	solicitInterval = 1e9
	// maxSolicits is how many questions go without an answer (MAX_MULTICAST_SOLICIT).
	maxSolicits = 3
	// maxWaiting is how many frames wait for one neighbour's address.
	maxWaiting = 32
	// maxNeighborFrames is how many wait on one interface in all: they are its card's Buffers.
	maxNeighborFrames = 512
	// maxNeighbors bounds one interface's table.
	maxNeighbors = 1024
)

// neighborTable is one interface's ARP and NDP cache.
type neighborTable struct {
	nic     *nic
	waiting atomic.Int32 // frames, of all entries

	mu      sync.Mutex
	entries map[address]*neighbor
}

func (t *neighborTable) init(n *nic) {
	t.nic = n
	t.entries = make(map[address]*neighbor)
}

// neighbor is one machine on the link. Routes keep pointers to it.
type neighbor struct {
	nic  *nic
	addr address

	mac       atomic.Uint64 // known | Ethernet address, or 0
	confirmed atomic.Int64  // when it was last known to be there
	suspect   atomic.Bool   // being asked, though mac is known
	gone      atomic.Bool   // no longer in the table: answers don't reach it

	mu      sync.Mutex
	asking  bool
	tries   int
	next    int64 // when to ask again or give up
	waiting []waiting
	timer   timer
}

// known marks a neighbor's mac as valid.
const known = 1 << 48

// waiting is a frame that lacks its destination's Ethernet address.
type waiting struct {
	frame   *link.Buffer
	offload link.Offload
	queue   *queue
}

// get finds or makes an entry.
func (t *neighborTable) get(a address) *neighbor {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.entries[a]; e != nil {
		return e
	}
	if len(t.entries) >= maxNeighbors {
		t.evict()
	}
	e := &neighbor{nic: t.nic, addr: a}
	t.entries[a] = e
	return e
}

// evict drops some unresolved entry, or else any. Routes that use it look for another
// one (route.current). Called with mu held.
func (t *neighborTable) evict() {
	var victim address
	for a, e := range t.entries {
		victim = a
		if e.mac.Load() == 0 {
			break
		}
	}
	t.entries[victim].gone.Store(true)
	delete(t.entries, victim)
}

// find gives the entry, or nil.
func (t *neighborTable) find(a address) *neighbor {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.entries[a]
}

// send puts the Ethernet address into a frame and transmits it, or keeps it until
// the address is known. It reports false if the ring was full.
func (e *neighbor) send(b *batch, q *queue, f *link.Buffer, o link.Offload) bool {
	mac := e.mac.Load()
	if mac == 0 {
		e.resolve(b, waiting{f, o, q})
		return true
	}
	if b.now-e.confirmed.Load() > reachableTime && e.suspect.CompareAndSwap(false, true) {
		e.probe(b)
	}
	hardwareAddr(mac &^ known).put(f.Data[f.Off:])
	return q.transmit(b, f, o)
}

// confirm takes in that the neighbour has been heard of by a higher protocol.
func (e *neighbor) confirm(now int64) {
	if now-e.confirmed.Load() > reachableTime/4 && e.mac.Load() != 0 {
		e.confirmed.Store(now)
	}
}

// resolve keeps a frame and asks for the address.
func (e *neighbor) resolve(b *batch, w waiting) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if mac := e.mac.Load(); mac != 0 {
		hardwareAddr(mac &^ known).put(w.frame.Data[w.frame.Off:])
		w.queue.transmit(b, w.frame, w.offload)
		return
	}
	e.keep(w)
	e.ask(b)
}

// keep lets a frame wait. Where too many do, the oldest of this neighbour's gives way, or
// the new one. Called with mu held.
func (e *neighbor) keep(w waiting) {
	held := &e.nic.neighbors.waiting
	switch {
	case len(e.waiting) == maxWaiting:
		e.waiting[0].frame.Free()
		copy(e.waiting, e.waiting[1:])
		e.waiting[maxWaiting-1] = w
	case held.Add(1) > maxNeighborFrames:
		held.Add(-1)
		w.frame.Free()
	default:
		e.waiting = append(e.waiting, w)
	}
}

// release gives the frames that waited. Called with mu held.
func (e *neighbor) release() []waiting {
	list := e.waiting
	e.waiting = nil
	e.nic.neighbors.waiting.Add(-int32(len(list)))
	return list
}

// probe asks whether a neighbour is still there.
func (e *neighbor) probe(b *batch) {
	e.mu.Lock()
	e.ask(b)
	e.mu.Unlock()
}

// ask begins to ask, if it hasn't begun. Called with mu held.
func (e *neighbor) ask(b *batch) {
	if e.asking {
		return
	}
	e.asking = true
	e.tries = 0
	e.solicit(b)
}

// solicit sends one question: to the known address, or to all. Called with mu held.
func (e *neighbor) solicit(b *batch) {
	e.tries++
	e.next = b.now + solicitInterval
	b.s.timers.arm(&e.timer, e, e.next)
	to := hardwareAddr(e.mac.Load() &^ known)
	if e.addr.is4() {
		e.nic.askARP(b, e.addr, to)
	} else {
		e.nic.askNDP(b, e.addr, to)
	}
}

// expire implements expirer.
func (e *neighbor) expire(b *batch) {
	e.mu.Lock()
	e.timer.at = 0
	if !e.asking {
		e.mu.Unlock()
		return
	}
	if b.now < e.next {
		b.s.timers.arm(&e.timer, e, e.next)
		e.mu.Unlock()
		return
	}
	if e.tries < maxSolicits {
		e.solicit(b)
		e.mu.Unlock()
		return
	}
	failed := e.release()
	e.asking = false
	e.mac.Store(0)
	e.suspect.Store(false)
	e.mu.Unlock()
	for _, w := range failed {
		b.s.unreachable(b, w.frame, syscall.EHOSTUNREACH)
		w.frame.Free()
	}
}

// resolved takes in a neighbour's Ethernet address and sends what waited for it.
func (e *neighbor) resolved(b *batch, mac hardwareAddr) {
	e.mu.Lock()
	e.confirmed.Store(b.now)
	e.mac.Store(known | uint64(mac))
	e.suspect.Store(false)
	e.asking = false
	list := e.release()
	e.mu.Unlock()
	for _, w := range list {
		mac.put(w.frame.Data[w.frame.Off:])
		w.queue.transmit(b, w.frame, w.offload)
	}
}
