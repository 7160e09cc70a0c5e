package inet

import (
	"net/netip"
	"testing"
	"time"

	"pith/kernel/link"
	"pith/kernel/socket"
)

// puppet is a link.Device whose other end is the test itself: it sees each frame that the
// stack sends, and sends what it likes.
type puppet struct {
	t        testing.TB
	pool     *link.Pool
	features link.Features
	mtu      int
	sent     chan *link.Buffer
	offloads chan link.Offload
	rx       chan looped
	kept     *looped // what Wait has found; for Poll, which the same goroutine calls
	closed   chan struct{}
}

var (
	puppetMAC = hardwareAddr(0x020000000001) // the test's
	stackMAC  = hardwareAddr(0x020000000002)
	testIP    = v4(0x0a090001)
	stackIP   = v4(0x0a090002)
)

func newPuppet(t testing.TB, conf socket.InterfaceConfig) (*Stack, *puppet) {
	return newPuppetFor(t, Config{}, conf)
}

func newPuppetFor(t testing.TB, c Config, conf socket.InterfaceConfig) (*Stack, *puppet) {
	d := makePuppet(t)
	s := newStack(t, c)
	if err := s.Attach("eth0", d, conf); err != nil {
		t.Fatal(err)
	}
	return s, d
}

func makePuppet(t testing.TB) *puppet {
	d := &puppet{
		t: t, pool: link.NewPool(growHeap), mtu: 1500,
		sent: make(chan *link.Buffer, 4096), offloads: make(chan link.Offload, 4096),
		rx: make(chan looped, 4096), closed: make(chan struct{}),
	}
	t.Cleanup(func() { close(d.closed) })
	return d
}

func static(prefixes ...string) (conf socket.InterfaceConfig) {
	for _, p := range prefixes {
		conf.Addrs = append(conf.Addrs, netip.MustParsePrefix(p))
	}
	return conf
}

func (d *puppet) HardwareAddr() (hw [6]byte) { stackMAC.put(hw[:]); return hw }
func (d *puppet) MTU() int                   { return d.mtu }
func (d *puppet) Features() link.Features    { return d.features }
func (d *puppet) Queues() int                { return 1 }
func (d *puppet) Alloc() *link.Buffer        { return d.pool.Get() }
func (d *puppet) Flush(int)                  {}

func (d *puppet) Transmit(_ int, f *link.Buffer, o link.Offload) bool {
	select {
	case d.sent <- f:
		d.offloads <- o
		return true
	default:
		f.Free()
		return false
	}
}

func (d *puppet) Poll(_, budget int, deliver func(*link.Buffer, link.Offload)) int {
	for n := range budget {
		if p := d.kept; p != nil {
			d.kept = nil
			deliver(p.frame, p.offload)
			continue
		}
		select {
		case p := <-d.rx:
			deliver(p.frame, p.offload)
		default:
			return n
		}
	}
	return budget
}

func (d *puppet) Wait(int) {
	select {
	case p := <-d.rx:
		d.kept = &p
	case <-d.closed:
	}
}

// inject gives the stack a whole Ethernet frame.
func (d *puppet) inject(frame []byte) {
	f := d.pool.Get()
	if !appendBytes(d, f, frame) {
		panic("no Buffer")
	}
	d.rx <- looped{frame: f}
}

// next is the next frame that the stack sends and that match accepts; the others are dropped.
func (d *puppet) next(what string, match func(b []byte) bool) []byte {
	d.t.Helper()
	limit := time.After(5 * time.Second)
	for {
		select {
		case f := <-d.sent:
			b := make([]byte, chainLen(f))
			copyOut(b, f, 0)
			f.Free()
			if match(b) {
				return b
			}
		case <-limit:
			d.t.Fatalf("no %s was sent", what)
		}
	}
}

// none checks that no such frame is sent for a while.
func (d *puppet) none(what string, match func(b []byte) bool) {
	d.t.Helper()
	limit := time.After(100 * time.Millisecond)
	for {
		select {
		case f := <-d.sent:
			b := make([]byte, chainLen(f))
			copyOut(b, f, 0)
			f.Free()
			if match(b) {
				d.t.Fatalf("unexpected %s: %x", what, b)
			}
		case <-limit:
			return
		}
	}
}

// drop forgets what has been sent.
func (d *puppet) drop() {
	for {
		select {
		case f := <-d.sent:
			f.Free()
		default:
			return
		}
	}
}

// ethernet builds a frame to the stack.
func ethernet(kind uint16, payload []byte) []byte {
	b := make([]byte, ethernetLen, ethernetLen+len(payload))
	stackMAC.put(b)
	puppetMAC.put(b[6:])
	put16(b[12:], kind)
	return append(b, payload...)
}

// ipv4Packet builds a packet from the test to the stack.
func ipv4Packet(protocol uint8, src, dst address, payload []byte) []byte {
	b := make([]byte, ipv4Len, ipv4Len+len(payload))
	b[0] = 0x45
	put16(b[2:], uint16(ipv4Len+len(payload)))
	b[8], b[9] = 64, protocol
	put32(b[12:], uint32(src.lo))
	put32(b[16:], uint32(dst.lo))
	put16(b[10:], partial(0).bytes(b).checksum())
	return append(b, payload...)
}

// udpSegment builds a datagram with its checksum.
func udpSegment(src, dst address, sport, dport uint16, payload []byte) []byte {
	b := make([]byte, udpLen, udpLen+len(payload))
	put16(b, sport)
	put16(b[2:], dport)
	put16(b[4:], uint16(udpLen+len(payload)))
	b = append(b, payload...)
	put16(b[6:], pseudoHeader(src, dst, protoUDP, len(b)).bytes(b).checksum())
	return b
}

// tcpSegment is a segment, in the test's hands.
type tcpSegment struct {
	sport, dport uint16
	seq, ack     uint32
	flags        uint8
	window       uint16
	options      []byte
	payload      []byte
}

func (g tcpSegment) bytes(src, dst address) []byte {
	b := make([]byte, tcpLen)
	put16(b, g.sport)
	put16(b[2:], g.dport)
	put32(b[4:], g.seq)
	put32(b[8:], g.ack)
	b[12], b[13] = uint8((tcpLen+len(g.options))/4<<4), g.flags
	put16(b[14:], g.window)
	b = append(append(b, g.options...), g.payload...)
	put16(b[16:], pseudoHeader(src, dst, protoTCP, len(b)).bytes(b).checksum())
	return b
}

func (d *puppet) sendTCP(g tcpSegment) {
	d.inject(ethernet(etherIPv4, ipv4Packet(protoTCP, testIP, stackIP, g.bytes(testIP, stackIP))))
}

// nextTCP is the next segment that the stack sends, its checksums checked.
func (d *puppet) nextTCP() tcpSegment {
	d.t.Helper()
	b := d.next("TCP segment", isTCP)
	return d.parseTCP(b)
}

func isTCP(b []byte) bool { return get16(b[12:]) == etherIPv4 && b[ethernetLen+9] == protoTCP }

func (d *puppet) parseTCP(b []byte) tcpSegment {
	d.t.Helper()
	ip := b[ethernetLen:]
	if !partial(0).bytes(ip[:ipv4Len]).valid() {
		d.t.Fatalf("bad IP checksum: %x", b)
	}
	h := ip[ipv4Len:]
	src, dst := v4(get32(ip[12:])), v4(get32(ip[16:]))
	if !pseudoHeader(src, dst, protoTCP, len(h)).bytes(h).valid() {
		d.t.Fatalf("bad TCP checksum: %x", b)
	}
	n := int(h[12]>>4) * 4
	return tcpSegment{
		sport: get16(h), dport: get16(h[2:]), seq: get32(h[4:]), ack: get32(h[8:]),
		flags: h[13], window: get16(h[14:]), options: h[tcpLen:n], payload: h[n:],
	}
}

// answerARP lets the stack find the test's Ethernet address.
func (d *puppet) answerARP() {
	b := make([]byte, arpLen)
	put16(b, 1)
	put16(b[2:], etherIPv4)
	b[4], b[5] = 6, 4
	put16(b[6:], arpReply)
	puppetMAC.put(b[8:])
	put32(b[14:], uint32(testIP.lo))
	stackMAC.put(b[18:])
	put32(b[24:], uint32(stackIP.lo))
	d.inject(ethernet(etherARP, b))
}

// meet makes the stack know the test before anything else is sent.
func meet(t testing.TB, s *Stack, d *puppet) {
	t.Helper()
	e := s.snapshot.Load().nics[1].neighbors.get(testIP)
	d.answerARP()
	eventually(t, "the neighbour is known", func() bool { return e.mac.Load() != 0 })
}
