package inet

import (
	"net/netip"
	"runtime"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"pith/kernel/link"
	"pith/kernel/socket"
)

// FuzzFrames gives raw frames to a stack with live endpoints: a listener, an established
// connection, a connection about to be made, UDP and raw sockets, DHCP and SLAAC. Nothing
// may panic, hang, or hold Buffers for good.
func FuzzFrames(f *testing.F) {
	seed := func(b []byte) { f.Add(uint8(0), b) }
	tcp := tcpSegment{sport: 1000, dport: 80, seq: 1000, ack: 5, flags: flagACK, window: 100, payload: []byte("data")}
	seed(ethernet(etherIPv4, ipv4Packet(protoTCP, testIP, stackIP, tcp.bytes(testIP, stackIP))))
	tcp.flags = flagSYN
	tcp.options = []byte{optionMSS, 4, 5, 0xb4, optionSackOK, 2, optionTimestamp, 10, 0, 0, 0, 9, 0, 0, 0, 0, optionNop, optionScale, 3, 7}
	seed(ethernet(etherIPv4, ipv4Packet(protoTCP, testIP, stackIP, tcp.bytes(testIP, stackIP))))
	seed(ethernet(etherIPv4, ipv4Packet(protoUDP, testIP, stackIP, udpSegment(testIP, stackIP, 9, 7, []byte("x")))))
	seed(ethernet(etherIPv4, ipv4Packet(protoUDP, testIP, stackIP, udpSegment(testIP, stackIP, 67, 68, make([]byte, 300)))))
	seed(ethernet(etherIPv4, ipv4Packet(protoICMP, testIP, stackIP, append([]byte{icmpUnreachable, 4, 0, 0, 0, 0, 3, 0}, ipv4Packet(protoTCP, stackIP, testIP, tcp.bytes(stackIP, testIP))...))))
	seed(ethernet(etherARP, make([]byte, arpLen)))
	src, dst := fromNetip(addrA6), fromNetip(addrB6)
	seed(ethernet(etherIPv6, ipv6Packet(protoFragment, src, dst, 64, make([]byte, 40))))
	for _, kind := range []byte{ndpRouterAdvertisement, ndpNeighborSolicit, ndpNeighborAdvertise, icmp6TooBig} {
		m := make([]byte, 64)
		m[0] = kind
		m[16], m[17] = ndpPrefix, 4
		put16(m[2:], pseudoHeader(src, dst, protoICMPv6, len(m)).bytes(m).checksum())
		seed(ethernet(etherIPv6, ipv6Packet(protoICMPv6, src, dst, 255, m)))
	}
	f.Fuzz(func(t *testing.T, mode uint8, frame []byte) {
		if len(frame) == 0 || len(frame) > 20000 {
			return
		}
		v := newVictim(t)
		// The same frame whole, in pieces, with checksums trusted, and several times.
		for i := range 3 {
			v.feed(frame, 1+int(mode)*i, link.Offload{ChecksumValid: i > 0})
		}
		if len(frame) >= 6 {
			stackMAC.put(frame)
			v.feed(frame, 4096, link.Offload{ChecksumValid: true})
		}
		v.finish()
	})
}

// FuzzSegments speaks TCP to an established connection: each eight bytes make one segment.
func FuzzSegments(f *testing.F) {
	f.Add([]byte{0, 0, 16, 10, 0, 0, 0, 0, 10, 0, 16, 5, 0, 0, 0, 0})
	f.Add([]byte{50, 0, 16, 10, 1, 0, 0, 0, 20, 0, 24, 40, 0, 1, 0, 0, 0, 0, 17, 60, 0, 0, 9, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 8*64 {
			return
		}
		v := newVictim(t)
		c := v.conn
		for ; len(script) >= 8; script = script[8:] {
			g := tcpSegment{
				sport: 1000, dport: 80, flags: script[2] & 31, window: uint16(script[6]) << 8,
				seq: c.rcvNxt + uint32(int32(int8(script[0]))), ack: c.sndUna + uint32(int32(int8(script[1]))),
				payload: make([]byte, script[3]),
			}
			if script[4]&1 != 0 {
				g.options = []byte{1, 1, optionSack, 10, 0, 0, 0, 0, 0, 0, 0, 0}
				put32(g.options[4:], c.sndUna+uint32(script[5]))
				put32(g.options[8:], c.sndUna+uint32(script[5])+uint32(script[7]))
			}
			if script[4]&2 != 0 {
				c.Send(make([]byte, 300), nil, netip.AddrPort{}, 0)
			}
			if script[4]&4 != 0 {
				c.Receive(make([]byte, 7), nil, 0)
			}
			if script[4]&8 != 0 {
				c.Shutdown(syscall.SHUT_WR)
			}
			if script[4]&16 != 0 {
				v.tick(250e6)
			}
			v.feed(ethernet(etherIPv4, ipv4Packet(protoTCP, testIP, stackIP, g.bytes(testIP, stackIP))), 4096, link.Offload{})
			v.check(t)
		}
		v.finish()
	})
}

// victim is a stack that the fuzzer feeds on its own goroutine.
type victim struct {
	t     testing.TB
	s     *Stack
	q     *queue
	d     *sink
	clock *clock
	conn  *tcpEndpoint // established, from port 1000 to 80
	eps   []socket.Endpoint
}

// sink is a link.Device that swallows everything, and counts its Buffers.
type sink struct {
	puppet
	out int // Buffers in other hands
}

func (d *sink) Alloc() *link.Buffer {
	return &link.Buffer{Data: make([]byte, link.BufferSize), Off: link.Headroom}
}

func (d *sink) Transmit(_ int, f *link.Buffer, o link.Offload) bool {
	for b := f; b != nil; b = b.Next {
		if b.Off < 0 || b.Len <= 0 || b.Off+b.Len > len(b.Data) {
			panic("a piece outside of its storage")
		}
	}
	if n := chainLen(f); n > 1514 || n < ethernetLen {
		panic("a frame of a wrong size")
	}
	return true
}

func newVictim(t testing.TB) *victim {
	hang := time.AfterFunc(10*time.Second, func() {
		debug.SetTraceback("all")
		panic("the stack hangs")
	})
	t.Cleanup(func() { hang.Stop() })
	v := &victim{t: t, clock: newClock(), d: &sink{puppet: puppet{mtu: 1500}}}
	v.s = newStack(t, Config{Now: v.clock.now, Memory: 1 << 20})
	n := newNIC(v.s, "eth0", v.d)
	conf := static("10.9.0.2/24", "fd00::2/64")
	v.s.update(func(c *config) {
		c.nics = append(c.nics, n)
		n.index = len(c.nics)
		n.configure(c, conf)
	})
	conf.SLAAC, conf.DHCP = true, true
	n.begin(conf)
	v.q = n.queues[0]
	e := n.neighbors.get(testIP)
	b := v.s.begin()
	e.resolved(&b, puppetMAC)
	v.sockets()
	return v
}

func (v *victim) sockets() {
	l := v.socket(syscall.SOCK_STREAM, 0)
	l.Bind(netip.AddrPortFrom(addrB, 80))
	l.Listen(4)
	v.feed(ethernet(etherIPv4, ipv4Packet(protoTCP, testIP, stackIP, tcpSegment{sport: 1000, dport: 80, seq: 999, flags: flagSYN, window: 60000,
		options: []byte{optionSackOK, 2, 1, 1}}.bytes(testIP, stackIP))), 4096, link.Offload{})
	iss := l.(*tcpEndpoint).listener.embryos[tuple{stackIP, testIP, 80, 1000}].iss
	v.feed(ethernet(etherIPv4, ipv4Packet(protoTCP, testIP, stackIP, tcpSegment{sport: 1000, dport: 80, seq: 1000, ack: iss + 1, flags: flagACK, window: 60000}.bytes(testIP, stackIP))), 4096, link.Offload{})
	ep, _, errno := l.Accept()
	if errno != 0 {
		v.t.Fatal(errno)
	}
	v.conn = ep.(*tcpEndpoint)
	v.eps = append(v.eps, ep)
	v.conn.Send(make([]byte, 5000), nil, netip.AddrPort{}, 0)
	u := v.socket(syscall.SOCK_DGRAM, 0)
	u.Bind(netip.MustParseAddrPort("0.0.0.0:7"))
	v.socket(syscall.SOCK_RAW, syscall.IPPROTO_ICMP)
	v.socket(syscall.SOCK_DGRAM, syscall.IPPROTO_ICMP).Send([]byte{icmpEcho, 0, 0, 0, 0, 0, 0, 0}, nil, netip.AddrPortFrom(addrA, 0), 0)
	v.socket(syscall.SOCK_STREAM, 0).Connect(netip.AddrPortFrom(addrA, 99))
}

func (v *victim) socket(typ, protocol int) socket.Endpoint {
	ep, errno := v.s.Socket(syscall.AF_INET, typ, protocol)
	if errno != 0 {
		v.t.Fatal(errno)
	}
	v.eps = append(v.eps, ep)
	return ep
}

// feed gives the stack one frame, in pieces of at most size bytes.
func (v *victim) feed(frame []byte, size int, o link.Offload) {
	var head, last *link.Buffer
	for rest := frame; len(rest) > 0; {
		b := v.d.Alloc()
		b.Len = copy(b.Data[b.Off:], rest[:min(len(rest), size, 1500)])
		rest = rest[b.Len:]
		if head == nil {
			head = b
		} else {
			last.Next = b
		}
		last = b
	}
	b := &v.q.batch
	b.now = v.s.conf.Now()
	v.q.input(head, o)
	b.acknowledge()
	b.flush()
}

// check looks at what must always hold.
func (v *victim) check(t *testing.T) {
	c := v.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == stateClosed {
		return
	}
	if before(c.sndNxt, c.sndUna) || before(c.dataEnd()+1, c.sndNxt) || before(c.rcvAdv, c.rcvNxt) {
		t.Fatalf("una %d nxt %d end %d; rcv %d adv %d", c.sndUna, c.sndNxt, c.dataEnd(), c.rcvNxt, c.rcvAdv)
	}
	sum := 0
	for i, s := range c.sacked {
		sum += s.len()
		if before(s.start, c.sndUna) || before(c.sndNxt, s.end) || i > 0 && !before(c.sacked[i-1].end, s.start) {
			t.Fatalf("SACK board %v, una %d, nxt %d", c.sacked, c.sndUna, c.sndNxt)
		}
	}
	if sum != c.sackedBytes {
		t.Fatalf("%d bytes on the board, %d counted", sum, c.sackedBytes)
	}
	for i, r := range c.later {
		if !before(c.rcvNxt, r.start) || chainLen(r.head) != r.len() || i > 0 && before(r.start, c.later[i-1].end) {
			t.Fatalf("rcv %d, ranges %v, the last of %d bytes", c.rcvNxt, c.later, chainLen(r.head))
		}
	}
	if chainLen(c.in.head) != c.in.bytes {
		t.Fatalf("%d bytes queued, %d counted", chainLen(c.in.head), c.in.bytes)
	}
}

// finish closes everything and lets all timers run: nothing may stay.
func (v *victim) finish() {
	for _, ep := range v.eps {
		ep.Receive(make([]byte, 100), make([]byte, 100), 0)
		ep.Close()
	}
	for range 400 {
		v.tick(10e9)
	}
	if n := v.s.memory.Load(); n != 0 {
		v.t.Fatalf("%d bytes are held by nobody", n)
	}
}

// tick lets time pass, and all timers that are due go off.
func (v *victim) tick(d time.Duration) {
	v.clock.advance(d)
	for t := &v.s.timers; ; runtime.Gosched() {
		t.run() // returns at once while the alarm's own goroutine is in it
		t.mu.Lock()
		done := !t.running && (len(t.heap) == 0 || t.heap[0].when > v.clock.now())
		t.mu.Unlock()
		if done {
			return
		}
	}
}
