package p9

import (
	"errors"
	"strconv"

	"pith/kernel/virtio"
)

// Exchange sends a request, the pieces one behind the other, waits for the reply and
// copies it into the pieces of reply. It returns the reply's length, which may be
// more than those hold. slot, below Requests, is the caller's alone meanwhile. One
// of the two messages must have at most 4 KiB: a longer request gets no longer reply.
func (d *Device) Exchange(slot int, request, reply [][]byte) (int, error) {
	s := d.slots[slot]
	out, in, err := s.load(request)
	if err != nil {
		return 0, err
	}
	if err := d.roundTrip(s, out, in); err != nil {
		return 0, err
	}
	left := s.reply[:s.Written]
	for _, p := range reply {
		left = left[copy(p, left):]
	}
	return int(s.Written), nil
}

// load puts a request into the slot's memory, and says what the device reads and
// where it writes.
func (s *slot) load(request [][]byte) (out, in virtio.Segment, err error) {
	n := 0
	for _, p := range request {
		n += len(p)
	}
	out = virtio.Segment{Phys: s.smallPhys, Len: uint32(n)}
	in = virtio.Segment{Phys: s.largePhys, Len: largeSize}
	from := s.small
	s.reply = s.large
	switch {
	case n == 0 || n > largeSize:
		return out, in, errors.New("virtio-9p: a request of " + strconv.Itoa(n) + " bytes")
	case n > smallSize:
		out.Phys, in = s.largePhys, virtio.Segment{Phys: s.smallPhys, Len: smallSize}
		from, s.reply = s.large, s.small
	}
	for _, p := range request {
		from = from[copy(from, p):]
	}
	return out, in, nil
}

// roundTrip has the device read out, and waits until it has written in.
func (d *Device) roundTrip(s *slot, out, in virtio.Segment) error {
	d.requests.Lock()
	defer d.requests.Unlock()
	// Only a dead queue has no room for a slot's request, and leaves one unfinished.
	if !d.requests.Post(&s.Request, []virtio.Segment{out}, []virtio.Segment{in}) || !d.requests.Finish(&s.Request) {
		return d.stopped()
	}
	return nil
}

func (d *Device) stopped() error {
	if err := d.requests.Err(); err != nil {
		return err
	}
	return errors.New("virtio-9p: a slot is used twice")
}
