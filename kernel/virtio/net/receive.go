package net

import (
	"strconv"
	"sync/atomic"

	"pith/kernel/link"
	"pith/kernel/virtio"
)

const (
	// receiveOffset is where in a buffer the device begins to write: its header
	// goes in front of the headroom's end, so that the frame begins where a fresh
	// buffer's payload does, and a reply can be built in place.
	receiveOffset = link.Headroom - headerSize
	// receiveRoom is how many bytes the device may write into one buffer.
	receiveRoom = link.BufferSize - receiveOffset
	// maxFrame is the longest frame that merged segments make (section 5.1.6.3),
	// with one VLAN tag.
	maxFrame = 65550 + 4
)

// receiver is a receive queue. One goroutine at a time uses it (link.Device).
type receiver struct {
	queue    *virtio.Queue
	pool     *link.Pool
	features rxFeatures
	posted   []*link.Buffer // by descriptor id
	batch    int            // refill when so many are missing
	low      int            // with fewer posted, frames are dropped

	frames, bytes, malformed, noBuffer atomic.Uint64
}

func (r *receiver) init(t virtio.Transport, mem virtio.Memory, o virtio.QueueOptions, pool *link.Pool) (err error) {
	r.pool = pool
	r.features = rxFeatures{
		checksum:  o.Features&featureGuestChecksum != 0,
		tso4:      o.Features&featureGuestTSO4 != 0,
		tso6:      o.Features&featureGuestTSO6 != 0,
		mergeable: o.Features&featureMergeable != 0,
	}
	if r.queue, err = virtio.NewQueue(t, mem, o); err != nil {
		return err
	}
	r.posted = make([]*link.Buffer, r.queue.Size())
	r.batch, r.low = max(r.queue.Size()/8, 1), r.queue.Size()/4
	return nil
}

// poll delivers up to budget frames, refills the ring and publishes once.
func (r *receiver) poll(budget int, deliver func(*link.Buffer, link.Offload)) int {
	delivered, bytes := 0, 0
	for range budget {
		var o link.Offload
		frame, more := r.next(&o)
		if !more {
			break
		}
		if frame == nil {
			continue
		}
		delivered++
		bytes += chainLen(frame)
		deliver(frame, o)
	}
	if delivered > 0 {
		r.frames.Add(uint64(delivered))
		r.bytes.Add(uint64(bytes))
	}
	if r.queue.Free() >= r.batch {
		r.refill()
	}
	r.queue.Publish()
	r.queue.Mark()
	return delivered
}

// chainLen is a frame's length in bytes.
func chainLen(frame *link.Buffer) (n int) {
	for b := frame; b != nil; b = b.Next {
		n += b.Len
	}
	return n
}

// next takes one frame off the ring. frame is nil if it was dropped, and more
// false if there was none.
func (r *receiver) next(o *link.Offload) (frame *link.Buffer, more bool) {
	id, n, ok := r.queue.Take()
	if !ok {
		return nil, false
	}
	frame = r.claim(id)
	if n < headerSize {
		r.queue.Fail("wrote a frame of " + strconv.Itoa(int(n)) + " bytes, less than its header")
		frame.Free()
		return nil, false
	}
	h := readHeader(frame.Data[receiveOffset:link.Headroom])
	frame.Off, frame.Len = link.Headroom, int(n)-headerSize
	size := frame.Len
	if r.features.mergeable && h.buffers() != 1 {
		if size, ok = r.merge(frame, h.buffers()); !ok {
			frame.Free()
			return nil, false
		}
	}
	if frame.Len < etherHeader || size > maxFrame || !h.decode(o, size, &r.features) {
		r.malformed.Add(1)
		frame.Free()
		return nil, true
	}
	if r.starving() {
		r.noBuffer.Add(1)
		r.recycle(frame)
		return nil, true
	}
	return frame, true
}

// claim takes the buffer that was posted as id.
func (r *receiver) claim(id uint16) *link.Buffer {
	b := r.posted[id]
	r.posted[id] = nil
	return b
}

// merge chains the rest of a frame of count buffers behind its first (section
// 5.1.6.4), and returns the frame's size in bytes. The device must have completed
// all of them together.
func (r *receiver) merge(first *link.Buffer, count int) (size int, ok bool) {
	if count == 0 {
		r.queue.Fail("wrote a frame of no buffers")
		return 0, false
	}
	size = first.Len
	last := first
	for i := 1; i < count; i++ {
		id, n, ok := r.queue.Take()
		if !ok || n == 0 {
			r.queue.Fail("wrote a frame of " + strconv.Itoa(count) + " buffers and filled " + strconv.Itoa(i))
			return 0, false
		}
		b := r.claim(id)
		b.Off, b.Len = receiveOffset, int(n)
		size += b.Len
		last.Next = b
		last = b
	}
	return size, true
}

// starving tells whether the pool has failed to keep the ring filled. Then
// frames are dropped and their buffers posted again: an empty ring would never
// interrupt, and nothing would come any more.
func (r *receiver) starving() bool {
	if r.queue.Size()-r.queue.Free() >= r.low {
		return false
	}
	r.refill()
	return r.queue.Size()-r.queue.Free() < r.low
}

// recycle posts a frame's own buffers.
func (r *receiver) recycle(frame *link.Buffer) {
	for b := frame; b != nil; {
		next := b.Next
		r.post(b)
		b = next
	}
}

// refill posts fresh buffers until the ring is full or the pool empty.
func (r *receiver) refill() {
	for r.queue.Free() > 0 {
		b, _ := r.pool.GetChain(r.queue.Free())
		if b == nil {
			break
		}
		r.recycle(b)
	}
	r.queue.Publish()
}

// post gives one buffer to the device, or back to the pool if the queue is
// shut down.
func (r *receiver) post(b *link.Buffer) {
	b.Next = nil
	id, ok := r.queue.AddOne(virtio.Segment{Phys: b.Phys + receiveOffset, Len: receiveRoom}, true)
	if !ok {
		b.Free()
		return
	}
	r.posted[id] = b
}
