// Package net is the virtio network card (virtio 1.2, section 5.1) as a
// link.Device: checksum and TCP segmentation offloads, mergeable receive
// buffers, several queue pairs.
//
// It relies on packages virtio (queues) and link (packet buffers). It must not
// look into a frame, nor know who reads it.
//
// Nothing on a packet's way allocates or copies. Received frames are handed over
// in the buffers that the device wrote; an outgoing frame in one buffer is one
// descriptor, because its virtio header is written into the buffer's headroom.
// The device interrupts for received frames only, and only while someone is in
// Wait; completed transmissions are picked up on the way.
package net

import (
	"errors"
	"strconv"

	"pith/kernel/link"
	"pith/kernel/virtio"
)

// Feature bits (section 5.1.3), as masks.
const (
	featureChecksum      = uint64(1) << 0  // VIRTIO_NET_F_CSUM
	featureGuestChecksum = uint64(1) << 1  // VIRTIO_NET_F_GUEST_CSUM
	featureMTU           = uint64(1) << 3  // VIRTIO_NET_F_MTU
	featureMAC           = uint64(1) << 5  // VIRTIO_NET_F_MAC
	featureGuestTSO4     = uint64(1) << 7  // VIRTIO_NET_F_GUEST_TSO4
	featureGuestTSO6     = uint64(1) << 8  // VIRTIO_NET_F_GUEST_TSO6
	featureHostTSO4      = uint64(1) << 11 // VIRTIO_NET_F_HOST_TSO4
	featureHostTSO6      = uint64(1) << 12 // VIRTIO_NET_F_HOST_TSO6
	featureMergeable     = uint64(1) << 15 // VIRTIO_NET_F_MRG_RXBUF
	featureControl       = uint64(1) << 17 // VIRTIO_NET_F_CTRL_VQ
	featureMultiqueue    = uint64(1) << 22 // VIRTIO_NET_F_MQ
)

// Offload features that Options.Without may name.
const (
	TxOffloads = featureChecksum | featureHostTSO4 | featureHostTSO6
	RxOffloads = featureGuestChecksum | featureGuestTSO4 | featureGuestTSO6
	Mergeable  = featureMergeable
)

// Fields of the configuration space (section 5.1.4).
const (
	configMAC      = 0
	configMaxPairs = 8  // 16 bits
	configMTU      = 10 // 16 bits
)

const (
	defaultMTU = 1500
	minMTU     = 68 // section 5.1.4.1
	minRing    = 8  // descriptors, whatever the buffers
	// etherHeader is the length of an Ethernet header, in bytes.
	etherHeader = 14
	// maxPairs bounds what a device may offer (section 5.1.4.1).
	maxPairs = 0x8000
)

// Options says how a card is to be used. The zero value is a good one.
type Options struct {
	// Queues is how many queue pairs are wanted, e.g. one a CPU; the device may
	// have fewer. 0 means 1.
	Queues int
	// RingSize is the most descriptors of each queue; 0 means 256. Each receive
	// queue holds that many buffers of link.BufferSize, though all together no
	// more than half of Buffers.
	RingSize int
	// Buffers is how many buffers the pool may hold that New makes; 0 means
	// DefaultBuffers.
	Buffers int
	// Pool, if not nil, is used instead of a pool of New's own.
	Pool *link.Pool
	// HardwareAddr is for a device that has no address of its own.
	HardwareAddr [6]byte
	// Without are features not to be used: TxOffloads, RxOffloads, Mergeable,
	// virtio.FeatureEventIdx, virtio.FeatureIndirect.
	Without uint64
	// Report is told when a queue is shut down because the device broke the
	// rules. It must not call the Device. It may be nil.
	Report func(error)
}

// Device is a network card. It implements link.Device.
type Device struct {
	mac      [6]byte
	mtu      int
	features link.Features
	pool     *link.Pool
	pairs    []*pair
}

// pair is a receive queue with its transmit queue.
type pair struct {
	rx receiver
	tx transmitter
}

// New starts the card behind t. Its receive queues are filled when it returns.
func New(t virtio.Transport, mem virtio.Memory, o Options) (*Device, error) {
	if t.Type() != virtio.TypeNet {
		return nil, errors.New("virtio-net: device is of type " + strconv.FormatUint(uint64(t.Type()), 10))
	}
	d, err := start(t, mem, o)
	if err != nil {
		virtio.Fail(t)
		return nil, errors.Join(errors.New("virtio-net: device does not start"), err)
	}
	return d, nil
}

func start(t virtio.Transport, mem virtio.Memory, o Options) (*Device, error) {
	features, err := virtio.Negotiate(t, wanted(t.Features(), o))
	if err != nil {
		return nil, err
	}
	c := readConfig(t, features)
	d := &Device{features: linkFeatures(features), pool: o.Pool}
	if d.mac, err = hardwareAddr(c, o); err != nil {
		return nil, err
	}
	d.mtu = mtu(c, features)
	pairs := min(max(o.Queues, 1), c.pairs)
	if d.pool == nil {
		o.RingSize = ringSize(o, pairs)
		d.pool = NewPool(mem, buffers(o))
	}
	if err = d.addPairs(t, mem, features, pairs, o); err != nil {
		return nil, err
	}
	control, err := newControl(t, mem, features, c.pairs, len(d.pairs))
	if err != nil {
		return nil, err
	}
	virtio.Ready(t)
	if err = control.setPairs(len(d.pairs)); err != nil {
		return nil, err
	}
	for _, p := range d.pairs {
		p.rx.refill()
	}
	return d, nil
}

// wanted is what to ask a device for that offers offered, with the requirements
// of section 5.1.3.1 kept.
func wanted(offered uint64, o Options) uint64 {
	w := TxOffloads | RxOffloads | featureMTU | featureMAC | featureMergeable |
		virtio.FeatureEventIdx | virtio.FeatureIndirect
	if o.Queues > 1 {
		w |= featureControl | featureMultiqueue
	}
	w &= offered &^ o.Without
	if w&featureChecksum == 0 {
		w &^= featureHostTSO4 | featureHostTSO6
	}
	// Merged segments need 64 KiB: without mergeable buffers each would have to
	// be that large.
	if w&featureGuestChecksum == 0 || w&featureMergeable == 0 {
		w &^= featureGuestTSO4 | featureGuestTSO6
	}
	if w&featureControl == 0 {
		w &^= featureMultiqueue
	}
	return w
}

func linkFeatures(f uint64) link.Features {
	return link.Features{
		TxChecksum: f&featureChecksum != 0,
		RxChecksum: f&featureGuestChecksum != 0,
		TSO4:       f&featureHostTSO4 != 0,
		TSO6:       f&featureHostTSO6 != 0,
	}
}

// config is what the configuration space says.
type config struct {
	mac    [6]byte
	hasMAC bool
	mtu    int // 0: not said
	pairs  int // 1 without featureMultiqueue
}

func readConfig(t virtio.Transport, features uint64) (c config) {
	virtio.ReadConfig(t, func(r virtio.Registers) {
		c = config{pairs: 1}
		if features&featureMAC != 0 {
			c.hasMAC = true
			for i := range c.mac {
				c.mac[i] = r.Read8(configMAC + uint32(i))
			}
		}
		if features&featureMultiqueue != 0 {
			c.pairs = int(r.Read16(configMaxPairs))
		}
		if features&featureMTU != 0 {
			c.mtu = int(r.Read16(configMTU))
		}
	})
	c.pairs = min(max(c.pairs, 1), maxPairs)
	return c
}

// hardwareAddr takes the device's address if it is one of a single station.
func hardwareAddr(c config, o Options) ([6]byte, error) {
	mac := o.HardwareAddr
	if c.hasMAC {
		mac = c.mac
	}
	if mac == [6]byte{} {
		return mac, errors.New("device has no hardware address")
	}
	if mac[0]&1 != 0 {
		return mac, errors.New("device's hardware address is a group's")
	}
	return mac, nil
}

// mtu takes the device's word unless it can't be true, or one receive buffer
// could not hold the frame.
func mtu(c config, features uint64) int {
	m := c.mtu
	if m < minMTU {
		m = defaultMTU
	}
	if features&featureMergeable == 0 {
		m = min(m, receiveRoom-headerSize-etherHeader)
	}
	return m
}

// buffers is the limit of New's own pool.
func buffers(o Options) int {
	if o.Buffers == 0 {
		return DefaultBuffers
	}
	return o.Buffers
}

// ringSize keeps half of the buffers for what is under way and waiting to be read.
func ringSize(o Options, pairs int) int {
	size := o.RingSize
	if size == 0 {
		size = virtio.DefaultQueueSize
	}
	return max(min(size, buffers(o)/2/pairs), minRing)
}

// addPairs makes the first n queue pairs (section 5.1.2).
func (d *Device) addPairs(t virtio.Transport, mem virtio.Memory, features uint64, n int, o Options) error {
	for i := range n {
		p := &pair{}
		rx := virtio.QueueOptions{
			Index: 2 * i, Name: "virtio-net receive queue " + strconv.Itoa(i),
			Size: o.RingSize, Features: features, Report: o.Report, Interrupts: true,
		}
		tx := virtio.QueueOptions{
			Index: 2*i + 1, Name: "virtio-net transmit queue " + strconv.Itoa(i),
			Size: o.RingSize, Features: features, Report: o.Report,
		}
		if d.features.TSO4 || d.features.TSO6 {
			tx.Tables = indirectTables
		}
		if err := p.rx.init(t, mem, rx, d.pool); err != nil {
			return err
		}
		if err := p.tx.init(t, mem, tx, d.pool); err != nil {
			return err
		}
		d.pairs = append(d.pairs, p)
	}
	return nil
}

// HardwareAddr implements link.Device.
func (d *Device) HardwareAddr() [6]byte { return d.mac }

// MTU implements link.Device.
func (d *Device) MTU() int { return d.mtu }

// Features implements link.Device.
func (d *Device) Features() link.Features { return d.features }

// Queues implements link.Device.
func (d *Device) Queues() int { return len(d.pairs) }

// Alloc implements link.Device.
func (d *Device) Alloc() *link.Buffer { return d.pool.Get() }

// Transmit implements link.Device. A frame is dropped also if it asks for an
// offload that the device hasn't got, or is empty. A frame whose first buffer
// lacks 12 bytes of headroom costs one more buffer.
func (d *Device) Transmit(queue int, frame *link.Buffer, o link.Offload) bool {
	return d.pairs[queue].tx.transmit(frame, &o)
}

// Flush implements link.Device: one exit to the host at most, and none if the
// device is busy with the queue anyway.
func (d *Device) Flush(queue int) { d.pairs[queue].tx.flush() }

// Poll implements link.Device. It refills the receive queue, and frees the
// buffers that queue's transmissions no longer need. Malformed frames are
// dropped and not counted.
func (d *Device) Poll(queue int, budget int, deliver func(frame *link.Buffer, o link.Offload)) int {
	p := d.pairs[queue]
	n := p.rx.poll(budget, deliver)
	p.tx.tidy()
	return n
}

// Wait implements link.Device.
func (d *Device) Wait(queue int) { d.pairs[queue].rx.queue.Wait() }

// Pending tells whether frames have come since the last Poll of that queue. It
// may be called from anywhere, at any time.
func (d *Device) Pending(queue int) bool { return d.pairs[queue].rx.queue.Pending() }

// UsedIndexAddress returns the two words by which the scheduler can see,
// without a call into the driver, that a queue has frames to Poll: those for
// virtio.Fresh. Both stay valid for good. In between two Polls, frames that Poll
// left because of its budget count as not seen.
func (d *Device) UsedIndexAddress(queue int) (used, seen *uint32) {
	return d.pairs[queue].rx.queue.UsedIndexAddress()
}

// Err returns why a queue pair was shut down, nil if it wasn't.
func (d *Device) Err(queue int) error {
	p := d.pairs[queue]
	return errors.Join(p.rx.queue.Err(), p.tx.queue.Err())
}

// Stats counts what went through one queue pair, and what was lost in it.
type Stats struct {
	RxFrames, RxBytes uint64 // handed over; merged segments count as one frame
	TxFrames, TxBytes uint64 // queued; one that the device cuts counts once

	RxMalformed uint64 // frames that make no sense: too short, offloads out of range
	RxNoBuffer  uint64 // frames dropped to keep the receive ring alive
	TxFull      uint64 // frames for which the transmit ring had no room
	TxRefused   uint64 // frames that asked for what the device can't do
}

// Add adds another queue pair's counters.
func (s *Stats) Add(o Stats) {
	s.RxFrames += o.RxFrames
	s.RxBytes += o.RxBytes
	s.TxFrames += o.TxFrames
	s.TxBytes += o.TxBytes
	s.RxMalformed += o.RxMalformed
	s.RxNoBuffer += o.RxNoBuffer
	s.TxFull += o.TxFull
	s.TxRefused += o.TxRefused
}

// Stats returns the counters of a queue pair.
func (d *Device) Stats(queue int) Stats {
	p := d.pairs[queue]
	return Stats{
		RxFrames: p.rx.frames.Load(), RxBytes: p.rx.bytes.Load(),
		TxFrames: p.tx.sent.Load(), TxBytes: p.tx.bytes.Load(),
		RxMalformed: p.rx.malformed.Load(), RxNoBuffer: p.rx.noBuffer.Load(),
		TxFull: p.tx.full.Load(), TxRefused: p.tx.refused.Load(),
	}
}
