package virtio

import (
	"errors"
	"math/bits"
	"strconv"
	"sync"
	"sync/atomic"
)

// DefaultQueueSize is the count of descriptors of a queue whose QueueOptions
// name none, if the device allows as many.
const DefaultQueueSize = 256

// maxQueueSize is the largest split virtqueue (section 2.7).
const maxQueueSize = 32768

// tableLength is the count of descriptors of an indirect table: enough for a
// packet of 64 KiB in pieces of a link.Buffer.
const tableLength = 64

// Descriptor flags (section 2.7.5).
const (
	descNext     = 1 // another descriptor follows
	descWrite    = 2 // the device writes
	descIndirect = 4 // the buffer is a table of descriptors
)

// noInterrupt in the available ring's flags (section 2.7.7) and noNotify in the
// used ring's (section 2.7.10). With event indices both are unused.
const (
	noInterrupt = 1
	noNotify    = 1
)

// SeenDead is set in the second word of UsedIndexAddress when the queue has
// been shut down: nothing will ever be taken from it again.
const SeenDead = uint32(1) << 31

// Segment is one contiguous piece of device-visible memory.
type Segment struct {
	Phys uint64
	Len  uint32 // bytes, not 0
}

// QueueError says why a queue was shut down.
type QueueError struct {
	Queue  string // e.g. "virtio-net receive queue 0"
	Reason string
}

func (e *QueueError) Error() string { return e.Queue + " shut down: the device " + e.Reason }

// QueueOptions says which queue is wanted, and how.
type QueueOptions struct {
	Index    int
	Name     string // for errors
	Size     int    // most descriptors; 0 means DefaultQueueSize
	Features uint64 // as negotiated
	// Interrupts: Wait will be used. The queue starts with interrupts suppressed
	// in either case.
	Interrupts bool
	// Tables is how many long chains may be indirect at once, if the device
	// offers FeatureIndirect; each costs one KiB.
	Tables int
	// Report is told the error when the queue is shut down, once, with the
	// driver's locks held: it must not call the driver. It may be nil.
	Report func(error)
}

// Queue is the driver's side of a split virtqueue (section 2.7).
//
// Its methods must not be called at the same time: the driver holds a lock, or
// has one goroutine for it. Exempt are Err, Completed, Pending and
// UsedIndexAddress.
//
// About fences: the words that both sides access are accessed by sync/atomic,
// 32 bits at a time, because Go has no 16-bit atomics; flags and idx of a ring
// share such a word. Go's atomics are sequentially consistent, which gives all
// that section 2.7.13 and 2.7.14 ask for: what was written before a store of idx
// is visible with it, what is read after a load of idx is not older, and a store
// of idx comes before the load of the other side's event index. On amd64 only the
// stores cost something: each is an XCHG, and there is one a batch.
type Queue struct {
	bell       Doorbell
	waiter     Waiter
	name       string
	report     func(error)
	size, mask uint16
	eventIdx   bool
	armed      bool // somebody is in Await
	dead       bool // see fail

	// Device-visible memory.
	desc       []descriptor
	availHead  *uint32 // flags, idx<<16: written by the driver
	availRing  []uint16
	usedEvent  *uint32 // in the low 16 bits; what lies above is padding
	usedHead   *uint32 // flags, idx<<16: written by the device
	usedRing   []usedElement
	availEvent *uint32 // in the low 16 bits; what lies above is padding

	// The driver's own state: nothing of it is read back from shared memory.
	free      uint16 // first free descriptor, linked through next
	numFree   uint16
	next      []uint16
	chains    []chain // by head descriptor
	filled    uint16  // available ring index of the next chain
	published uint16  // what the device knows of filled
	taken     uint16  // used ring index of the next completion
	usedIdx   uint16  // the device's used index when last read

	tables     []descriptor // indirect tables, one behind the other
	tablesPhys uint64
	idleTables []uint16

	seen uint32 // atomic: taken as of the last Mark; SeenDead
	err  atomic.Pointer[QueueError]
}

// chain is what was posted under one head descriptor.
type chain struct {
	room   uint32 // bytes the device may write
	tail   uint16 // last descriptor
	count  uint16 // descriptors; 0: not posted
	table  uint16 // indirect table + 1
	posted bool
}

// descriptor is struct virtq_desc (section 2.7.5).
type descriptor struct {
	addr   uint64
	length uint32
	flags  uint16
	next   uint16
}

// usedElement is struct virtq_used_elem (section 2.7.8).
type usedElement struct {
	id     uint32
	length uint32
}

// NewQueue makes a virtqueue in memory of mem and enables it. It belongs
// between Negotiate and Ready.
func NewQueue(t Transport, mem Memory, o QueueOptions) (*Queue, error) {
	size, err := queueSize(t.QueueLimit(o.Index), o.Size)
	if err != nil {
		return nil, errors.New(o.Name + ": " + err.Error())
	}
	q := &Queue{
		name: o.Name, report: o.Report,
		size: uint16(size), mask: uint16(size - 1),
		eventIdx: o.Features&FeatureEventIdx != 0,
	}
	setup, ok := q.layOut(mem, size)
	if !ok {
		return nil, errors.New(o.Name + ": no memory for its rings")
	}
	q.reset()
	if o.Features&FeatureIndirect != 0 {
		q.addTables(mem, o.Tables)
	}
	setup.Index, setup.Interrupts = o.Index, o.Interrupts
	q.bell, q.waiter, err = t.StartQueue(setup)
	if err != nil {
		return nil, errors.New(o.Name + ": " + err.Error())
	}
	return q, nil
}

// queueSize picks the largest power of two within both limits.
func queueSize(limit, want int) (int, error) {
	if limit == 0 {
		return 0, errors.New("device has no such queue")
	}
	if want == 0 {
		want = DefaultQueueSize
	}
	n := min(limit, want, maxQueueSize)
	if n < 2 {
		return 0, errors.New("device allows only a single descriptor")
	}
	return 1 << (bits.Len(uint(n)) - 1), nil
}

// Ring parts in one piece of memory. The used ring gets its own cache lines,
// since the device writes there.
func availOffset(size int) int { return 16 * size }
func usedOffset(size int) int  { return (availOffset(size) + 8 + 2*size + 63) &^ 63 }
func ringBytes(size int) int   { return usedOffset(size) + 8 + 8*size }

// reset puts all descriptors on the free list and suppresses interrupts.
func (q *Queue) reset() {
	q.next = make([]uint16, q.size)
	q.chains = make([]chain, q.size)
	for i := range q.next {
		q.next[i] = uint16(i) + 1
	}
	q.numFree = q.size
	if q.eventIdx {
		atomic.StoreUint32(q.usedEvent, 0xffff)
		return
	}
	atomic.StoreUint32(q.availHead, noInterrupt)
}

// addTables makes n indirect tables, or none if there is no memory.
func (q *Queue) addTables(mem Memory, n int) {
	if n == 0 {
		return
	}
	virt, phys := mem.Alloc(n * tableLength * 16)
	if virt == nil {
		return
	}
	q.tables, q.tablesPhys = descriptors(virt, n*tableLength), phys
	for i := range n {
		q.idleTables = append(q.idleTables, uint16(i))
	}
}

// Size is the count of descriptors, a power of two.
func (q *Queue) Size() int { return int(q.size) }

// Free is how many more descriptors can be posted: none once the queue has been
// shut down.
func (q *Queue) Free() int {
	if q.dead {
		return 0
	}
	return int(q.numFree)
}

// Err returns the QueueError of a queue that has been shut down, or nil. It may be
// called at any time.
func (q *Queue) Err() error {
	if e := q.err.Load(); e != nil {
		return e
	}
	return nil
}

// AddOne posts one segment, which the device writes to if writable is true. ok is
// false if the ring is full or shut down. The device doesn't see it before
// Publish. The id, below Size, comes back from Take; no other chain has it
// meanwhile.
func (q *Queue) AddOne(s Segment, writable bool) (id uint16, ok bool) {
	if q.numFree == 0 || q.dead {
		return 0, false
	}
	id = q.free
	c := chain{tail: id, count: 1, posted: true}
	flags := uint16(0)
	if writable {
		flags, c.room = descWrite, s.Len
	}
	q.desc[id] = descriptor{s.Phys, s.Len, flags, 0}
	q.enqueue(c)
	return id, true
}

// Add posts a chain of which the device reads out and writes in. It is like
// AddOne otherwise. The whole must not have more segments than Size.
func (q *Queue) Add(out, in []Segment) (id uint16, ok bool) {
	n := len(out) + len(in)
	if q.dead || n == 0 || q.numFree == 0 {
		return 0, false
	}
	id = q.free
	if q.indirect(n) {
		q.enqueue(q.fillTable(out, in))
		return id, true
	}
	if n > int(q.numFree) {
		return 0, false
	}
	q.enqueue(q.fillDirect(out, in))
	return id, true
}

// indirect decides for a table instead of a chain of descriptors: only when
// free descriptors get short, because a table costs the device a look-up.
func (q *Queue) indirect(n int) bool {
	return n > 1 && n > int(q.numFree)/4 && n <= min(tableLength, int(q.size)) && len(q.idleTables) > 0
}

// fillDirect writes a chain into the next free descriptors.
func (q *Queue) fillDirect(out, in []Segment) chain {
	c := chain{count: uint16(len(out) + len(in)), posted: true}
	id := q.free
	for _, s := range out {
		c.tail = id
		id = q.next[id]
		q.desc[c.tail] = descriptor{s.Phys, s.Len, descNext, id}
	}
	for _, s := range in {
		c.tail = id
		id = q.next[id]
		q.desc[c.tail] = descriptor{s.Phys, s.Len, descNext | descWrite, id}
		c.room += s.Len
	}
	q.desc[c.tail].flags &^= descNext
	return c
}

// fillTable writes a chain into an indirect table, and the table's address into
// the next free descriptor.
func (q *Queue) fillTable(out, in []Segment) chain {
	last := len(q.idleTables) - 1
	t := q.idleTables[last]
	q.idleTables = q.idleTables[:last]
	table := q.tables[int(t)*tableLength:][:tableLength]

	c := chain{tail: q.free, count: 1, table: t + 1, posted: true}
	n := 0
	for _, s := range out {
		table[n] = descriptor{s.Phys, s.Len, descNext, uint16(n + 1)}
		n++
	}
	for _, s := range in {
		table[n] = descriptor{s.Phys, s.Len, descNext | descWrite, uint16(n + 1)}
		c.room += s.Len
		n++
	}
	table[n-1].flags &^= descNext
	q.desc[q.free] = descriptor{q.tablesPhys + uint64(t)*tableLength*16, uint32(n) * 16, descIndirect, 0}
	return c
}

// enqueue takes c's descriptors off the free list and puts its head, the
// list's first, into the available ring.
func (q *Queue) enqueue(c chain) {
	head := q.free
	q.chains[head] = c
	q.free = q.next[c.tail]
	q.numFree -= c.count
	q.availRing[q.filled&q.mask] = head
	q.filled++
}

// Publish shows the device what was added since the last Publish, and notifies
// it if it asked for that. It does nothing if nothing was added.
func (q *Queue) Publish() {
	if q.Show() {
		q.Ring()
	}
}

// Show is Publish without the notification: it reports whether one is due.
func (q *Queue) Show() (ring bool) {
	if q.filled == q.published || q.dead {
		return false
	}
	before := q.published
	q.published = q.filled
	// Descriptors and ring entries become visible no later than this store of
	// flags and idx as one word; and it precedes the load below (store-load
	// fence), or both sides could miss each other's last step and sleep.
	atomic.StoreUint32(q.availHead, uint32(q.filled)<<16|q.flags())
	return q.wantsNotify(before)
}

// Ring notifies the device. It may be called at any time, also while others use the
// queue: it is an exit of the virtual machine, too long for others to wait.
func (q *Queue) Ring() { q.bell.Ring() }

// flags of the available ring outside Wait.
func (q *Queue) flags() uint32 {
	if q.eventIdx || q.armed {
		return 0 // as section 2.7.7.1 demands; or an interrupt is wanted
	}
	return noInterrupt
}

// wantsNotify is section 2.7.10: has published passed the index that the device
// waits for?
func (q *Queue) wantsNotify(before uint16) bool {
	if q.eventIdx {
		event := uint16(atomic.LoadUint32(q.availEvent))
		return q.published-event-1 < q.published-before
	}
	return atomic.LoadUint32(q.usedHead)&noNotify == 0
}

// Completed is how many chains the device claims to have completed since the
// last Mark. It may be called at any time; a violation shows in Take.
func (q *Queue) Completed() int {
	seen := atomic.LoadUint32(&q.seen)
	if seen&SeenDead != 0 {
		return 0
	}
	return int(uint16(atomic.LoadUint32(q.usedHead)>>16) - uint16(seen))
}

// UnderWay counts the chains that were published, and those that the device has
// completed; both wrap round. It only reads shared memory, and may be called at
// any time.
func (q *Queue) UnderWay() (published, completed uint16) {
	return uint16(atomic.LoadUint32(q.availHead) >> 16), uint16(atomic.LoadUint32(q.usedHead) >> 16)
}

// Take returns the next chain that the device is done with: the id that Add
// gave, and how many bytes the device wrote, never more than there was room for.
// For a chain without writable segments it is 0: there the device's word means
// nothing (and some devices put garbage there). ok is false if there is none, or
// the queue is shut down.
func (q *Queue) Take() (id uint16, n uint32, ok bool) {
	if q.taken == q.usedIdx && !q.refresh() {
		return 0, 0, false
	}
	element := &q.usedRing[q.taken&q.mask]
	// Each is loaded once, so that the device can't change what was checked.
	head, n := atomic.LoadUint32(&element.id), atomic.LoadUint32(&element.length)
	if head >= uint32(q.size) {
		q.Fail("completed descriptor " + decimal(head) + " of " + decimal(uint32(q.size)))
		return 0, 0, false
	}
	c := &q.chains[head]
	if !c.posted {
		q.Fail("completed descriptor " + decimal(head) + ", which it was not given")
		return 0, 0, false
	}
	if c.room == 0 {
		n = 0
	}
	if n > c.room {
		q.Fail("wrote " + decimal(n) + " bytes where " + decimal(c.room) + " fit")
		return 0, 0, false
	}
	q.release(uint16(head))
	q.taken++
	return uint16(head), n, true
}

// refresh reads the device's used index. It reports whether Take may go on.
func (q *Queue) refresh() bool {
	if q.dead {
		return false
	}
	idx := uint16(atomic.LoadUint32(q.usedHead) >> 16)
	if idx == q.taken {
		return false
	}
	if idx-q.taken > q.published-q.taken {
		q.Fail("moved its index by " + decimal(uint32(idx-q.taken)) + " with " +
			decimal(uint32(q.published-q.taken)) + " chains posted")
		return false
	}
	q.usedIdx = idx
	return true
}

// release puts a completed chain's descriptors back on the free list.
func (q *Queue) release(head uint16) {
	c := &q.chains[head]
	q.next[c.tail] = q.free
	q.free = head
	q.numFree += c.count
	if c.table != 0 {
		q.idleTables = append(q.idleTables, c.table-1) // within its capacity
	}
	c.posted = false
}

// Fail shuts the queue down because the device did what reason says ("wrote
// 7 bytes ..."). Drivers call it for violations that only they can see.
func (q *Queue) Fail(reason string) {
	if q.dead {
		return
	}
	q.dead = true
	q.usedIdx = q.taken
	err := &QueueError{q.name, reason}
	q.err.Store(err)
	atomic.StoreUint32(&q.seen, SeenDead)
	if q.report != nil {
		q.report(err)
	}
}

// Mark shows Pending and UsedIndexAddress how far Take has come. Drivers call it
// at the end of a batch.
func (q *Queue) Mark() {
	if seen := uint32(q.taken); !q.dead && q.seen != seen {
		atomic.StoreUint32(&q.seen, seen)
	}
}

// Pending tells whether the device has completed something since the last Mark.
// It may be called at any time, from anywhere: it only reads two words.
func (q *Queue) Pending() bool { return Fresh(q.usedHead, &q.seen) }

// UsedIndexAddress returns the words by which the scheduler can see completions
// without a call into the driver: pass them to Fresh. Both stay valid for good.
// The first is the device's (flags, and idx in the upper half), the second the
// driver's (the index up to which it has taken, or SeenDead).
func (q *Queue) UsedIndexAddress() (used, seen *uint32) { return q.usedHead, &q.seen }

// Fresh tells whether the two words of UsedIndexAddress mean that there is
// something to take. It neither blocks, allocates nor calls, so that the lower
// half may use it with interrupts off.
func Fresh(used, seen *uint32) bool {
	s := atomic.LoadUint32(seen)
	return s&SeenDead == 0 && uint16(atomic.LoadUint32(used)>>16) != uint16(s)
}

// Wait parks the goroutine until Take may find something, with the device's
// interrupts enabled meanwhile, and returns at once if there is something
// already. It may return early. On a queue that has been shut down it waits for
// any interrupt of the device. The queue must have been made with Interrupts.
func (q *Queue) Wait() {
	if q.dead {
		q.waiter.Wait()
		return
	}
	q.Mark()
	if q.arm() {
		q.waiter.Wait()
	}
	q.disarm()
}

// Await is Wait for a queue that others use meanwhile: it gives up l, which guards
// the queue and is held by the caller, while the goroutine is parked. Only one
// goroutine may be in it. It returns at once from a queue that was shut down.
func (q *Queue) Await(l sync.Locker) {
	if q.dead {
		return
	}
	q.Mark()
	q.armed = true
	if q.arm() {
		l.Unlock()
		q.waiter.Wait()
		l.Lock()
	}
	q.armed = false
	if !q.dead {
		q.disarm()
	}
}

// arm asks for an interrupt with the next completion. It reports false if there
// is one already, for which none may come. The store comes before the load, or
// both sides could miss each other's last step (section 2.7.7).
func (q *Queue) arm() bool {
	if q.eventIdx {
		atomic.StoreUint32(q.usedEvent, uint32(q.taken))
	} else {
		atomic.StoreUint32(q.availHead, uint32(q.published)<<16)
	}
	return uint16(atomic.LoadUint32(q.usedHead)>>16) == q.taken
}

// disarm suppresses interrupts. With event indices nothing needs to be done: the
// device is past the one that was asked for, or will interrupt once more.
func (q *Queue) disarm() {
	if !q.eventIdx {
		atomic.StoreUint32(q.availHead, uint32(q.published)<<16|noInterrupt)
	}
}

func decimal(v uint32) string { return strconv.FormatUint(uint64(v), 10) }
