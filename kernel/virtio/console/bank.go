package console

import "pith/kernel/virtio"

// bank is a set of equal buffers for one queue, one descriptor each.
type bank struct {
	virt   [][]byte
	phys   []uint64
	posted []int // slot by descriptor id
	idle   []int // slots not posted
}

// init makes as many slots of size bytes as the queue has descriptors, or fewer
// where memory ends. It reports false if there is none at all.
func (b *bank) init(mem virtio.Memory, q *virtio.Queue, size int) bool {
	b.posted = make([]int, q.Size())
	for i := range q.Size() {
		virt, phys := mem.Alloc(size)
		if virt == nil {
			break
		}
		b.virt, b.phys, b.idle = append(b.virt, virt), append(b.phys, phys), append(b.idle, i)
	}
	return len(b.virt) > 0
}

// post puts the first n bytes of a slot that is not posted on q.
func (b *bank) post(q *virtio.Queue, slot, n int, writable bool) {
	id, ok := q.AddOne(virtio.Segment{Phys: b.phys[slot], Len: uint32(n)}, writable)
	if ok { // else q is shut down, and all is over
		b.posted[id] = slot
	}
}

// postAll has the device write into all idle slots.
func (b *bank) postAll(q *virtio.Queue) {
	for _, slot := range b.idle {
		b.post(q, slot, len(b.virt[slot]), true)
	}
	b.idle = b.idle[:0]
}

// take returns the next slot that the device is done with, and how many bytes it
// wrote there.
func (b *bank) take(q *virtio.Queue) (slot, n int, ok bool) {
	id, written, ok := q.Take()
	if !ok {
		return 0, 0, false
	}
	return b.posted[id], int(written), true
}

// outbox is a queue for what the device reads, with its buffers.
type outbox struct {
	queue *virtio.Queue
	slots bank
}

// idleSlot takes a slot that is free, and parks the goroutine while none is. Its
// error is that of a queue that was shut down.
func (o *outbox) idleSlot() (int, error) {
	for {
		o.reclaim()
		if err := o.queue.Err(); err != nil {
			return 0, err
		}
		if last := len(o.slots.idle) - 1; last >= 0 {
			slot := o.slots.idle[last]
			o.slots.idle = o.slots.idle[:last]
			return slot, nil
		}
		o.queue.Publish()
		o.queue.Wait()
	}
}

// reclaim makes all slots idle that the device has read.
func (o *outbox) reclaim() {
	for {
		slot, _, ok := o.slots.take(o.queue)
		if !ok {
			return
		}
		o.slots.idle = append(o.slots.idle, slot)
	}
}
