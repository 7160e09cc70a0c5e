package inet

import "sync"

const (
	// timeWaitLength is how long a tuple rests, in nanoseconds (Linux's 60 s).
	timeWaitLength = 60e9
	// maxTimeWaits bounds how many rest; the oldest give way.
	maxTimeWaits = 4096
)

// timeWait is what is left of a connection in TIME-WAIT.
type timeWait struct {
	name       tuple
	hash       uint32
	oif        int
	sndNxt     uint32
	rcvNxt     uint32
	recent     uint32 // TS.Recent
	stampBase  uint32
	stamps     bool
	gone       bool // guarded by timeWaitQueue.mu: no longer in the table
	expires    int64
	quietUntil int64 // guarded by timeWaitQueue.mu
}

// timeWaitQueue holds all connections in TIME-WAIT, the oldest first: all rest equally long.
type timeWaitQueue struct {
	s *Stack

	mu    sync.Mutex
	queue []*timeWait
	head  int
	timer timer
}

func (t *timeWaitQueue) init(s *Stack) { t.s = s }

// toTimeWait ends the connection; its tuple rests. Called with mu held.
func (c *tcpEndpoint) toTimeWait(b *batch) {
	name := c.tuple()
	w := &timeWait{
		name: name, hash: c.s.flowHash(&name), oif: c.oif,
		sndNxt: c.sndNxt, rcvNxt: c.rcvNxt,
		recent: c.recent, stampBase: c.stampBase, stamps: c.stamps,
		expires: b.now + timeWaitLength,
	}
	if c.hooked {
		c.hooked = false
		c.s.tcp.replace(c, w)
		c.s.timeWaits.add(w)
	}
	c.detach()
	c.wake(c.readiness())
}

// add begins w's rest.
func (t *timeWaitQueue) add(w *timeWait) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queue)-t.head >= maxTimeWaits {
		t.dropFirst()
	}
	t.queue = append(t.queue, w)
	t.s.timers.arm(&t.timer, t, w.expires)
}

// dropFirst ends the oldest's rest. Called with mu held.
func (t *timeWaitQueue) dropFirst() {
	w := t.queue[t.head]
	t.queue[t.head] = nil
	t.head++
	if t.head > len(t.queue)/2 {
		n := copy(t.queue, t.queue[t.head:])
		clear(t.queue[n:])
		t.queue, t.head = t.queue[:n], 0
	}
	t.forget(w)
}

// forget makes the tuple free again. Called with mu held.
func (t *timeWaitQueue) forget(w *timeWait) {
	if !w.gone {
		w.gone = true
		t.s.tcp.removeWait(w, w.hash)
	}
}

// expire implements expirer. Rests are ended in bunches, a second late at most.
func (t *timeWaitQueue) expire(b *batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timer.at = 0
	for t.head < len(t.queue) && t.queue[t.head].expires <= b.now {
		t.dropFirst()
	}
	if t.head < len(t.queue) {
		t.s.timers.arm(&t.timer, t, max(t.queue[t.head].expires, b.now+1e9))
	}
}

// input takes a segment for a tuple that rests (RFC 9293, section 3.10.7.4; RFC 6191). It
// reports true if the segment begins a new connection, for which the tuple is free now.
func (t *timeWaitQueue) input(p *packet, g *segment, n *tcpNode) bool {
	w := n.tw
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.gone {
		return true
	}
	fresh := before(w.rcvNxt, g.seq) || w.stamps && g.stamped && before(w.recent, g.stamp)
	switch {
	case g.flags&flagRST != 0:
		// Ignored, so that nobody cuts the rest short (RFC 1337).
		return false
	case g.flags&flagSYN != 0 && g.flags&flagACK == 0 && fresh:
		t.forget(w)
		return true
	case g.flags&flagACK == 0:
		return false
	}
	// An old duplicate, or the FIN once more: acknowledge again.
	if g.length == 0 && g.flags&(flagFIN|flagSYN) == 0 {
		if g.seq == w.rcvNxt || p.b.now < w.quietUntil {
			return false
		}
		w.quietUntil = p.b.now + 500e6
	}
	w.acknowledge(p.b)
	return false
}

// acknowledge sends the last acknowledgement once more.
func (w *timeWait) acknowledge(b *batch) {
	k := control{tuple: w.name, oif: w.oif, seq: w.sndNxt, ack: w.rcvNxt, flags: flagACK}
	var o [stampLen]byte
	if w.stamps {
		put32(o[:], stampWord)
		put32(o[4:], w.stampBase+uint32(b.now/1e6))
		put32(o[8:], w.recent)
		k.options = o[:]
	}
	b.s.sendControl(b, &k)
}
