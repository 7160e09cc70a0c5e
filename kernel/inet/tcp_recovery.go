package inet

// Loss detection and repair: SACK-based (RFC 6675) and, without SACK, NewReno (RFC
// 6582); after a time-out both go through the same steps (RFC 5681, section 3.1), and
// a time-out that time stamps show to be spurious is undone (RFC 4015).

// repairMode is what the sender is mending.
type repairMode uint8

const (
	repairNone repairMode = iota
	repairFast            // after duplicate acknowledgements
	repairLoss            // after a time-out: all that isn't SACKed counts as lost
)

const (
	// dupThreshold is how many segments must arrive behind a missing one before it
	// counts as lost. It doubles up to maxThreshold where that was wrong because the
	// network reorders.
	dupThreshold = 3
	maxThreshold = 96
	// maxSacked bounds the ranges that a peer can make us remember.
	maxSacked = 256
)

type recovery struct {
	sacked      []span // what the peer has beyond sndUna, sorted
	sackedBytes int
	dupAcks     int
	threshold   int // see dupThreshold
	mode        repairMode
	recoverSeq  uint32 // acknowledged, it ends the repair
	highRxt     uint32 // everything lost before it has been sent again

	undoStamp  uint32 // time stamp of the first retransmission, or 0
	undoCwnd   int
	undoThresh int

	retries    int   // time-outs in a row
	progressAt int64 // when the peer last acknowledged something new
	probed     bool  // a tail-loss probe is out since then
}

func (r *recovery) recovering() bool { return r.mode != repairNone }

// noteSack takes in a segment's SACK blocks and reports how many bytes they add.
func (c *tcpEndpoint) noteSack(g *segment) (added int) {
	for _, s := range g.sack[:g.sackCount] {
		if !before(s.start, s.end) || before(s.start, c.sndUna) || before(c.sndNxt, s.end) {
			continue // nonsense, old, or a report of a duplicate (RFC 2883)
		}
		added += c.addSacked(s)
	}
	return added
}

// addSacked merges one range into the board and reports how many bytes are new.
func (r *recovery) addSacked(s span) int {
	i := 0
	for i < len(r.sacked) && before(r.sacked[i].end, s.start) {
		i++
	}
	j, old := i, 0
	for j < len(r.sacked) && !before(s.end, r.sacked[j].start) {
		old += r.sacked[j].len()
		s.start = earlier(s.start, r.sacked[j].start)
		s.end = later(s.end, r.sacked[j].end)
		j++
	}
	if i == j {
		if len(r.sacked) == maxSacked {
			return 0
		}
		r.sacked = append(r.sacked, span{})
		copy(r.sacked[i+1:], r.sacked[i:])
	} else {
		r.sacked = append(r.sacked[:i+1], r.sacked[j:]...)
	}
	r.sacked[i] = s
	r.sackedBytes += s.len() - old
	return s.len() - old
}

// pruneSacked forgets ranges below una.
func (r *recovery) pruneSacked(una uint32) {
	i := 0
	for ; i < len(r.sacked) && before(r.sacked[i].start, una); i++ {
		s := &r.sacked[i]
		if before(una, s.end) {
			r.sackedBytes -= int(una - s.start)
			s.start = una
			break
		}
		r.sackedBytes -= s.len()
	}
	r.sacked = append(r.sacked[:0], r.sacked[i:]...)
}

// lostEdge is the sequence number below which everything not SACKed counts as
// lost (RFC 6675, section 4: IsLost).
func (c *tcpEndpoint) lostEdge() uint32 {
	switch {
	case c.mode == repairLoss:
		return c.recoverSeq
	case len(c.sacked) == 0:
		if c.mode == repairFast {
			return earlier(c.sndUna+uint32(c.mss), c.sndNxt)
		}
		return c.sndUna
	}
	edge := c.sndUna
	if c.mode == repairFast {
		edge = earlier(c.sndUna+uint32(c.mss), c.sacked[0].start)
	}
	bytes := 0
	for i := len(c.sacked) - 1; i >= 0; i-- {
		bytes += c.sacked[i].len()
		if bytes > (c.threshold-1)*c.mss || len(c.sacked)-i >= c.threshold {
			return later(edge, c.sacked[i].start)
		}
	}
	return edge
}

// unsacked counts the bytes in [from, to) that the peer lacks.
func (r *recovery) unsacked(from, to uint32) int {
	if !before(from, to) {
		return 0
	}
	n := int(to - from)
	for _, s := range r.sacked {
		start, end := later(s.start, from), earlier(s.end, to)
		if before(start, end) {
			n -= int(end - start)
		}
	}
	return n
}

// pipe estimates the bytes that are in the network (RFC 6675, section 4: SetPipe).
func (c *tcpEndpoint) pipe() int {
	n := c.inFlight() - c.sackedBytes
	if c.mode == repairNone && c.sackedBytes == 0 {
		return n
	}
	n -= c.unsacked(later(c.sndUna, c.highRxt), c.lostEdge())
	if !c.sackOK {
		n -= c.dupAcks * c.mss
	}
	return max(n, 0)
}

// nextLost finds the next range to send again: at most a segment.
func (c *tcpEndpoint) nextLost() (seq uint32, n int) {
	seq = later(c.highRxt, c.sndUna)
	edge := c.lostEdge()
	for _, s := range c.sacked {
		if before(seq, s.start) {
			edge = earlier(edge, s.start)
			break
		}
		seq = later(seq, s.end)
	}
	if !before(seq, edge) {
		return seq, 0
	}
	return seq, min(int(edge-seq), c.mss)
}

// detectLoss begins a fast repair if the peer's reports say that something is
// missing. Called after the board was updated, with mu held.
func (c *tcpEndpoint) detectLoss(b *batch) {
	if c.mode != repairNone || c.inFlight() == 0 {
		return
	}
	lost := c.dupAcks >= c.threshold && !c.sackOK || len(c.sacked) > 0 && c.lostEdge() != c.sndUna
	if !lost {
		return
	}
	c.rememberForUndo()
	c.shrink(c.inFlight(), c.mss)
	c.cwnd = c.ssthresh
	c.mode = repairFast
	c.recoverSeq = c.sndNxt
	c.highRxt = c.sndUna
	// The first is sent whatever the pipe holds (RFC 6675, section 5, step 4.3).
	if seq, n := c.nextLost(); n > 0 && c.ready(b) {
		c.retransmit(b, seq, n)
	}
}

func (c *tcpEndpoint) rememberForUndo() {
	c.undoStamp = 0
	c.undoCwnd, c.undoThresh = c.cwnd, c.ssthresh
}

// advanceRepair takes in that sndUna moved while something was being mended.
func (c *tcpEndpoint) advanceRepair(g *segment, now int64) {
	if c.mode == repairNone {
		return
	}
	if c.undoStamp != 0 && c.stamps && g.stamped && before(g.echo, c.undoStamp&^1) {
		c.undo()
		return
	}
	if !before(c.sndUna, c.recoverSeq) {
		c.endRepair()
		return
	}
	c.highRxt = later(c.highRxt, c.sndUna)
	if c.mode == repairFast && !c.sackOK {
		c.dupAcks = max(c.dupAcks-1, 0)
	}
}

// endRepair goes back to normal.
func (c *tcpEndpoint) endRepair() {
	if c.mode == repairFast {
		c.cwnd = max(c.ssthresh, 2*c.mss)
	}
	c.mode = repairNone
	c.undoStamp = 0
	c.dupAcks = 0
}

// undo takes back what a spurious repair did to the congestion window.
func (c *tcpEndpoint) undo() {
	if c.mode == repairFast {
		c.threshold = min(2*c.threshold, maxThreshold)
	}
	c.s.stats.SpuriousRepairs.Add(1)
	c.cwnd = max(c.cwnd, c.undoCwnd)
	c.ssthresh = max(c.ssthresh, c.undoThresh)
	c.mode = repairNone
	c.undoStamp = 0
	c.dupAcks = 0
}

// timeOut takes in that the retransmission timer ran out: everything that the
// peer didn't report counts as lost.
func (c *tcpEndpoint) timeOut(b *batch) {
	c.s.stats.Timeouts.Add(1)
	if c.retries == 0 {
		c.rememberForUndo()
		c.shrink(c.inFlight(), c.mss)
	}
	c.retries++
	c.backoff++
	c.cwnd = c.mss
	c.mode = repairLoss
	c.recoverSeq = c.sndNxt
	c.highRxt = c.sndUna
	c.dupAcks = 0
	if c.retries > 1 {
		// The peer may have dropped what it once reported (RFC 2018, section 8).
		c.sacked = c.sacked[:0]
		c.sackedBytes = 0
	}
	c.sampling = false
}
