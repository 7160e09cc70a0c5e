package blk

import (
	"errors"
	"strconv"

	"pith/kernel/virtio"
)

// transfer reads or writes, in as many requests as it takes.
func (d *Device) transfer(kind uint32, off int64, pieces [][]byte) error {
	total := 0
	for _, p := range pieces {
		total += len(p)
	}
	if off < 0 || off%SectorSize != 0 || total%SectorSize != 0 || off > d.size || int64(total) > d.size-off {
		return errors.New("virtio-blk: " + strconv.Itoa(total) + " bytes at " + strconv.FormatInt(off, 10) + " are not on the device")
	}
	d.requests.Lock()
	defer d.requests.Unlock()
	t := transfer{d: d, kind: kind, off: off, pieces: pieces, left: total}
	for t.left > 0 || len(t.under) > 0 {
		if t.fill(); t.left > 0 && d.idle() {
			continue
		}
		t.finish()
	}
	return t.err
}

// transfer is one under way. The lock of the device's requests is held in its methods.
type transfer struct {
	d      *Device
	kind   uint32
	off    int64
	pieces [][]byte
	left   int     // bytes that no request was made for
	under  []*slot // under way, in order
	err    error   // the first
}

// fill makes requests as there are slots, at most a batch, and tells the device of them
// together. It waits for a slot only if none of the transfer's is under way.
func (t *transfer) fill() {
	for n := 0; n < batch && t.left > 0 && (len(t.under) == 0 || t.d.idle()); n++ {
		size := min(t.left, t.d.most)
		var part [][]byte
		part, t.pieces = cut(t.pieces, t.d.most)
		t.under = append(t.under, t.d.post(t.kind, t.off, part, size))
		t.off, t.left = t.off+int64(size), t.left-size
	}
	t.d.requests.Publish()
}

// finish waits for the oldest request, and takes those that are done with it. After an
// error no more are made.
func (t *transfer) finish() {
	for first := true; len(t.under) > 0 && (first || t.under[0].done()); first = false {
		err := t.d.finish(t.under[0])
		t.under = t.under[1:]
		if err != nil {
			t.left = 0
		}
		if t.err == nil {
			t.err = err
		}
	}
}

// alone makes one request and waits for it. The caller holds the lock of d.requests.
func (d *Device) alone(kind uint32, pieces [][]byte, n int) error {
	s := d.post(kind, 0, pieces, n)
	d.requests.Publish()
	return d.finish(s)
}

// idle tells whether a request can be made at once.
func (d *Device) idle() bool {
	if len(d.free) == 0 && d.unmade > 0 {
		d.makeSlot()
	}
	return len(d.free) > 0
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

// post makes a request of n bytes; Publish and finish must follow. It waits for a slot. It
// returns nil if the device has been shut down. The caller holds the lock of d.requests.
func (d *Device) post(kind uint32, off int64, pieces [][]byte, n int) *slot {
	for d.requests.Err() == nil && !d.idle() {
		d.requests.AwaitChange() // of those who have the slots
	}
	if d.requests.Err() != nil {
		return nil
	}
	s := d.free[len(d.free)-1]
	d.free = d.free[:len(d.free)-1]
	s.kind, s.pieces, s.length = kind, pieces, n
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
	out, in := s.segments()
	if !d.requests.Add(&s.Request, out, in) {
		return nil // only a dead queue has no room for the request of a free slot
	}
	return s
}

// done tells whether finish would not wait.
func (s *slot) done() bool { return s == nil || s.Done() }

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

// finish waits for a request of post's and says how it went. The caller holds the lock of
// d.requests, which is given up meanwhile.
func (d *Device) finish(s *slot) error {
	if s == nil || !d.requests.Finish(&s.Request) {
		return d.requests.Err() // the device may still write to the slot
	}
	status := s.head[headerSize] // read once
	if err := d.judge(s, status); err != nil {
		if d.requests.Err() == nil {
			d.free = append(d.free, s)
			d.requests.Changed()
		}
		return err
	}
	if s.kind != kindWrite {
		d.requests.Unlock() // the slot is the caller's alone until it is free
		at := 0
		for _, p := range s.pieces {
			at += copy(p, s.data[at:s.length])
		}
		d.requests.Lock()
	}
	s.pieces = nil
	d.free = append(d.free, s)
	d.requests.Changed()
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
		d.requests.Fail("completed a request with status " + strconv.Itoa(int(status)))
		return d.requests.Err()
	}
	if s.kind == kindRead && int(s.Written) != s.length+1 {
		d.requests.Fail("read " + strconv.Itoa(int(s.Written)) + " bytes of " + strconv.Itoa(s.length+1))
		return d.requests.Err()
	}
	return nil
}
