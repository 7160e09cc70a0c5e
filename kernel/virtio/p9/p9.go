// Package p9 is the virtio 9P device: it carries 9P messages to a server in the
// host. Virtio 1.2 gives it the type 9 and no section of its own; its one queue, its
// feature and its configuration space are those of Linux's
// include/uapi/linux/virtio_9p.h and of QEMU's hw/9pfs.
//
// It relies on package virtio. Messages pass through memory of the device's,
// because Go's is not contiguous for the host; several are under way at once. It
// must not know what a message says: package ninep does.
package p9

import (
	"errors"
	"strconv"

	"pith/kernel/virtio"
)

// featureTag says that the device has a name (VIRTIO_9P_MOUNT_TAG).
const featureTag = uint64(1) << 0

const (
	slots     = 8         // requests under way at once
	smallSize = 4 << 10   // bytes of the smaller of a request and its reply,
	largeSize = 128 << 10 // and of the larger
	maxTag    = 255       // bytes of a device's name
)

// Device is a virtio 9P device. Its methods may be called from several goroutines.
type Device struct {
	tag string

	slots    []*slot
	requests *virtio.Requests
}

// slot is the memory of one request and its reply.
type slot struct {
	virtio.Request

	small, large         []byte
	smallPhys, largePhys uint64

	reply []byte // where the reply lies: in small or large
}

// New starts the device behind t. report, which may be nil, is told if the device
// breaks the rules and is shut down.
func New(t virtio.Transport, mem virtio.Memory, report func(error)) (*Device, error) {
	if t.Type() != virtio.Type9P {
		return nil, errors.New("virtio-9p: device is of type " + strconv.FormatUint(uint64(t.Type()), 10))
	}
	d, err := start(t, mem, report)
	if err != nil {
		virtio.Fail(t)
		return nil, errors.Join(errors.New("virtio-9p: device does not start"), err)
	}
	return d, nil
}

func start(t virtio.Transport, mem virtio.Memory, report func(error)) (*Device, error) {
	features, err := virtio.Negotiate(t, featureTag|virtio.FeatureEventIdx)
	if err != nil {
		return nil, err
	}
	d := &Device{}
	if features&featureTag != 0 {
		if d.tag, err = readTag(t); err != nil {
			return nil, err
		}
	}
	queue, err := virtio.NewQueue(t, virtio.Pack(mem), virtio.QueueOptions{
		Name: "virtio-9p queue", Size: 2 * slots, Features: features, Interrupts: true, Report: report,
	})
	if err != nil {
		return nil, err
	}
	d.requests = virtio.NewRequests(queue)
	for range queue.Size() / 2 {
		if s := newSlot(mem); s != nil {
			d.slots = append(d.slots, s)
		}
	}
	if len(d.slots) == 0 {
		return nil, errors.New("no memory for its buffers")
	}
	virtio.Ready(t)
	return d, nil
}

// newSlot returns nil if there is no memory: a small machine gets by with few.
func newSlot(mem virtio.Memory) *slot {
	s := &slot{}
	s.small, s.smallPhys = mem.Alloc(smallSize)
	s.large, s.largePhys = mem.Alloc(largeSize)
	if s.small == nil || s.large == nil {
		return nil
	}
	return s
}

// readTag reads the device's name: its length in two bytes, then the name.
func readTag(t virtio.Transport) (tag string, err error) {
	virtio.ReadConfig(t, func(r virtio.Registers) {
		n := uint32(r.Read16(0))
		if n == 0 || n > maxTag {
			err = errors.New("it has a name of " + strconv.FormatUint(uint64(n), 10) + " bytes")
			return
		}
		b := make([]byte, n)
		for i := range n {
			b[i] = r.Read8(2 + i)
		}
		tag, err = string(b), nil
	})
	return tag, err
}

// Tag is the device's name; "" if it has none.
func (d *Device) Tag() string { return d.tag }

// Requests is how many requests may be under way at once.
func (d *Device) Requests() int { return len(d.slots) }

// MessageSize is the size of the largest message, in bytes.
func (d *Device) MessageSize() int { return largeSize }

// Err says why the device was shut down; nil as long as it was not.
func (d *Device) Err() error { return d.requests.Err() }
