package inet

import (
	"sync"
	"sync/atomic"
	"syscall"

	"pith/kernel/link"
	"pith/kernel/socket"
)

// TCP (RFC 9293). This file has the connection's state; the others of its name
// have one task each: tcp_input, tcp_output, tcp_recovery, tcp_cubic, ...

// tcpState is a state of RFC 9293, section 3.3.2. TIME-WAIT isn't among them: such a
// connection needs so little that it lives on as a timeWait.
type tcpState uint8

const (
	stateClosed tcpState = iota
	stateListen
	stateSynSent
	stateSynReceived
	stateEstablished
	stateFinWait1
	stateFinWait2
	stateCloseWait
	stateClosing
	stateLastAck
)

const (
	// defaultMSS is what a peer takes that names no MSS (RFC 9293, section 3.7.1).
	defaultMSS  = 536
	defaultMSS6 = 1220
	minMSS      = 88

	// initialBuffer is what a socket's buffers begin with, in bytes.
	initialBuffer = 64 << 10
	// minBuffer is the least that SO_RCVBUF and SO_SNDBUF set.
	minBuffer = 4 << 10

	initialRTO  = 1e9 // RFC 6298, section 2
	minRTO      = 200e6
	maxRTO      = 120e9
	minProbe    = 10e6 // the least tail-loss probe time-out (RFC 8985, section 7.2)
	delayedAck  = 40e6
	maxRetries  = 15
	synRetries  = 6
	orphanTries = 8
	// finTimeout is how long a closed socket waits in FIN-WAIT-2, as on Linux.
	finTimeout = 60e9
	// quickAcks is how many segments are acknowledged at once after a reader
	// turned out not to answer at once.
	quickAcks = 16
	// maxChallenges is how often a connection challenges its peer in challengeSpan.
	maxChallenges = 10
	challengeSpan = 5e9
)

// tcpEndpoint is one TCP socket: fresh, listening or connected.
type tcpEndpoint struct {
	base

	mu       sync.Mutex
	state    tcpState
	listener *listener // of a listening socket
	orphan   bool      // the program has closed it
	hooked   bool      // in the connection table
	timer    timer

	// Sending. All sequence numbers are as on the wire.
	iss       uint32
	sndUna    uint32 // the oldest not acknowledged
	sndNxt    uint32 // the next that was never sent
	sndWnd    uint32 // what the peer takes from sndUna on, in bytes
	sndWL1    uint32 // the segment that told so: its sequence number,
	sndWL2    uint32 // its acknowledgement
	maxWnd    uint32 // the largest that sndWnd has been
	sndScale  uint8
	mss       int // payload of a full segment, in bytes
	peerMSS   int
	out       sendBuffer // from sndUna on (SYN and FIN take no place in it)
	closing   bool       // no more data: FIN follows what is in out
	wantWrite bool       // a Send found no room
	noDelay   bool
	cork      bool
	template  template
	congestion
	recovery
	rtt

	// Receiving.
	rcvNxt     uint32 // the next expected
	rcvAdv     uint32 // the right edge that was advertised
	rcvScale   uint8
	in         receiveQueue
	later      []segmentRange // out of order, sorted
	recentSack uint32         // start of the range that grew last
	dsack      span           // a duplicate to report, or empty
	finSeen    bool           // the peer's FIN is behind rcvNxt
	readClosed bool           // SHUT_RD
	readBytes  int            // copied to the program since readSince, see autotune
	readSince  int64

	// Acknowledging.
	ackNow   bool // one is due at the end of the burst
	ackQueue bool // in batch.acks
	unacked  int  // bytes received since the last one
	pingPong bool // the program answers quickly: wait for its data
	quick    int  // segments to acknowledge at once

	// Options.
	sackOK     bool
	stamps     bool // RFC 7323 time stamps
	stampBase  uint32
	recent     uint32 // TS.Recent
	recentTime int64
	lastAckSeq uint32 // Last.ACK.sent

	// Deadlines, 0 where there is none.
	rtoAt      int64 // retransmission, probe or persist; timerKind says which
	timerKind  timerKind
	delackAt   int64
	keepAt     int64 // keep-alive, or the end of an orphan in FIN-WAIT-2
	keepProbes int
	lastHeard  int64

	quietUntil      int64 // no answer to empty segments out of order before
	challengesUntil int64 // see challenge
	challenges      int

	// bufferHint is receiveBuffer, for the listener's handshakes.
	bufferHint                atomic.Int32
	sendLocked, receiveLocked bool // the program chose the buffer's size
	synLimit                  int  // TCP_SYNCNT, 0 for the default

	keepIdle, keepInterval int64
	keepCount              int
	userTimeout            int64 // TCP_USER_TIMEOUT, 0 for the default
	softError              syscall.Errno
}

// timerKind is what rtoAt means.
type timerKind uint8

const (
	timerRetransmit timerKind = iota
	timerProbe                // tail-loss probe
	timerPersist              // zero window
	timerResource             // no Buffer or a full ring: try again
)

func newTCP(s *Stack, family int) *tcpEndpoint {
	c := &tcpEndpoint{}
	c.init(s, family, protoTCP)
	c.receiveBuffer = min(initialBuffer, s.conf.MaxReceiveBuffer)
	c.sendBuffer = min(initialBuffer, s.conf.MaxSendBuffer)
	c.bufferHint.Store(int32(c.receiveBuffer))
	c.keepIdle, c.keepInterval, c.keepCount = 7200e9, 75e9, 9
	c.rto = initialRTO
	c.pingPong = true
	c.threshold = dupThreshold
	return c
}

// tuple is a connection's name, as seen from here.
type tuple struct {
	local, remote address
	lport, rport  uint16
}

func (c *tcpEndpoint) tuple() tuple { return tuple{c.local, c.remote, c.lport, c.rport} }

// Sequence number arithmetic (RFC 9293, section 3.4).

func before(a, b uint32) bool { return int32(a-b) < 0 }

func later(a, b uint32) uint32 {
	if before(a, b) {
		return b
	}
	return a
}

func earlier(a, b uint32) uint32 {
	if before(a, b) {
		return a
	}
	return b
}

// span is a range of sequence numbers, end excluded.
type span struct{ start, end uint32 }

func (s span) len() int { return int(s.end - s.start) }

// connected reports whether the handshake is done and the connection not over.
func (c *tcpEndpoint) connected() bool { return c.state >= stateEstablished }

// dataEnd is the sequence number behind all data that the program gave.
func (c *tcpEndpoint) dataEnd() uint32 {
	return c.out.base + uint32(c.out.len)
}

// finSent reports whether the FIN has been sent.
func (c *tcpEndpoint) finSent() bool { return c.closing && c.sndNxt == c.dataEnd()+1 }

// readiness is what the program could do. Called with mu held.
func (c *tcpEndpoint) readiness() socket.Readiness {
	var r socket.Readiness
	switch c.state {
	case stateListen:
		if c.listener.ready() {
			r |= syscall.EPOLLIN
		}
		return r
	case stateSynSent, stateSynReceived:
		return 0
	case stateClosed:
		r |= syscall.EPOLLOUT | syscall.EPOLLHUP
		if c.rport != 0 {
			r |= syscall.EPOLLIN | syscall.EPOLLRDHUP
		}
	}
	if c.in.bytes > 0 || c.finSeen || c.readClosed {
		r |= syscall.EPOLLIN
	}
	if c.finSeen || c.readClosed {
		r |= syscall.EPOLLRDHUP
	}
	if c.closing || c.out.len < c.sendBuffer {
		r |= syscall.EPOLLOUT
	}
	if c.closing && (c.finSeen || c.readClosed) {
		r |= syscall.EPOLLHUP
	}
	if c.err != 0 {
		r |= syscall.EPOLLERR | syscall.EPOLLIN | syscall.EPOLLOUT
	}
	return r
}

// abort ends the connection with an error for the program. Called with mu held.
func (c *tcpEndpoint) abort(errno syscall.Errno) {
	if errno != 0 && c.err == 0 {
		c.err = errno
	}
	c.detach()
	c.wake(syscall.EPOLLERR | syscall.EPOLLHUP | syscall.EPOLLRDHUP | syscall.EPOLLIN | syscall.EPOLLOUT)
}

// detach makes the connection unknown to the network and drops what it would
// have sent. What was received stays readable. Called with mu held.
func (c *tcpEndpoint) detach() {
	if c.hooked {
		c.hooked = false
		c.s.tcp.remove(c)
	}
	c.state = stateClosed
	c.rtoAt, c.delackAt, c.keepAt = 0, 0, 0
	c.s.timers.disarm(&c.timer)
	c.out.clear(c.s)
	c.dropLater()
	c.sacked = nil
	c.sackedBytes = 0
	c.ackNow = false
	if c.orphan {
		c.discard()
	}
}

// discard drops what was received and gives the port back. Called with mu held.
func (c *tcpEndpoint) discard() {
	c.in.clear(c.s)
	c.s.tcpPorts.release(c.binding)
	c.binding = nil
	c.notify = nil
}

// dropLater frees what arrived out of order. Called with mu held.
func (c *tcpEndpoint) dropLater() {
	for _, r := range c.later {
		r.head.Free()
		c.s.release(r.size)
	}
	c.later = nil
}

// receiveQueue is the chain of Buffers with bytes in order, ready to be read.
type receiveQueue struct {
	head, tail *link.Buffer
	bytes      int
	size       int // memory it holds, in bytes
}

// push appends a chain of n bytes and the given footprint, which is reserved already. It
// reports how much of the footprint it gave back by copying.
func (q *receiveQueue) push(b *link.Buffer, n, size int) (saved int) {
	q.bytes += n
	if t := q.tail; t != nil && b.Next == nil && n <= coalesceLimit && t.Off+t.Len+n <= len(t.Data) {
		copy(t.Data[t.Off+t.Len:], b.Bytes())
		t.Len += n
		b.Free()
		return size
	}
	q.size += size
	if q.tail == nil {
		q.head = b
	} else {
		q.tail.Next = b
	}
	q.tail = tail(b)
	return 0
}

// coalesceLimit is up to how many bytes are worth copying to save a Buffer.
const coalesceLimit = 512

// clear frees everything.
func (q *receiveQueue) clear(s *Stack) {
	q.head.Free()
	s.release(q.size)
	*q = receiveQueue{}
}
