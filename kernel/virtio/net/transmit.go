package net

import (
	"sync"
	"sync/atomic"

	"pith/kernel/link"
	"pith/kernel/virtio"
)

const (
	// reclaimBatch is how many completed frames are worth a reclaim.
	reclaimBatch = 32
	// indirectTables is how many long frames may be under way at once when the
	// ring gets short.
	indirectTables = 32
)

// transmitter is a transmit queue.
type transmitter struct {
	pool     *link.Pool
	features link.Features

	mu       sync.Mutex
	queue    *virtio.Queue
	frames   []*link.Buffer   // under way, by descriptor id
	segments []virtio.Segment // scratch

	sent, bytes, full, refused atomic.Uint64
}

func (t *transmitter) init(tr virtio.Transport, mem virtio.Memory, o virtio.QueueOptions, pool *link.Pool) (err error) {
	t.pool, t.features = pool, linkFeatures(o.Features)
	if t.queue, err = virtio.NewQueue(tr, mem, o); err != nil {
		return err
	}
	t.frames = make([]*link.Buffer, t.queue.Size())
	t.segments = make([]virtio.Segment, 0, t.queue.Size())
	return nil
}

// transmit queues a frame or frees it.
func (t *transmitter) transmit(frame *link.Buffer, o *link.Offload) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reclaimSome()
	if frame.Off < headerSize {
		frame = t.addHeadroom(frame)
	}
	if frame == nil || !encode(frame.Data[frame.Off-headerSize:frame.Off], o, &t.features) {
		t.refused.Add(1)
		frame.Free()
		return false
	}
	id, ok := t.post(frame)
	if !ok {
		t.full.Add(1)
		frame.Free()
		return false
	}
	t.frames[id] = frame
	t.sent.Add(1)
	t.bytes.Add(uint64(chainLen(frame)))
	return true
}

// addHeadroom puts an empty buffer in front of a frame. It frees the frame and
// returns nil if there is none.
func (t *transmitter) addHeadroom(frame *link.Buffer) *link.Buffer {
	b := t.pool.Get()
	if b == nil {
		frame.Free()
		return nil
	}
	b.Next = frame
	return b
}

// post adds a frame, whose header is in place, to the ring.
func (t *transmitter) post(frame *link.Buffer) (id uint16, ok bool) {
	first := virtio.Segment{
		Phys: frame.Phys + uint64(frame.Off-headerSize),
		Len:  uint32(frame.Len + headerSize),
	}
	if frame.Next == nil {
		return t.queue.AddOne(first, false)
	}
	s := append(t.segments, first)
	for b := frame.Next; b != nil; b = b.Next {
		if b.Len == 0 { // a descriptor must not be empty
			continue
		}
		if len(s) == cap(s) {
			return 0, false
		}
		s = append(s, virtio.Segment{Phys: b.Phys + uint64(b.Off), Len: uint32(b.Len)})
	}
	return t.queue.Add(s, nil)
}

// flush publishes what was queued.
func (t *transmitter) flush() {
	t.mu.Lock()
	ring := t.queue.Show()
	t.mu.Unlock()
	if ring {
		t.queue.Ring()
	}
}

// tidy reclaims if there is enough to do, and nobody else is at it.
func (t *transmitter) tidy() {
	if t.queue.Completed() < reclaimBatch || !t.mu.TryLock() {
		return
	}
	t.reclaim()
	t.mu.Unlock()
}

// reclaimSome reclaims when it is worth it, or the ring gets short; in the latter
// case the device must also know of all frames, to get on. t.mu is held.
func (t *transmitter) reclaimSome() {
	free, size := t.queue.Free(), t.queue.Size()
	if free < size/4 {
		t.queue.Publish()
		t.reclaim()
		return
	}
	if size-free >= reclaimBatch && t.queue.Completed() >= reclaimBatch {
		t.reclaim()
	}
}

// reclaim frees all frames that the device has sent. t.mu is held.
func (t *transmitter) reclaim() {
	var done *link.Buffer
	for {
		id, _, ok := t.queue.Take()
		if !ok {
			break
		}
		frame := t.frames[id]
		t.frames[id] = nil
		last := frame
		for last.Next != nil {
			last = last.Next
		}
		last.Next, done = done, frame
	}
	t.queue.Mark()
	done.Free()
}
