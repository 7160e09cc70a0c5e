// Package linktest has an in-memory cable with an Ethernet card at each end,
// for tests of whatever stands on link.Device.
//
// It behaves as a virtio-net card of virtio 1.2, section 5.1, does, as far as a
// stack can see: frames are seen by the other side only after Flush, rings are
// bounded, checksums and segmentation are done where they were offloaded. It
// relies on package link. It is strict where a real card would be silent: a
// frame that breaks the contract is a panic. It is not for use inside an
// image.
package linktest

import (
	"fmt"
	"math/rand"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"pith/kernel/link"
)

// Conditions are what happens to frames in one direction. Probabilities are
// between 0 and 1, for each frame (after segmentation).
type Conditions struct {
	Loss      float64
	Duplicate float64
	Reorder   float64 // the frame is held until the next one has passed it
	Corrupt   float64 // one bit behind the Ethernet header is flipped
	Delay     time.Duration
}

// Options describes a cable and the cards at its ends.
type Options struct {
	MTU      int           // largest IP packet in bytes; 0 means 1500
	Queues   int           // queue pairs of each card; 0 means 1
	Ring     int           // received frames that a queue holds; 0 means 256
	Buffers  int           // a card's Buffers; 0 means 4096
	Features link.Features // of both cards
	Merge    bool          // segmentable frames arrive uncut, as with guest TSO
	Seed     int64         // of the random numbers behind the Conditions
	AtoB     Conditions
	BtoA     Conditions
}

// Card is one end of the cable: a link.Device.
type Card struct {
	name string
	mac  [6]byte
	opt  Options
	pool *link.Pool
	peer *Card
	rx   []queue
	tx   []queue // frames between Transmit and Flush

	grown  atomic.Bool
	closed chan struct{}
	once   sync.Once

	mu         sync.Mutex // guards what follows
	conditions Conditions
	random     *rand.Rand
	held       *packet // waits to be overtaken

	// Counters, for tests to read.
	Sent, Lost, Overrun, Flushes atomic.Int64
	Tap                          atomic.Pointer[func(frame []byte)] // sees each frame that is sent, uncut
}

type packet struct {
	frame   *link.Buffer
	offload link.Offload
}

type queue struct {
	mu      sync.Mutex
	packets []packet
	ready   chan struct{} // capacity 1
}

// Pair returns the two ends of a new cable.
func Pair(o Options) (a, b *Card) {
	o = o.withDefaults()
	a = newCard("a", [6]byte{0x52, 0x54, 0, 0, 0, 1}, o, o.AtoB)
	b = newCard("b", [6]byte{0x52, 0x54, 0, 0, 0, 2}, o, o.BtoA)
	a.peer, b.peer = b, a
	return a, b
}

func (o Options) withDefaults() Options {
	o.MTU = orElse(o.MTU, 1500)
	o.Queues = orElse(o.Queues, 1)
	o.Ring = orElse(o.Ring, 256)
	o.Buffers = orElse(o.Buffers, 4096)
	return o
}

func orElse(v, otherwise int) int {
	if v == 0 {
		return otherwise
	}
	return v
}

func newCard(name string, mac [6]byte, o Options, c Conditions) *Card {
	card := &Card{
		name:       name,
		mac:        mac,
		opt:        o,
		conditions: c,
		random:     rand.New(rand.NewSource(o.Seed + int64(mac[5]))),
		rx:         make([]queue, o.Queues),
		tx:         make([]queue, o.Queues),
		closed:     make(chan struct{}),
	}
	for i := range card.rx {
		card.rx[i].ready = make(chan struct{}, 1)
	}
	card.pool = link.NewPool(card.grow)
	card.pool.Get().Free() // who comes while grow is at work would get none
	return card
}

// grow hands out all Buffers at the first call and none later.
func (c *Card) grow() []*link.Buffer {
	if c.grown.Swap(true) {
		return nil
	}
	fresh := make([]*link.Buffer, c.opt.Buffers)
	for i := range fresh {
		fresh[i] = &link.Buffer{Data: make([]byte, link.BufferSize)}
	}
	return fresh
}

// SetConditions changes what happens to the frames that this card sends.
func (c *Card) SetConditions(to Conditions) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conditions = to
}

// Close unplugs the card: goroutines in Wait end, and nothing is received any
// more.
func (c *Card) Close() { c.once.Do(func() { close(c.closed) }) }

// Free counts the Buffers that nobody holds. It must not run at the same time as
// traffic.
func (c *Card) Free() int {
	var all *link.Buffer
	n := 0
	for b := c.pool.Get(); b != nil; b = c.pool.Get() {
		b.Next = all
		all = b
		n++
	}
	all.Free()
	return n
}

// HardwareAddr implements link.Device.
func (c *Card) HardwareAddr() [6]byte { return c.mac }

// MTU implements link.Device.
func (c *Card) MTU() int { return c.opt.MTU }

// Features implements link.Device.
func (c *Card) Features() link.Features { return c.opt.Features }

// Queues implements link.Device.
func (c *Card) Queues() int { return c.opt.Queues }

// Alloc implements link.Device.
func (c *Card) Alloc() *link.Buffer { return c.pool.Get() }

// Transmit implements link.Device. It panics at a frame that breaks the
// contract.
func (c *Card) Transmit(q int, frame *link.Buffer, o link.Offload) bool {
	c.check(frame, o)
	t := &c.tx[q]
	t.mu.Lock()
	full := len(t.packets) >= c.opt.Ring
	if !full {
		t.packets = append(t.packets, packet{frame, o})
	}
	t.mu.Unlock()
	if full {
		c.Overrun.Add(1)
		frame.Free()
		return false
	}
	c.Sent.Add(1)
	return true
}

func (c *Card) check(frame *link.Buffer, o link.Offload) {
	size := 0
	for b := frame; b != nil; b = b.Next {
		if b.Off < 0 || b.Len <= 0 || b.Off+b.Len > len(b.Data) {
			panic(fmt.Sprintf("linktest: piece with offset %d, length %d, storage %d", b.Off, b.Len, len(b.Data)))
		}
		size += b.Len
	}
	segmented := o.Segmentation != link.SegmentNone
	if size <= etherLen || size > c.opt.MTU+etherLen && !segmented {
		panic(fmt.Sprintf("linktest: frame of %d bytes on a link with MTU %d", size, c.opt.MTU))
	}
	if o.NeedsChecksum && !c.opt.Features.TxChecksum {
		panic("linktest: checksum offloaded to a card that can't do it")
	}
	if segmented && !(c.opt.Features.TSO4 && o.Segmentation == link.SegmentTCP4 ||
		c.opt.Features.TSO6 && o.Segmentation == link.SegmentTCP6) {
		panic("linktest: segmentation offloaded to a card that can't do it")
	}
}

// Flush implements link.Device: frames go to the peer only here.
func (c *Card) Flush(q int) {
	c.Flushes.Add(1)
	t := &c.tx[q]
	t.mu.Lock()
	packets := t.packets
	t.packets = nil
	t.mu.Unlock()
	for _, p := range packets {
		c.send(q, p)
	}
}

// send takes one frame off this card and puts it, or its segments, on the
// cable.
func (c *Card) send(q int, p packet) {
	frame := flatten(p.frame)
	p.frame.Free()
	if tap := c.Tap.Load(); tap != nil {
		(*tap)(frame)
	}
	if c.opt.Merge && p.offload.Segmentation != link.SegmentNone {
		c.carry(q, frame, p.offload)
		return
	}
	for _, f := range segments(frame, p.offload) {
		o := p.offload
		o.Segmentation = link.SegmentNone
		c.carry(q, f, o)
	}
}

// carry applies the conditions to one frame.
func (c *Card) carry(q int, frame []byte, o link.Offload) {
	c.mu.Lock()
	k := c.conditions
	lost := c.chance(k.Loss)
	twice := c.chance(k.Duplicate)
	hold := c.chance(k.Reorder)
	corrupt := c.chance(k.Corrupt)
	bit := etherLen*8 + c.random.Intn((len(frame)-etherLen)*8)
	c.mu.Unlock()
	if o.NeedsChecksum && (corrupt || !c.peer.opt.Features.RxChecksum) {
		finishChecksum(frame, o)
		o.NeedsChecksum = false
	}
	if corrupt {
		frame[bit/8] ^= 1 << (bit % 8)
		o.ChecksumValid = false
	}
	if lost {
		c.Lost.Add(1)
		return
	}
	copies := 1
	if twice {
		copies = 2
	}
	for range copies {
		c.arrive(q, frame, o, k.Delay, hold)
	}
}

func (c *Card) chance(p float64) bool { return p > 0 && c.random.Float64() < p }

// arrive puts a copy of frame into one of the peer's Buffers, now or later.
func (c *Card) arrive(q int, frame []byte, o link.Offload, delay time.Duration, hold bool) {
	b := c.peer.fill(frame)
	if b == nil {
		c.peer.Overrun.Add(1)
		return
	}
	p := &packet{b, o}
	if hold {
		c.holdBack(q, p)
		return
	}
	if delay > 0 {
		time.AfterFunc(delay, func() { c.peer.receive(q, p) })
	} else {
		c.peer.receive(q, p)
	}
	c.mu.Lock()
	overtaken := c.held
	c.held = nil
	c.mu.Unlock()
	if overtaken != nil {
		c.peer.receive(q, overtaken)
	}
}

// holdBack keeps p until another frame has passed, at most 5 ms.
func (c *Card) holdBack(q int, p *packet) {
	c.mu.Lock()
	before := c.held
	c.held = p
	c.mu.Unlock()
	if before != nil {
		c.peer.receive(q, before)
	}
	time.AfterFunc(5*time.Millisecond, func() {
		c.mu.Lock()
		still := c.held == p
		if still {
			c.held = nil
		}
		c.mu.Unlock()
		if still {
			c.peer.receive(q, p)
		}
	})
}

// fill copies frame into a chain of this card's Buffers; nil if they are used up.
func (c *Card) fill(frame []byte) *link.Buffer {
	var head *link.Buffer
	at := &head
	for len(frame) > 0 {
		b := c.pool.Get()
		if b == nil {
			head.Free()
			return nil
		}
		b.Len = copy(b.Data[b.Off:], frame)
		frame = frame[b.Len:]
		*at = b
		at = &b.Next
	}
	return head
}

func (c *Card) receive(q int, p *packet) {
	r := &c.rx[q]
	r.mu.Lock()
	full := len(r.packets) >= c.opt.Ring
	if !full {
		r.packets = append(r.packets, *p)
	}
	r.mu.Unlock()
	if full {
		c.Overrun.Add(1)
		p.frame.Free()
		return
	}
	select {
	case r.ready <- struct{}{}:
	default:
	}
}

// Poll implements link.Device.
func (c *Card) Poll(q, budget int, deliver func(*link.Buffer, link.Offload)) int {
	r := &c.rx[q]
	r.mu.Lock()
	n := min(budget, len(r.packets))
	batch := r.packets[:n:n]
	r.packets = r.packets[n:]
	r.mu.Unlock()
	for _, p := range batch {
		deliver(p.frame, p.offload)
	}
	return n
}

// Wait implements link.Device. On a closed card it ends the goroutine that
// calls it.
func (c *Card) Wait(q int) {
	r := &c.rx[q]
	r.mu.Lock()
	ready := len(r.packets) > 0
	r.mu.Unlock()
	select {
	case <-c.closed:
		runtime.Goexit()
	default:
	}
	if ready {
		return
	}
	select {
	case <-r.ready:
	case <-c.closed:
		runtime.Goexit()
	}
}
