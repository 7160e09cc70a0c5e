// Package link is the border between a network card's driver and a network
// stack: how packets are held in memory and handed over.
//
// It relies on nothing but the standard library's atomics and locks, so that both
// sides can be tested on any host. It must not know a protocol above
// Ethernet, nor a device's registers.
//
// A packet is a chain of Buffers. Whoever holds the chain's head owns the
// whole chain: Transmit takes ownership, Poll's callback receives it, and the
// last owner calls Free. Data is never shared between two owners.
package link

import "pith/kernel/socket"

// BufferSize is the storage of one Buffer, in bytes: a full Ethernet frame,
// the virtio header in front of it, and room to spare.
const BufferSize = 2048

// Headroom is how many bytes in front of a fresh Buffer's payload are kept
// free for headers that lower layers prepend (Ethernet, virtio-net).
const Headroom = 128

// Buffer is one piece of device-visible memory. The valid bytes are
// Data[Off:Off+Len]; Next continues the same packet.
type Buffer struct {
	Data []byte  // the whole storage; its address never changes
	Phys uint64  // the device's address of Data[0]
	Off  int     // first valid byte
	Len  int     // count of valid bytes
	Next *Buffer // the packet's next piece, or nil

	pool *Pool
}

// Bytes returns the valid bytes of this piece (not of the pieces behind it).
func (b *Buffer) Bytes() []byte { return b.Data[b.Off : b.Off+b.Len] }

// Offload says what of a packet is left to the other side to do, in the terms
// of virtio 1.2, section 5.1.6 (struct virtio_net_hdr).
type Offload struct {
	// NeedsChecksum: the Internet checksum from ChecksumStart to the end is
	// still to be written at ChecksumStart+ChecksumOffset. The field there holds
	// the pseudo-header's sum. Offsets count from the frame's first byte.
	NeedsChecksum  bool
	ChecksumStart  uint16
	ChecksumOffset uint16
	// ChecksumValid: the device has checked the transport checksum (receive).
	ChecksumValid bool
	// Segmentation says how the device is to cut, or has merged, the packet.
	Segmentation Segmentation
	SegmentSize  uint16 // payload bytes of each segment (gso_size)
	HeaderLen    uint16 // all headers' bytes, Ethernet included (hdr_len)
}

// Segmentation is the kind of a packet larger than the link's MTU.
type Segmentation uint8

// The kinds that virtio-net knows.
const (
	SegmentNone Segmentation = iota
	SegmentTCP4
	SegmentTCP6
)

// Features is what a Device takes over from the stack.
type Features struct {
	TxChecksum bool // fills in transport checksums (Offload.NeedsChecksum)
	RxChecksum bool // may deliver packets with NeedsChecksum or ChecksumValid
	TSO4, TSO6 bool // cuts TCP packets of up to 64 KiB
}

// Device is an Ethernet card with one or more queue pairs. A queue's methods
// may be called from any goroutine; Poll of one queue only from one at a time.
// No method but Wait blocks.
type Device interface {
	HardwareAddr() [6]byte
	MTU() int // largest IP packet, in bytes
	Features() Features
	Queues() int

	// Alloc returns an empty Buffer with Off == Headroom and Len == 0, or nil
	// when none is free.
	Alloc() *Buffer
	// Transmit queues one frame, from the Ethernet header on, and takes
	// ownership of it, whether it reports success or not. It reports false if
	// the ring was full and the frame dropped.
	Transmit(queue int, frame *Buffer, o Offload) bool
	// Flush tells the device about all frames queued since the last Flush.
	Flush(queue int)
	// Poll hands over at most budget received frames, and reports how many.
	// The callback owns each frame.
	Poll(queue int, budget int, deliver func(frame *Buffer, o Offload)) int
	// Wait parks the goroutine until Poll may find something. It may return
	// early; that is allowed.
	Wait(queue int)
}

// Attacher is a Stack that runs Devices. Attach adds the interface and starts
// its receive goroutines (one a queue); it returns at once.
type Attacher interface {
	Attach(name string, dev Device, conf socket.InterfaceConfig) error
}
