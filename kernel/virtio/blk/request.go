package blk

import (
	"errors"
	"strconv"

	"pith/kernel/virtio"
)

// transfer reads or writes, in as many requests as it takes.
func (d *Device) transfer(kind uint32, off int64, pieces [][]byte) (err error) {
	total := 0
	for _, p := range pieces {
		total += len(p)
	}
	if off < 0 || off%SectorSize != 0 || total%SectorSize != 0 || off > d.size || int64(total) > d.size-off {
		return errors.New("virtio-blk: " + strconv.Itoa(total) + " bytes at " + strconv.FormatInt(off, 10) + " are not on the device")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var under []*slot // under way, in order
	for total > 0 || len(under) > 0 {
		if total > 0 && err == nil && (len(under) == 0 || len(d.free) > 0) {
			var part [][]byte
			part, pieces = cut(pieces, d.most)
			n := min(total, d.most)
			under = append(under, d.post(kind, off, part, n))
			off, total = off+int64(n), total-n
			continue
		}
		if len(under) == 0 {
			return err
		}
		if failed := d.finish(under[0]); err == nil {
			err = failed
		}
		under = under[1:]
	}
	return err
}

// cut splits the first n bytes off pieces.
func cut(pieces [][]byte, n int) (first, rest [][]byte) {
	for i, p := range pieces {
		if len(p) >= n {
			first = append(first, p[:n])
			return first, append([][]byte{p[n:]}, pieces[i+1:]...)
		}
		first, n = append(first, p), n-len(p)
	}
	return first, nil
}

// post makes a request of n bytes; finish must follow. It waits for a slot. It
// returns nil if the device has been shut down. The caller holds d.mu.
func (d *Device) post(kind uint32, off int64, pieces [][]byte, n int) *slot {
	for len(d.free) == 0 && d.queue.Err() == nil {
		d.wait()
	}
	if d.queue.Err() != nil {
		return nil
	}
	s := d.free[len(d.free)-1]
	d.free = d.free[:len(d.free)-1]
	s.kind, s.pieces, s.length, s.done = kind, pieces, n, false
	virtio.Store32(s.head, kind)
	virtio.Store32(s.head[4:], 0)
	virtio.Store64(s.head[8:], uint64(off/SectorSize))
	s.head[headerSize] = notDone
	if kind == kindWrite {
		at := 0
		for _, p := range pieces {
			at += copy(s.data[at:], p)
		}
	}
	id, ok := d.queue.Add(s.segments())
	if !ok {
		return nil // only a dead queue has no room for the request of a free slot
	}
	d.posted[id] = s
	d.queue.Publish()
	return s
}

// segments is what the device reads and what it writes.
func (s *slot) segments() (out, in []virtio.Segment) {
	out = []virtio.Segment{{Phys: s.headPhys, Len: headerSize}}
	data := virtio.Segment{Phys: s.dataPhys, Len: uint32(s.length)}
	switch s.kind {
	case kindWrite:
		out = append(out, data)
	case kindRead, kindSerial:
		in = append(in, data)
	}
	return out, append(in, virtio.Segment{Phys: s.headPhys + headerSize, Len: 1})
}

// finish waits for a request of post's and says how it went. The caller holds d.mu.
func (d *Device) finish(s *slot) error {
	for s != nil && !s.done && d.queue.Err() == nil {
		d.wait()
	}
	if s == nil || !s.done {
		return d.queue.Err() // the device may still write to the slot
	}
	status := s.head[headerSize] // read once
	if err := d.judge(s, status); err != nil {
		if d.queue.Err() == nil {
			d.free = append(d.free, s)
			d.changed.Broadcast()
		}
		return err
	}
	if s.kind != kindWrite {
		at := 0
		for _, p := range s.pieces {
			at += copy(p, s.data[at:s.length])
		}
	}
	d.free = append(d.free, s)
	d.changed.Broadcast()
	return nil
}

// judge says what a status means, and shuts the device down if it is none.
func (d *Device) judge(s *slot, status byte) error {
	switch status {
	case 0:
	case 1:
		return errors.New("the host can't read or write the disk's file (is the host's own disk full?)")
	case 2:
		return errors.New("virtio-blk: the host does not support the request")
	default:
		d.fail("completed a request with status " + strconv.Itoa(int(status)))
		return d.queue.Err()
	}
	if s.kind == kindRead && int(s.written) != s.length+1 {
		d.fail("read " + strconv.Itoa(int(s.written)) + " bytes of " + strconv.Itoa(s.length+1))
		return d.queue.Err()
	}
	return nil
}

func (d *Device) fail(reason string) {
	d.queue.Fail(reason)
	d.changed.Broadcast()
}

// wait returns when something may have changed. One goroutine waits for the
// device, the others for that one.
func (d *Device) wait() {
	if d.take() {
		return
	}
	if d.waiting {
		d.changed.Wait()
		return
	}
	d.waiting = true
	d.queue.Await(&d.mu)
	d.waiting = false
	d.take()
	d.changed.Broadcast()
}

// take marks what the device has completed; it reports whether there was something.
func (d *Device) take() (any bool) {
	for {
		id, n, ok := d.queue.Take()
		if !ok {
			break
		}
		s := d.posted[id]
		d.posted[id] = nil
		s.written, s.done, any = n, true, true
	}
	if any {
		d.changed.Broadcast()
	}
	return any || d.queue.Err() != nil
}
