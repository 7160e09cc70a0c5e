package net

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pith/kernel/link"
	"pith/kernel/virtio"
	"pith/kernel/virtio/mmio/mmiotest"
	"pith/kernel/virtio/pci"
	"pith/kernel/virtio/virtiotest"
)

var _ link.Device = (*Device)(nil)

var le = binary.LittleEndian

// everything that a generous device offers.
const everything = virtio.FeatureVersion1 | virtio.FeatureEventIdx | virtio.FeatureIndirect |
	TxOffloads | RxOffloads | featureMergeable | featureMAC | featureMTU | featureControl | featureMultiqueue |
	1<<2 | 1<<16 | 1<<40 // and some that the driver does not know

const testPairs = 4

// card is a network device in software, with a driver in front.
type card struct {
	t    testing.TB
	mem  *virtiotest.Memory
	raw  *virtiotest.Device
	dev  *Device
	errs []error
	pool *counter

	pairs int // as the driver has set them
	ack   byte
}

// counter is a pool whose buffers can be counted.
type counter struct {
	pool *link.Pool
	mem  *virtiotest.Memory
	all  []*link.Buffer
	left int
}

func (c *counter) grow() []*link.Buffer {
	n := min(growth, c.left)
	if n == 0 {
		return nil
	}
	c.left -= n
	virt, phys := c.mem.Alloc(n * link.BufferSize)
	fresh := carve(virt, phys, n)
	c.all = append(c.all, fresh...)
	return fresh
}

// bus puts a device behind one of the two transports.
type bus func(t testing.TB, d *virtiotest.Device) virtio.Transport

func onMMIO(t testing.TB, d *virtiotest.Device) virtio.Transport { return mmiotest.Open(t, d) }

func onPCI(t testing.TB, d *virtiotest.Device) virtio.Transport {
	p := virtiotest.NewPCI(d, true)
	t.Cleanup(func() {
		for _, l := range p.Lines {
			l.Close()
		}
	})
	tr, err := pci.New(p, p)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func buses(t *testing.T, run func(t *testing.T, b bus)) {
	t.Run("mmio", func(t *testing.T) { run(t, onMMIO) })
	t.Run("pci", func(t *testing.T) { run(t, onPCI) })
}

// newRaw returns the device without a driver. Queue sizes are ring for all.
func newRaw(t testing.TB, features uint64, ring int) *card {
	c := &card{t: t, mem: virtiotest.NewMemory(t.Errorf)}
	config := make([]byte, 12)
	copy(config, []byte{0x52, 0x54, 0, 1, 2, 3})
	le.PutUint16(config[8:], testPairs)
	le.PutUint16(config[10:], 1400)
	sizes := make([]int, 2*testPairs+1)
	for i := range sizes {
		sizes[i] = ring
	}
	c.raw = virtiotest.NewDevice(c.mem, virtio.TypeNet, features, config, sizes...)
	c.raw.Notify = func(queue int) {
		if queue == 2*testPairs {
			c.command()
		}
	}
	return c
}

// command answers what is on the control queue.
func (c *card) command() {
	q := c.raw.Queue(2 * testPairs)
	for chain := q.Pop(); chain != nil; chain = q.Pop() {
		b := chain.Bytes()
		if len(b) != 4 || b[0] != 4 || b[1] != 0 {
			c.t.Errorf("command % x", b)
		}
		c.pairs = int(le.Uint16(b[2:]))
		q.Push(uint32(chain.ID), uint32(chain.Write([]byte{c.ack})))
		q.Publish()
	}
}

func newCard(t testing.TB, b bus, features uint64, o Options) *card {
	t.Helper()
	c := newRaw(t, features, 64)
	if o.Pool == nil {
		c.pool = &counter{mem: c.mem, left: 1024}
		c.pool.pool = link.NewPool(c.pool.grow)
		o.Pool = c.pool.pool
	}
	o.Report = func(err error) { c.errs = append(c.errs, err) }
	var err error
	if c.dev, err = New(b(t, c.raw), c.mem, o); err != nil {
		t.Fatal(err)
	}
	return c
}

// receive has the device receive one frame in a queue: header, then contents.
// Then it does not publish.
func (c *card) receive(queue int, h, frame []byte) {
	c.t.Helper()
	q := c.raw.Queue(2 * queue)
	type piece struct {
		id uint16
		n  int
	}
	var pieces []piece
	rest := append(bytes.Clone(h), frame...)
	first := []byte(nil)
	for len(rest) > 0 {
		chain := q.Pop()
		if chain == nil {
			c.t.Fatal("no receive buffers")
		}
		if first == nil {
			first = chain.In[0]
		}
		n := chain.Write(rest)
		rest = rest[n:]
		pieces = append(pieces, piece{chain.ID, n})
	}
	le.PutUint16(first[10:], uint16(len(pieces)))
	for _, p := range pieces {
		q.Push(uint32(p.id), uint32(p.n))
	}
}

// plain is a header that says nothing.
var plain = make([]byte, headerSize)

func header12(flags, gso byte, hdr, size, start, offset uint16) []byte {
	h := []byte{flags, gso}
	for _, v := range []uint16{hdr, size, start, offset, 0} {
		h = le.AppendUint16(h, v)
	}
	return h
}

// pattern is n bytes that differ by seed.
func pattern(seed, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(seed*31 + i*7 + i>>8)
	}
	return b
}

// contents joins a frame's buffers.
func contents(frame *link.Buffer) (b []byte) {
	for ; frame != nil; frame = frame.Next {
		b = append(b, frame.Bytes()...)
	}
	return b
}

// frame makes an outgoing frame of pieces with the given sizes.
func (c *card) frame(seed int, sizes ...int) *link.Buffer {
	var head, last *link.Buffer
	all := 0
	for _, n := range sizes {
		b := c.dev.Alloc()
		if b == nil {
			c.t.Fatal("no buffer")
		}
		b.Len = n
		if head == nil {
			head = b
		} else {
			last.Next = b
		}
		last = b
		all += n
	}
	rest := pattern(seed, all)
	for b := head; b != nil; b = b.Next {
		rest = rest[copy(b.Bytes(), rest):]
	}
	return head
}

// sent takes one frame off a transmit queue: its header and contents.
func (c *card) sent(queue int) (h, frame []byte, chain *virtiotest.Chain) {
	c.t.Helper()
	chain = c.raw.Queue(2*queue + 1).Pop()
	if chain == nil {
		c.t.Fatal("nothing was sent")
	}
	b := chain.Bytes()
	return b[:headerSize], b[headerSize:], chain
}

// done completes a sent frame.
func (c *card) done(queue int, chain *virtiotest.Chain) {
	q := c.raw.Queue(2*queue + 1)
	q.Push(uint32(chain.ID), 0)
	q.Publish()
}

func (c *card) publish(queue int) { c.raw.Queue(2 * queue).Publish() }

// healthy fails if the driver reported anything.
func (c *card) healthy() {
	c.t.Helper()
	for _, err := range c.errs {
		c.t.Error(err)
	}
}

func TestConfiguration(t *testing.T) {
	buses(t, func(t *testing.T, b bus) {
		c := newCard(t, b, everything, Options{Queues: 2})
		if c.dev.HardwareAddr() != [6]byte{0x52, 0x54, 0, 1, 2, 3} || c.dev.MTU() != 1400 || c.dev.Queues() != 2 {
			t.Errorf("address %x, MTU %d, %d queues", c.dev.HardwareAddr(), c.dev.MTU(), c.dev.Queues())
		}
		if c.dev.Features() != (link.Features{TxChecksum: true, RxChecksum: true, TSO4: true, TSO6: true}) {
			t.Errorf("features %+v", c.dev.Features())
		}
		if c.pairs != 2 {
			t.Errorf("device was told to use %d pairs", c.pairs)
		}
		if f := c.raw.Accepted(); f&(1<<2|1<<16|1<<40) != 0 {
			t.Errorf("accepted what it does not know: %#x", f)
		}
		for q := range testPairs {
			if want := q < 2; c.raw.Queue(2*q).Ready() != want || c.raw.Queue(2*q+1).Ready() != want {
				t.Errorf("pair %d: ready is not %v", q, want)
			}
		}
		c.healthy()
	})
}

func TestFeatureRequirements(t *testing.T) {
	for _, c := range []struct{ offered, without, want uint64 }{
		{everything &^ featureChecksum, 0, RxOffloads},
		{everything &^ featureGuestChecksum, 0, TxOffloads},
		{everything &^ featureMergeable, 0, TxOffloads | featureGuestChecksum},
		{everything, RxOffloads, TxOffloads},
		{everything, TxOffloads | RxOffloads, 0},
	} {
		if got := wanted(c.offered, Options{Without: c.without}) & (TxOffloads | RxOffloads); got != c.want {
			t.Errorf("%#x without %#x: %#x, want %#x", c.offered, c.without, got, c.want)
		}
	}
	if wanted(everything&^featureControl, Options{Queues: 2})&featureMultiqueue != 0 {
		t.Error("several pairs without a control queue")
	}
	if wanted(everything, Options{})&(featureControl|featureMultiqueue) != 0 {
		t.Error("a control queue for one pair")
	}
}

func TestStartFailures(t *testing.T) {
	for _, x := range []struct {
		name, want string
		features   uint64
		spoil      func(c *card, o *Options)
	}{
		{"another device", "of type 4", everything, func(c *card, o *Options) { c.raw.Kind = 4 }},
		{"legacy", "legacy", everything &^ virtio.FeatureVersion1, func(c *card, o *Options) {}},
		{"no address", "no hardware address", everything &^ featureMAC, func(c *card, o *Options) {}},
		{"group address", "group", everything &^ featureMAC, func(c *card, o *Options) { o.HardwareAddr[0] = 1 }},
		{"no memory for rings", "no memory", everything, func(c *card, o *Options) { c.mem.Limit(0) }},
		{"pairs refused", "refuses", everything, func(c *card, o *Options) { c.ack = 1 }},
		{"no answer", "does not answer", everything, func(c *card, o *Options) { c.raw.Notify = nil }},
		{"wrong answer", "control queue shut down", everything, func(c *card, o *Options) {
			c.raw.Notify = func(q int) { c.raw.Queue(2*testPairs).Push(9, 0); c.raw.Queue(2 * testPairs).Publish() }
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := newRaw(t, x.features, 64)
			o := Options{Queues: 2}
			x.spoil(c, &o)
			_, err := New(onMMIO(t, c.raw), c.mem, o)
			if err == nil || !strings.Contains(err.Error(), x.want) {
				t.Errorf("error %v, want %q", err, x.want)
			}
		})
	}
}

func TestRingSize(t *testing.T) {
	for _, x := range []struct{ ring, buffers, pairs, want int }{
		{0, 0, 1, 256}, {0, 0, 8, 256}, {0, 0, 64, 32}, {128, 0, 1, 128}, {0, 512, 1, 256}, {0, 100, 2, 25}, {0, 10, 4, 8},
	} {
		if got := ringSize(Options{RingSize: x.ring, Buffers: x.buffers}, x.pairs); got != x.want {
			t.Errorf("%+v: %d", x, got)
		}
	}
	c := newRaw(t, everything, 64)
	dev, err := New(onMMIO(t, c.raw), c.mem, Options{Buffers: 40})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for dev.Alloc() != nil {
		n++
	}
	if n != 24 { // 16 are in the ring: the largest power of two below 20
		t.Errorf("%d buffers are left", n)
	}
}

func TestOwnAddress(t *testing.T) {
	c := newCard(t, onMMIO, everything&^(featureMAC|featureMTU), Options{HardwareAddr: [6]byte{2, 0, 0, 0, 0, 9}})
	if c.dev.HardwareAddr() != [6]byte{2, 0, 0, 0, 0, 9} || c.dev.MTU() != 1500 {
		t.Errorf("address %x, MTU %d", c.dev.HardwareAddr(), c.dev.MTU())
	}
}

// TestSend: one descriptor for a frame in one buffer, with its header in front.
func TestSend(t *testing.T) {
	buses(t, func(t *testing.T, b bus) {
		c := newCard(t, b, everything, Options{})
		f := c.frame(1, 1000)
		at := f.Phys + uint64(f.Off)
		if !c.dev.Transmit(0, f, link.Offload{}) {
			t.Fatal("not queued")
		}
		if c.raw.Queue(1).Rings() != 0 {
			t.Error("kicked before Flush")
		}
		c.dev.Flush(0)
		if c.raw.Queue(1).Rings() != 1 {
			t.Error("no kick")
		}
		h, got, chain := c.sent(0)
		if !bytes.Equal(h, plain) || !bytes.Equal(got, pattern(1, 1000)) {
			t.Errorf("header % x, contents differ=%v", h, !bytes.Equal(got, pattern(1, 1000)))
		}
		if len(chain.Out) != 1 || &chain.Out[0][headerSize] != &c.mem.At(at, 1)[0] {
			t.Error("frame is not one descriptor in place")
		}
		c.healthy()
	})
}

func TestSendBatchKicksOnce(t *testing.T) {
	c := newCard(t, onMMIO, everything, Options{})
	for i := range 20 {
		c.dev.Transmit(0, c.frame(i, 100+i), link.Offload{})
	}
	c.dev.Flush(0)
	c.dev.Flush(0)
	if n := c.raw.Queue(1).Rings(); n != 1 {
		t.Errorf("%d kicks", n)
	}
	for i := range 20 {
		if _, got, _ := c.sent(0); !bytes.Equal(got, pattern(i, 100+i)) {
			t.Errorf("frame %d is another one", i)
		}
	}
}

func TestSendPieces(t *testing.T) {
	c := newCard(t, onMMIO, everything, Options{})
	send := func(f *link.Buffer, seed, size int) *virtiotest.Chain {
		t.Helper()
		if !c.dev.Transmit(0, f, link.Offload{}) {
			t.Fatal("not queued")
		}
		c.dev.Flush(0)
		_, got, chain := c.sent(0)
		if !bytes.Equal(got, pattern(seed, size)) {
			t.Error("contents differ")
		}
		return chain
	}
	if n := len(send(c.frame(2, 54, 0, 1500, 0, 700), 2, 2254).Out); n != 3 {
		t.Errorf("%d descriptors for three pieces that are not empty", n)
	}
	big := make([]int, 40)
	for i := range big {
		big[i] = 1600
	}
	if chain := send(c.frame(3, big...), 3, 64000); !chain.Indirect {
		t.Error("40 of 64 descriptors without a table")
	}
	f := c.frame(4, 1000)
	copy(f.Data, f.Bytes())
	f.Off = headerSize - 1 // no room for the header in front
	copy(f.Bytes(), pattern(4, 1000))
	if n := len(send(f, 4, 1000).Out); n != 2 {
		t.Errorf("%d descriptors for header and frame", n)
	}
	c.healthy()
}

func TestSendOffloads(t *testing.T) {
	good := link.Offload{NeedsChecksum: true, ChecksumStart: 34, ChecksumOffset: 16}
	tso := good
	tso.Segmentation, tso.SegmentSize, tso.HeaderLen = link.SegmentTCP4, 1448, 54
	tso6 := tso
	tso6.Segmentation = link.SegmentTCP6
	noSum, noSize, unknown := tso, tso, tso
	noSum.NeedsChecksum, noSize.SegmentSize, unknown.Segmentation = false, 0, 77
	for _, x := range []struct {
		name    string
		o       link.Offload
		without uint64
		want    []byte // nil: refused
	}{
		{"none", link.Offload{}, 0, plain},
		{"checksum", good, 0, header12(1, 0, 0, 0, 34, 16)},
		{"TCP4", tso, 0, header12(1, 1, 54, 1448, 34, 16)},
		{"TCP6", tso6, 0, header12(1, 4, 54, 1448, 34, 16)},
		{"checksum, not offered", good, featureChecksum, nil},
		{"TCP4, not offered", tso, featureHostTSO4, nil},
		{"TCP6, not offered", tso6, featureHostTSO6, nil},
		{"no checksum", noSum, 0, nil},
		{"no size", noSize, 0, nil},
		{"unknown kind", unknown, 0, nil},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := newCard(t, onMMIO, everything, Options{Without: x.without})
			ok := c.dev.Transmit(0, c.frame(1, 100), x.o)
			if ok != (x.want != nil) {
				t.Fatalf("queued: %v", ok)
			}
			c.dev.Flush(0)
			if !ok {
				if s := c.dev.Stats(0); s.TxRefused != 1 {
					t.Errorf("%+v", s)
				}
				return
			}
			if h, _, _ := c.sent(0); !bytes.Equal(h, x.want) {
				t.Errorf("header % x, want % x", h, x.want)
			}
		})
	}
}

// TestSendFull: what does not fit is dropped, and the ring works again as soon
// as the device gets on.
func TestSendFull(t *testing.T) {
	c := newCard(t, onMMIO, everything&^virtio.FeatureIndirect, Options{})
	for i := range 64 {
		if !c.dev.Transmit(0, c.frame(i, 100), link.Offload{}) {
			t.Fatalf("frame %d of 64 does not fit", i)
		}
	}
	if c.dev.Transmit(0, c.frame(64, 100), link.Offload{}) || c.dev.Stats(0).TxFull != 1 {
		t.Error("a 65th frame fits")
	}
	c.dev.Flush(0)
	_, _, chain := c.sent(0)
	c.done(0, chain)
	if !c.dev.Transmit(0, c.frame(64, 100), link.Offload{}) {
		t.Error("no room after a completion")
	}
	if c.dev.Transmit(0, c.frame(65, 50, 50), link.Offload{}) {
		t.Error("two pieces fit in nothing")
	}
	c.healthy()
}

// TestReclaim: buffers come back without any interrupt, and none is lost.
func TestReclaim(t *testing.T) {
	buses(t, func(t *testing.T, b bus) {
		c := newCard(t, b, everything, Options{})
		for i := range 5000 {
			sizes := []int{60 + i%1400}
			if i%7 == 0 {
				sizes = []int{54, 1448, 1448}
			}
			if !c.dev.Transmit(0, c.frame(i, sizes...), link.Offload{}) {
				t.Fatalf("frame %d dropped", i)
			}
			if i%5 == 0 {
				c.dev.Flush(0)
				for {
					chain := c.raw.Queue(1).Pop()
					if chain == nil {
						break
					}
					c.done(0, chain)
				}
			}
		}
		c.dev.Poll(0, 64, nil)
		if n := len(c.pool.all); n > 5*growth {
			t.Errorf("%d buffers in use: they don't come back", n)
		}
		c.healthy()
	})
}

func TestReceive(t *testing.T) {
	buses(t, func(t *testing.T, b bus) {
		c := newCard(t, b, everything, Options{})
		if c.dev.Pending(0) {
			t.Error("pending before anything came")
		}
		for i := range 3 {
			c.receive(0, plain, pattern(i, 60+i))
		}
		c.publish(0)
		used, seen := c.dev.UsedIndexAddress(0)
		if !c.dev.Pending(0) || !virtio.Fresh(used, seen) {
			t.Error("not pending")
		}
		var got []*link.Buffer
		deliver := func(f *link.Buffer, o link.Offload) {
			if o != (link.Offload{}) {
				t.Errorf("offload %+v", o)
			}
			got = append(got, f)
		}
		if n := c.dev.Poll(0, 2, deliver); n != 2 || !c.dev.Pending(0) {
			t.Errorf("polled %d, pending %v", n, c.dev.Pending(0))
		}
		if n := c.dev.Poll(0, 2, deliver); n != 1 || c.dev.Pending(0) || virtio.Fresh(used, seen) {
			t.Errorf("polled %d, pending %v", n, c.dev.Pending(0))
		}
		for i, f := range got {
			if !bytes.Equal(f.Bytes(), pattern(i, 60+i)) || f.Next != nil || f.Off != link.Headroom {
				t.Errorf("frame %d: %d bytes at %d", i, f.Len, f.Off)
			}
			f.Free()
		}
		c.healthy()
	})
}

// TestReceiveMerged: a frame larger than a buffer comes as a chain.
func TestReceiveMerged(t *testing.T) {
	c := newCard(t, onMMIO, everything, Options{})
	for _, n := range []int{receiveRoom - headerSize, receiveRoom - headerSize + 1, 9000, 65550} {
		c.receive(0, header12(1, 1, 54, 1448, 34, 16), pattern(n, n))
		c.receive(0, plain, pattern(1, 60))
		c.publish(0)
		count := 0
		c.dev.Poll(0, 64, func(f *link.Buffer, o link.Offload) {
			count++
			if count == 1 && (!bytes.Equal(contents(f), pattern(n, n)) ||
				o != link.Offload{NeedsChecksum: true, ChecksumStart: 34, ChecksumOffset: 16, Segmentation: link.SegmentTCP4, SegmentSize: 1448, HeaderLen: 54}) {
				t.Errorf("%d bytes: got %d, offload %+v", n, len(contents(f)), o)
			}
			if count == 2 && !bytes.Equal(contents(f), pattern(1, 60)) {
				t.Error("the frame behind is spoilt")
			}
			f.Free()
		})
		if count != 2 {
			t.Errorf("%d bytes: %d frames", n, count)
		}
	}
	c.healthy()
}

func TestReceiveOffloads(t *testing.T) {
	for _, x := range []struct {
		name    string
		h       []byte
		without uint64
		want    *link.Offload // nil: dropped
	}{
		{"valid", header12(2, 0, 0, 0, 0, 0), 0, &link.Offload{ChecksumValid: true}},
		{"partial", header12(1, 0, 0, 0, 34, 16), 0, &link.Offload{NeedsChecksum: true, ChecksumStart: 34, ChecksumOffset: 16}},
		{"partial at the end", header12(1, 0, 0, 0, 82, 16), 0, &link.Offload{NeedsChecksum: true, ChecksumStart: 82, ChecksumOffset: 16}},
		{"partial beyond the end", header12(1, 0, 0, 0, 83, 16), 0, nil},
		{"partial far beyond", header12(1, 0, 0, 0, 0xffff, 0xffff), 0, nil},
		{"TCP6 with ECN", header12(1, 0x84, 74, 1428, 54, 16), 0, &link.Offload{NeedsChecksum: true, ChecksumStart: 54, ChecksumOffset: 16, Segmentation: link.SegmentTCP6, SegmentSize: 1428, HeaderLen: 74}},
		{"header length too long", header12(1, 4, 1000, 1428, 54, 16), 0, &link.Offload{NeedsChecksum: true, ChecksumStart: 54, ChecksumOffset: 16, Segmentation: link.SegmentTCP6, SegmentSize: 1428}},
		{"no segment size", header12(1, 4, 74, 0, 54, 16), 0, nil},
		{"segments without checksum", header12(0, 4, 74, 1428, 54, 16), 0, nil},
		{"UDP fragments", header12(1, 3, 74, 1428, 54, 16), 0, nil},
		{"unknown kind", header12(1, 9, 74, 1428, 54, 16), 0, nil},
		{"not negotiated", header12(1, 0, 0, 0, 34, 16), RxOffloads, nil},
		{"TCP4 not negotiated", header12(1, 1, 54, 1448, 34, 16), featureGuestTSO4, nil},
		{"unknown flag", header12(0x80, 0, 0, 0, 0, 0), 0, &link.Offload{}},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := newCard(t, onMMIO, everything, Options{Without: x.without})
			c.receive(0, x.h, pattern(1, 100))
			c.publish(0)
			n := c.dev.Poll(0, 8, func(f *link.Buffer, o link.Offload) {
				if x.want == nil || o != *x.want {
					t.Errorf("offload %+v, want %+v", o, x.want)
				}
				f.Free()
			})
			if (n == 1) != (x.want != nil) || (c.dev.Stats(0).RxMalformed == 1) == (n == 1) {
				t.Errorf("%d frames, %+v", n, c.dev.Stats(0))
			}
			c.healthy()
		})
	}
}

func TestReceiveSizes(t *testing.T) {
	c := newCard(t, onMMIO, everything, Options{})
	for _, n := range []int{0, 13, 65555, 100000} { // runts and giants
		c.receive(0, plain, pattern(1, n))
		c.publish(0)
		if got := c.dev.Poll(0, 8, func(f *link.Buffer, o link.Offload) {}); got != 0 {
			t.Errorf("a frame of %d bytes arrives", n)
		}
	}
	if s := c.dev.Stats(0); s.RxMalformed != 4 {
		t.Errorf("%+v", s)
	}
	c.healthy()
}

// TestReceiveForEver runs the ring's indices over, with all kinds of frames.
func TestReceiveForEver(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	c := newCard(t, onMMIO, everything, Options{})
	next := 0 // seed of the next frame
	size := func(seed int) int { return 60 + seed*37%5000 }
	for seed := 0; seed < 40_000; {
		for range 6 {
			c.receive(0, plain, pattern(seed, size(seed)))
			seed++
		}
		c.publish(0)
		c.dev.Poll(0, 64, func(f *link.Buffer, o link.Offload) {
			if len(contents(f)) != size(next) || f.Bytes()[0] != pattern(next, 1)[0] {
				t.Fatalf("frame %d is another one", next)
			}
			next++
			f.Free()
		})
	}
	c.healthy()
}

// TestStarvation: with no buffers left, frames are lost, but the ring lives on
// and recovers.
func TestStarvation(t *testing.T) {
	c := newCard(t, onMMIO, everything, Options{})
	c.pool.left = 0
	var held []*link.Buffer
	hold := func(f *link.Buffer, o link.Offload) { held = append(held, f) }
	for range 500 {
		c.receive(0, plain, pattern(1, 100))
		c.publish(0)
		c.dev.Poll(0, 8, hold)
	}
	s := c.dev.Stats(0)
	if s.RxNoBuffer == 0 || len(held)+int(s.RxNoBuffer) != 500 {
		t.Errorf("%d delivered, %+v", len(held), s)
	}
	for _, f := range held {
		f.Free()
	}
	before := s.RxNoBuffer
	for range 500 {
		c.receive(0, plain, pattern(1, 100))
		c.publish(0)
		c.dev.Poll(0, 8, func(f *link.Buffer, o link.Offload) { f.Free() })
	}
	if s := c.dev.Stats(0); s.RxNoBuffer != before {
		t.Errorf("frames are lost still: %+v", s)
	}
	c.healthy()
}

// TestHostileFrames: what only the network driver can see as a violation.
func TestHostileFrames(t *testing.T) {
	for _, x := range []struct {
		name, want string
		attack     func(c *card, q *virtiotest.Queue)
	}{
		{"no header", "less than its header", func(c *card, q *virtiotest.Queue) { q.Push(uint32(q.Pop().ID), 11) }},
		{"nothing", "less than its header", func(c *card, q *virtiotest.Queue) { q.Push(uint32(q.Pop().ID), 0) }},
		{"no buffers", "of no buffers", func(c *card, q *virtiotest.Queue) {
			chain := q.Pop()
			chain.Write(plain)
			q.Push(uint32(chain.ID), 100)
		}},
		{"too few buffers", "of 3 buffers and filled 2", func(c *card, q *virtiotest.Queue) {
			chain := q.Pop()
			le.PutUint16(chain.In[0][10:], 3)
			q.Push(uint32(chain.ID), 1000)
			q.Push(uint32(q.Pop().ID), 1000)
		}},
		{"most buffers", "of 65535 buffers", func(c *card, q *virtiotest.Queue) {
			chain := q.Pop()
			le.PutUint16(chain.In[0][10:], 0xffff)
			q.Push(uint32(chain.ID), 1000)
		}},
		{"empty buffer", "of 2 buffers and filled 1", func(c *card, q *virtiotest.Queue) {
			chain := q.Pop()
			le.PutUint16(chain.In[0][10:], 2)
			q.Push(uint32(chain.ID), 1000)
			q.Push(uint32(q.Pop().ID), 0)
		}},
		{"longer than the buffer", "bytes where", func(c *card, q *virtiotest.Queue) { q.Push(uint32(q.Pop().ID), link.BufferSize) }},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := newCard(t, onMMIO, everything, Options{})
			x.attack(c, c.raw.Queue(0))
			c.publish(0)
			for range 3 {
				if n := c.dev.Poll(0, 8, func(*link.Buffer, link.Offload) {}); n != 0 {
					t.Error("something was delivered")
				}
			}
			var qe *virtio.QueueError
			err := c.dev.Err(0)
			if !errors.As(err, &qe) || qe.Queue != "virtio-net receive queue 0" || !strings.Contains(err.Error(), x.want) {
				t.Errorf("error %v, want %q", err, x.want)
			}
			if len(c.errs) != 1 || c.dev.Pending(0) {
				t.Errorf("%d reports, pending %v", len(c.errs), c.dev.Pending(0))
			}
			if !c.dev.Transmit(0, c.frame(1, 100), link.Offload{}) {
				t.Error("the other queue is dead too")
			}
		})
	}
}

func TestHostileCompletions(t *testing.T) {
	c := newCard(t, onMMIO, everything, Options{})
	c.dev.Transmit(0, c.frame(1, 100), link.Offload{})
	c.dev.Flush(0)
	q := c.raw.Queue(1)
	q.Push(500, 0)
	q.Publish()
	for i := range 64 {
		c.dev.Transmit(0, c.frame(i, 100), link.Offload{})
	}
	if err := c.dev.Err(0); err == nil || !strings.Contains(err.Error(), "transmit queue 0 shut down") {
		t.Errorf("error %v", err)
	}
	if c.dev.Transmit(0, c.frame(1, 100), link.Offload{}) {
		t.Error("a dead queue takes frames")
	}
}

// TestWait drives a pair from goroutines: the device sends back what it gets.
func TestWait(t *testing.T) {
	buses(t, func(t *testing.T, b bus) {
		const frames = 20_000
		c := newRaw(t, everything, 64)
		kick := make(chan struct{}, 1)
		c.raw.Notify = func(queue int) {
			select {
			case kick <- struct{}{}:
			default:
			}
		}
		dev, err := New(b(t, c.raw), c.mem, Options{Report: func(err error) { t.Error(err) }})
		if err != nil {
			t.Fatal(err)
		}
		c.dev = dev
		stop := make(chan struct{})
		defer close(stop)
		go c.reflect(kick, stop)

		window := make(chan struct{}, 32) // frames under way
		got := make(chan error, 1)
		go func() {
			for next := 0; next < frames; {
				n := dev.Poll(0, 16, func(f *link.Buffer, o link.Offload) {
					if want := pattern(next, 64); !bytes.Equal(contents(f), want) {
						select {
						case got <- fmt.Errorf("frame %d is another one", next):
						default:
						}
					}
					f.Free()
					next++
					<-window
				})
				if n == 0 {
					dev.Wait(0)
				}
			}
			got <- nil
		}()
		for i := range frames {
			window <- struct{}{}
			if !dev.Transmit(0, c.frame(i, 64), link.Offload{}) {
				t.Fatalf("frame %d dropped: %+v", i, dev.Stats(0))
			}
			if i%4 == 0 || len(window) > 16 || i == frames-1 {
				dev.Flush(0)
			}
		}
		if err := <-got; err != nil {
			t.Error(err)
		}
	})
}

// reflect is the device of TestWait: event indices on both sides.
func (c *card) reflect(kick, stop chan struct{}) {
	tx, rx := c.raw.Queue(1), c.raw.Queue(0)
	var waiting []*virtiotest.Chain
	for {
		for chain := tx.Pop(); chain != nil; chain = tx.Pop() {
			waiting = append(waiting, chain)
		}
		for len(waiting) > 0 {
			in := rx.Pop()
			if in == nil {
				break
			}
			b := waiting[0].Bytes()
			le.PutUint16(b[10:], 1)
			rx.Push(uint32(in.ID), uint32(in.Write(b)))
			tx.Push(uint32(waiting[0].ID), 0)
			waiting = waiting[1:]
		}
		tx.Publish()
		rx.Publish()
		idle := tx.Idle()
		if len(waiting) > 0 {
			idle = rx.Idle() && idle
		}
		if !idle {
			continue
		}
		select {
		case <-kick:
		case <-stop:
			return
		}
	}
}

// TestPairs: each queue pair is its own.
func TestPairs(t *testing.T) {
	buses(t, func(t *testing.T, b bus) {
		c := newCard(t, b, everything, Options{Queues: 9})
		if c.dev.Queues() != testPairs || c.pairs != testPairs {
			t.Fatalf("%d pairs, device has %d", c.dev.Queues(), c.pairs)
		}
		for q := range testPairs {
			c.dev.Transmit(q, c.frame(q, 100), link.Offload{})
			c.dev.Flush(q)
			c.receive(q, plain, pattern(q+10, 100))
			c.publish(q)
		}
		for q := range testPairs {
			if _, got, _ := c.sent(q); !bytes.Equal(got, pattern(q, 100)) {
				t.Errorf("queue %d sends another's frame", q)
			}
			c.dev.Wait(q) // must not park
			n := c.dev.Poll(q, 9, func(f *link.Buffer, o link.Offload) {
				if !bytes.Equal(contents(f), pattern(q+10, 100)) {
					t.Errorf("queue %d receives another's frame", q)
				}
			})
			if n != 1 {
				t.Errorf("queue %d: %d frames", q, n)
			}
		}
		c.healthy()
	})
}

// TestNoAllocation: nothing on a packet's way allocates.
func TestNoAllocation(t *testing.T) {
	c := newCard(t, onMMIO, everything, Options{})
	deliver := func(f *link.Buffer, o link.Offload) { f.Free() }
	tx, rx := c.raw.Queue(1), c.raw.Queue(0)
	frames := testing.AllocsPerRun(50, func() {
		f := c.dev.Alloc()
		f.Len = 100
		c.dev.Transmit(0, f, link.Offload{NeedsChecksum: true})
		c.dev.Flush(0)
		c.dev.Poll(0, 8, deliver)
	})
	if frames != 0 {
		t.Errorf("%v allocations for a frame out", frames)
	}
	// The device's own allocations are counted first, and subtracted.
	device := func() {
		for chain := tx.Pop(); chain != nil; chain = tx.Pop() {
			tx.Push(uint32(chain.ID), 0)
		}
		chain := rx.Pop()
		chain.In[0][10] = 1
		rx.Push(uint32(chain.ID), 112)
		rx.Publish()
	}
	alone := testing.AllocsPerRun(10, device)
	both := testing.AllocsPerRun(10, func() {
		device()
		if c.dev.Poll(0, 64, deliver) == 0 {
			t.Error("nothing received")
		}
	})
	if both > alone {
		t.Errorf("%v allocations for a frame in", both-alone)
	}
	c.healthy()
}

// FuzzReceive lets the device write any headers, lengths and counts. Frames that
// arrive are within their buffers, and no buffer is in two places.
func FuzzReceive(f *testing.F) {
	f.Add(append(bytes.Clone(plain), 100, 0, 1, 0), true)
	f.Add(append(header12(1, 1, 54, 1448, 34, 16), 200, 0, 3, 0), true)
	f.Add(append(header12(0xff, 0xff, 0xffff, 0xffff, 0xffff, 0xffff), 0xff, 7, 1, 0), false)
	f.Fuzz(func(t *testing.T, script []byte, mergeable bool) {
		features := uint64(everything)
		if !mergeable {
			features &^= featureMergeable
		}
		c := newCard(t, onMMIO, features, Options{})
		q := c.raw.Queue(0)
		for len(script) >= headerSize+4 {
			h, rest := script[:headerSize], script[headerSize:]
			n, count := int(le.Uint16(rest))%(receiveRoom+2), int(rest[2])%8
			script = rest[4:]
			for i := range max(count, 1) {
				chain := q.Pop()
				if chain == nil {
					break
				}
				if i == 0 {
					chain.Write(h)
					if rest[3]&1 == 0 {
						le.PutUint16(chain.In[0][10:], uint16(count))
					}
				}
				q.Push(uint32(chain.ID), uint32(n))
			}
			q.Publish()
			c.dev.Poll(0, 8, func(frame *link.Buffer, o link.Offload) {
				size := len(contents(frame))
				if frame.Len < etherHeader || size > maxFrame {
					t.Errorf("%d bytes, %d in the first buffer", size, frame.Len)
				}
				if o.NeedsChecksum && int(o.ChecksumStart)+int(o.ChecksumOffset)+2 > size {
					t.Errorf("%d bytes with %+v", size, o)
				}
				if o.Segmentation != link.SegmentNone && (o.SegmentSize == 0 || !o.NeedsChecksum) {
					t.Errorf("%+v", o)
				}
				frame.Free()
			})
		}
		c.unique()
	})
}

// unique fails if a buffer is on the free list twice, or free and posted.
func (c *card) unique() {
	c.t.Helper()
	free := map[*link.Buffer]bool{}
	left := c.pool.left
	c.pool.left = 0
	for b := c.pool.pool.Get(); b != nil; b = c.pool.pool.Get() {
		if free[b] {
			c.t.Fatal("a buffer is free twice")
		}
		free[b] = true
	}
	for _, b := range c.dev.pairs[0].rx.posted {
		if free[b] {
			c.t.Fatal("a buffer is free and posted")
		}
	}
	c.pool.left = left
}
