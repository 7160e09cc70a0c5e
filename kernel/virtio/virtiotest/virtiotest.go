// Package virtiotest is the device side of virtio in software, for tests of
// drivers on any host: memory where physical addresses are virtual ones, the
// device side of split virtqueues, and devices behind MMIO registers or a PCI
// function.
//
// It is written from the specification (virtio 1.2) and shares no code with the
// driver side but its interfaces, so that a misreading shows. It must not be
// imported by anything but tests.
//
// What a driver does wrong (an address outside its memory, an empty descriptor,
// a register that must not be touched now) is reported through Memory.Fault.
package virtiotest

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

var le = binary.LittleEndian

// Memory is virtio.Memory in the Go heap. Physical addresses are virtual ones.
type Memory struct {
	// Fault is told what a driver did wrong. It is set before the Memory is
	// used, e.g. to t.Errorf.
	Fault func(format string, args ...any)

	mu    sync.RWMutex
	limit int // bytes left, -1: no limit
	slabs []slab
}

type slab struct {
	phys uint64
	virt []byte
}

// NewMemory returns a Memory without limit.
func NewMemory(fault func(format string, args ...any)) *Memory {
	return &Memory{Fault: fault, limit: -1}
}

// Limit makes Alloc fail after n more bytes.
func (m *Memory) Limit(n int) {
	m.mu.Lock()
	m.limit = n
	m.mu.Unlock()
}

// Alloc implements virtio.Memory.
func (m *Memory) Alloc(size int) ([]byte, uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.limit >= 0 && m.limit < size {
		return nil, 0
	}
	if m.limit >= 0 {
		m.limit -= size
	}
	virt, phys := pages(size)
	m.slabs = append(m.slabs, slab{phys, virt})
	return virt, phys
}

// At returns n bytes at phys. Memory that was never allocated is the driver's
// fault; then it returns nil.
func (m *Memory) At(phys uint64, n int) []byte {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, s := range m.slabs {
		if off := phys - s.phys; phys >= s.phys && off+uint64(n) <= uint64(len(s.virt)) {
			return s.virt[off:][:n:n]
		}
	}
	m.Fault("driver uses memory it has not: %d bytes at %#x", n, phys)
	return nil
}

// Line is an interrupt: a virtio.Waiter that remembers one firing.
type Line struct {
	fired  chan struct{}
	closed chan struct{}
	count  atomic.Int64
}

// NewLine returns an interrupt that has not fired.
func NewLine() *Line {
	return &Line{fired: make(chan struct{}, 1), closed: make(chan struct{})}
}

// Fire lets one Wait return.
func (l *Line) Fire() {
	l.count.Add(1)
	select {
	case l.fired <- struct{}{}:
	default:
	}
}

// Count is how often the line has fired.
func (l *Line) Count() int { return int(l.count.Load()) }

// Close ends the goroutines that are in Wait, or come there.
func (l *Line) Close() { close(l.closed) }

// Wait implements virtio.Waiter.
func (l *Line) Wait() {
	select {
	case <-l.fired:
	case <-l.closed:
		runtime.Goexit()
	}
}

// Device is a virtio device without a bus. Its exported fields are set before a
// driver starts.
type Device struct {
	Memory   *Memory
	Kind     uint32
	Features uint64
	// Notify is called on a doorbell, in the driver's goroutine. Ready is called
	// when the driver sets DRIVER_OK.
	Notify func(queue int)
	Ready  func()
	// RefuseFeatures lets FEATURES_OK not stick.
	RefuseFeatures bool

	mu         sync.Mutex
	config     []byte
	generation uint32
	status     uint8
	accepted   uint64
	queues     []*Queue
	interrupt  func(vector int, config bool)
}

// NewDevice returns a device with queues of the given largest sizes.
func NewDevice(mem *Memory, kind uint32, features uint64, config []byte, sizes ...int) *Device {
	d := &Device{Memory: mem, Kind: kind, Features: features, config: config}
	for i, size := range sizes {
		d.queues = append(d.queues, &Queue{device: d, index: i, limit: size, vector: noVector})
	}
	return d
}

// Queue returns a queue of the device.
func (d *Device) Queue(i int) *Queue { return d.queues[i] }

// Accepted is what features the driver has accepted.
func (d *Device) Accepted() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.accepted
}

// Status is the device status.
func (d *Device) Status() uint8 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.status
}

// SetConfig changes the configuration space and interrupts.
func (d *Device) SetConfig(change func(config []byte)) {
	d.mu.Lock()
	change(d.config)
	d.generation++
	d.mu.Unlock()
	d.interrupt(noVector, true)
}

// setStatus is a write to the status register.
func (d *Device) setStatus(v uint8) {
	d.mu.Lock()
	ready := v&4 != 0 && d.status&4 == 0
	switch {
	case v == 0:
		d.status, d.accepted = 0, 0
		for _, q := range d.queues {
			q.reset()
		}
	case d.RefuseFeatures:
		d.status = v &^ 8
	default:
		d.status = v
	}
	d.mu.Unlock()
	if ready && d.Ready != nil {
		d.Ready()
	}
}

// accept is a write of 32 feature bits.
func (d *Device) accept(word uint32, v uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.status&8 != 0 {
		d.Memory.Fault("driver changes features after FEATURES_OK")
	}
	if word > 1 {
		return
	}
	d.accepted = d.accepted&^(0xffffffff<<(32*word)) | uint64(v)<<(32*word)
	if d.accepted&^d.Features != 0 {
		d.Memory.Fault("driver accepts features that are not offered: %#x", d.accepted&^d.Features)
	}
}

func (d *Device) features(word uint32) uint32 {
	if word > 1 {
		return 0
	}
	return uint32(d.Features >> (32 * word))
}

// readConfig reads width bytes of the configuration space.
func (d *Device) readConfig(offset uint32, width int) uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if int(offset)+width > len(d.config) {
		d.Memory.Fault("driver reads configuration at %d, which has %d bytes", offset, len(d.config))
		return 0
	}
	var b [4]byte
	copy(b[:], d.config[offset:][:width])
	return le.Uint32(b[:])
}

// ring is a write of a queue index to a doorbell.
func (d *Device) ring(queue int) {
	if queue >= len(d.queues) || !d.queues[queue].ready.Load() {
		d.Memory.Fault("driver notifies queue %d, which is not enabled", queue)
		return
	}
	if d.Status()&4 == 0 {
		d.Memory.Fault("driver notifies before DRIVER_OK")
	}
	d.queues[queue].rings.Add(1)
	if d.Notify != nil {
		d.Notify(queue)
	}
}

// noVector is MSI-X's "no interrupt".
const noVector = 0xffff

// Chain is what the driver put under one head descriptor.
type Chain struct {
	ID       uint16
	Out, In  [][]byte // pieces that the device reads, and writes
	Indirect bool
}

// Bytes returns all that the device may read, in one piece.
func (c *Chain) Bytes() (b []byte) {
	for _, piece := range c.Out {
		b = append(b, piece...)
	}
	return b
}

// Room is how many bytes the device may write.
func (c *Chain) Room() (n int) {
	for _, piece := range c.In {
		n += len(piece)
	}
	return n
}

// Write scatters b over what the device may write, and returns how much fit.
func (c *Chain) Write(b []byte) (n int) {
	for _, piece := range c.In {
		n += copy(piece, b[n:])
	}
	return n
}

// Queue is the device's side of one split virtqueue (section 2.7). Pop, Push and
// Publish are for one goroutine at a time.
type Queue struct {
	device *Device
	index  int
	limit  int

	// As the driver set them.
	size              int
	desc, avail, used uint64
	vector            int
	ready             atomic.Bool
	rings             atomic.Int64

	// Forged, if not nil, replaces each used index that Publish writes.
	Forged func(idx uint16) uint16

	next      uint16 // available ring index of the next chain
	usedIdx   uint16 // used ring index of the next completion
	published uint16
	busy      bool
}

func (q *Queue) reset() {
	q.ready.Store(false)
	q.size, q.desc, q.avail, q.used, q.vector = 0, 0, 0, 0, noVector
	q.next, q.usedIdx, q.published = 0, 0, 0
}

// enable is the driver's last step with a queue.
func (q *Queue) enable() {
	f := q.device.Memory.Fault
	switch {
	case q.size < 1 || q.size > q.limit || q.size&(q.size-1) != 0:
		f("queue %d gets size %d of %d", q.index, q.size, q.limit)
	case q.desc%16 != 0 || q.avail%2 != 0 || q.used%4 != 0:
		f("queue %d is misaligned: %#x %#x %#x", q.index, q.desc, q.avail, q.used)
	case q.device.Status()&8 == 0 || q.device.Status()&4 != 0:
		f("queue %d is enabled with status %#x", q.index, q.device.Status())
	default:
		q.ready.Store(true)
	}
}

// Ready tells whether the driver has enabled the queue.
func (q *Queue) Ready() bool { return q.ready.Load() }

// Rings is how often the driver rang the doorbell.
func (q *Queue) Rings() int { return int(q.rings.Load()) }

// Size is the size that the driver chose.
func (q *Queue) Size() int { return q.size }

func (q *Queue) eventIdx() bool { return q.device.Accepted()&(1<<29) != 0 }

// head reads a ring's flags and index.
func (q *Queue) head(ring uint64) (flags, idx uint16) {
	v := atomic.LoadUint32(word(q.device.Memory.At(ring, 4)))
	return uint16(v), uint16(v >> 16)
}

// availEvent and usedEvent are section 2.7.10 and 2.7.7.
func (q *Queue) availEvent() *uint32 {
	return word(q.device.Memory.At(q.used+4+8*uint64(q.size), 4))
}
func (q *Queue) usedEvent() *uint32 {
	return word(q.device.Memory.At(q.avail+4+2*uint64(q.size), 4))
}

// Busy tells the driver that it need not notify for a while; the next Idle
// takes that back.
func (q *Queue) Busy() {
	if q.eventIdx() {
		atomic.StoreUint32(q.availEvent(), uint32(q.next-1))
		return
	}
	q.busy = true
	q.storeUsed()
}

// Idle asks the driver to notify of the next chain. It reports false if there
// is one already.
func (q *Queue) Idle() bool {
	if q.eventIdx() {
		atomic.StoreUint32(q.availEvent(), uint32(q.next))
	} else {
		q.busy = false
		q.storeUsed()
	}
	_, idx := q.head(q.avail)
	return idx == q.next
}

// storeUsed writes the used ring's flags and index.
func (q *Queue) storeUsed() {
	idx := q.published
	if q.Forged != nil {
		idx = q.Forged(idx)
	}
	v := uint32(idx) << 16
	if q.busy {
		v |= 1
	}
	atomic.StoreUint32(word(q.device.Memory.At(q.used, 4)), v)
}

// Pop returns the next chain that the driver has made available, nil if none.
func (q *Queue) Pop() *Chain {
	if !q.ready.Load() {
		return nil
	}
	flags, idx := q.head(q.avail)
	if q.eventIdx() && flags != 0 {
		q.device.Memory.Fault("driver sets flags %#x with event index", flags)
	}
	if idx == q.next {
		return nil
	}
	if int(idx-q.next) > q.size {
		q.device.Memory.Fault("driver makes %d chains available on a ring of %d", idx-q.next, q.size)
		return nil
	}
	slot := q.device.Memory.At(q.avail+4+2*uint64(q.next)%(2*uint64(q.size)), 2)
	c := &Chain{ID: le.Uint16(slot)}
	q.next++
	q.walk(c, q.desc, uint32(q.size), uint32(c.ID))
	return c
}

// walk collects the pieces of a chain in the table at phys.
func (q *Queue) walk(c *Chain, phys uint64, count, i uint32) {
	fault := q.device.Memory.Fault
	for range count {
		if i >= count {
			fault("descriptor %d of %d", i, count)
			return
		}
		d := q.device.Memory.At(phys+16*uint64(i), 16)
		addr, n, flags, next := le.Uint64(d), le.Uint32(d[8:]), le.Uint16(d[12:]), le.Uint16(d[14:])
		if n == 0 {
			fault("empty descriptor")
			return
		}
		if flags&4 != 0 {
			if c.Indirect || flags&1 != 0 || n%16 != 0 || q.device.Accepted()&(1<<28) == 0 {
				fault("bad indirect descriptor, flags %#x, %d bytes", flags, n)
				return
			}
			c.Indirect = true
			q.walk(c, addr, n/16, 0)
			return
		}
		piece := q.device.Memory.At(addr, int(n))
		if flags&2 != 0 {
			c.In = append(c.In, piece)
		} else if len(c.In) > 0 {
			fault("readable descriptor behind a writable one")
		} else {
			c.Out = append(c.Out, piece)
		}
		if flags&1 == 0 {
			return
		}
		i = uint32(next)
	}
	fault("descriptor chain loops")
}

// Push writes a completion into the used ring; Publish shows it.
func (q *Queue) Push(id, n uint32) {
	e := q.device.Memory.At(q.used+4+8*(uint64(q.usedIdx)%uint64(q.size)), 8)
	atomic.StoreUint32(word(e), id)
	atomic.StoreUint32(word(e[4:]), n)
	q.usedIdx++
}

// Publish shows the driver what was pushed, and interrupts if it asked for that.
func (q *Queue) Publish() {
	old := q.published
	if old == q.usedIdx {
		return
	}
	q.published = q.usedIdx
	q.storeUsed()
	if q.wantsInterrupt(old) {
		q.device.interrupt(q.vector, false)
	}
}

func (q *Queue) wantsInterrupt(old uint16) bool {
	if !q.eventIdx() {
		flags, _ := q.head(q.avail)
		return flags&1 == 0
	}
	event := uint16(atomic.LoadUint32(q.usedEvent()))
	for i := old; i != q.published; i++ { // the plain reading of section 2.7.7.2
		if i == event {
			return true
		}
	}
	return false
}

// Jump moves the used index by n without completions.
func (q *Queue) Jump(n uint16) {
	q.usedIdx += n
	q.Publish()
}

// String is for messages.
func (q *Queue) String() string { return fmt.Sprintf("queue %d", q.index) }
