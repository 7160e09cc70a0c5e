// Package blk is the virtio block device (virtio 1.2, section 5.2): a disk of the
// host's.
//
// It relies on package virtio. Data passes through memory of the device's, because
// Go's is not contiguous for the host; several requests are under way at once.
// Writes may be cached by the host until Flush (VIRTIO_BLK_F_FLUSH); a device
// without that feature writes through. It must not know what lies on the disk, and
// it keeps no copy of it.
package blk

import (
	"errors"
	"strconv"

	"pith/kernel/virtio"
)

// Features (section 5.2.3).
const (
	featureSizeMax  = uint64(1) << 1
	featureReadOnly = uint64(1) << 5
	featureFlush    = uint64(1) << 9
	wanted          = featureSizeMax | featureReadOnly | featureFlush | virtio.FeatureEventIdx
)

// Kinds of requests (section 5.2.6).
const (
	kindRead   = 0
	kindWrite  = 1
	kindFlush  = 4
	kindSerial = 8
)

// SectorSize is what offsets and lengths are multiples of, in bytes.
const SectorSize = 512

const (
	slots      = 16       // requests under way at once
	slotSize   = 64 << 10 // bytes of one
	batch      = 8        // requests that the device is told of at once: QEMU makes one of neighbours
	headerSize = 16
	serialSize = 20
	notDone    = 0xff // a status that no device gives
)

// Device is a block device. Its methods may be called from several goroutines.
type Device struct {
	size     int64
	readOnly bool
	flushes  bool
	most     int // bytes of one request

	requests *virtio.Requests
	mem      virtio.Memory // for the data of slots, which is made when it is needed
	heads    virtio.Memory

	// Under the lock of requests:
	free   []*slot
	unmade int // slots that there may still be
}

// slot is the memory of one request.
type slot struct {
	virtio.Request

	head     []byte // header, and the status behind it
	headPhys uint64
	data     []byte
	dataPhys uint64

	kind   uint32
	pieces [][]byte // where what is read goes
	length int
}

// New starts the device behind t. report, which may be nil, is told if the device
// breaks the rules and is shut down.
func New(t virtio.Transport, mem virtio.Memory, report func(error)) (*Device, error) {
	if t.Type() != virtio.TypeBlock {
		return nil, errors.New("virtio-blk: device is of type " + strconv.FormatUint(uint64(t.Type()), 10))
	}
	d, err := start(t, mem, report)
	if err != nil {
		virtio.Fail(t)
		return nil, errors.Join(errors.New("virtio-blk: device does not start"), err)
	}
	return d, nil
}

func start(t virtio.Transport, mem virtio.Memory, report func(error)) (*Device, error) {
	features, err := virtio.Negotiate(t, wanted)
	if err != nil {
		return nil, err
	}
	d := &Device{readOnly: features&featureReadOnly != 0, flushes: features&featureFlush != 0, most: slotSize}
	if err := d.configure(t, features); err != nil {
		return nil, err
	}
	packed := virtio.Pack(mem)
	queue, err := virtio.NewQueue(t, packed, virtio.QueueOptions{
		Name: "virtio-blk queue", Size: 4 * slots, Features: features, Interrupts: true, Report: report,
	})
	if err != nil {
		return nil, err
	}
	if queue.Size() < 3 {
		return nil, errors.New("its queue is too short for a request")
	}
	d.requests = virtio.NewRequests(queue)
	d.mem, d.heads, d.unmade = mem, packed, min(slots, queue.Size()/3)
	if d.makeSlot(); len(d.free) == 0 {
		return nil, errors.New("no memory for its buffers")
	}
	virtio.Ready(t)
	return d, nil
}

// makeSlot adds a slot. Where there is no memory, a machine gets by with those it has.
func (d *Device) makeSlot() {
	s := &slot{}
	d.unmade--
	s.head, s.headPhys = d.heads.Alloc(headerSize + 1)
	s.data, s.dataPhys = d.mem.Alloc(slotSize)
	if s.head == nil || s.data == nil {
		d.unmade = 0
		return
	}
	d.free = append(d.free, s)
}

// configure reads the size (section 5.2.4), which the device must not change.
func (d *Device) configure(t virtio.Transport, features uint64) error {
	var sectors uint64
	var sizeMax uint32
	virtio.ReadConfig(t, func(r virtio.Registers) {
		sectors = uint64(r.Read32(0)) | uint64(r.Read32(4))<<32
		if features&featureSizeMax != 0 {
			sizeMax = r.Read32(8)
		}
	})
	if sectors > 1<<53 {
		return errors.New("it claims an impossible size")
	}
	d.size = int64(sectors) * SectorSize
	if features&featureSizeMax != 0 {
		if sizeMax < SectorSize {
			return errors.New("it takes less than a sector at once")
		}
		d.most = min(d.most, int(sizeMax)/SectorSize*SectorSize)
	}
	return nil
}

// Size is the device's size in bytes.
func (d *Device) Size() int64 { return d.size }

// ReadOnly says that Write always fails.
func (d *Device) ReadOnly() bool { return d.readOnly }

// Read fills the pieces, one behind the other, from off on.
func (d *Device) Read(off int64, into ...[]byte) error {
	return d.transfer(kindRead, off, into)
}

// Write puts the pieces, one behind the other, at off.
func (d *Device) Write(off int64, from ...[]byte) error {
	if d.readOnly {
		return errors.New("virtio-blk: the device is read-only")
	}
	return d.transfer(kindWrite, off, from)
}

// Flush returns when all that was written is on the host's disk.
func (d *Device) Flush() error {
	if !d.flushes {
		return nil
	}
	d.requests.Lock()
	defer d.requests.Unlock()
	return d.alone(kindFlush, nil, 0)
}

// Serial is the name that the host gave the device (section 5.2.6.1): up to 20
// bytes.
func (d *Device) Serial() (string, error) {
	name := make([]byte, serialSize)
	d.requests.Lock()
	defer d.requests.Unlock()
	if err := d.alone(kindSerial, [][]byte{name}, serialSize); err != nil {
		return "", err
	}
	for i, c := range name {
		if c == 0 {
			return string(name[:i]), nil
		}
	}
	return string(name), nil
}
