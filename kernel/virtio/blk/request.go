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
	d.requests.Lock()
	defer d.requests.Unlock()
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
// returns nil if the device has been shut down. The caller holds the lock of d.requests.
func (d *Device) post(kind uint32, off int64, pieces [][]byte, n int) *slot {
	for len(d.free) == 0 && d.requests.Err() == nil {
		d.requests.Wait()
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
	if !d.requests.Post(&s.Request, out, in) {
		return nil // only a dead queue has no room for the request of a free slot
	}
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

// finish waits for a request of post's and says how it went. The caller holds the lock of d.requests.
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
		at := 0
		for _, p := range s.pieces {
			at += copy(p, s.data[at:s.length])
		}
	}
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
