//go:build linux && !pith

package port

import (
	"encoding/binary"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"

	"pith/service/packet"
)

// messages are the arguments of recvmmsg and sendmmsg.
type messages struct {
	headers [batch]message
	vectors [batch][1]unix.Iovec
	control [batch][64]byte
	buffers [batch][]byte
}

// message is struct mmsghdr of Linux on 64-bit machines.
type message struct {
	header unix.Msghdr
	n      uint32
	_      uint32
}

// newMessages makes messages with buffers for receiving, or without.
func newMessages(receive bool) *messages {
	m := &messages{}
	for i := range m.headers {
		m.headers[i].header.Iov = &m.vectors[i][0]
		m.headers[i].header.SetIovlen(1)
		if receive {
			m.buffers[i] = make([]byte, packet.Headroom+room)
		}
	}
	return m
}

func (m *messages) receive(fd uintptr) (int, error) {
	for i := range m.headers {
		b := m.buffers[i][packet.Headroom-headerLen:]
		m.vectors[i][0].Base = &b[0]
		m.vectors[i][0].SetLen(len(b))
		m.headers[i].header.Control = &m.control[i][0]
		m.headers[i].header.SetControllen(len(m.control[i]))
	}
	// SAFETY: the headers point to memory of m, which lives as long as the call.
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&m.headers[0])), batch, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// gsoTypes are the kinds of Offload.Segmentation as the virtio header has them.
// Source: the kernel's include/uapi/linux/virtio_net.h.
var gsoTypes = [...]byte{packet.SegmentNone: 0, packet.SegmentTCP4: 1, packet.SegmentTCP6: 4, packet.SegmentUDP: 5}

// gsoECN is set in such a type where the segments have flags of congestion control.
const gsoECN = 0x80

// frame makes a frame of message i, with the tag that the kernel has taken off.
func (m *messages) frame(i int, f *packet.Frame) bool {
	n := int(m.headers[i].n)
	if n < headerLen+packet.EthernetLen || m.headers[i].header.Flags&unix.MSG_TRUNC != 0 {
		return false
	}
	b := m.buffers[i]
	h := b[packet.Headroom-headerLen : packet.Headroom]
	*f = packet.Frame{Store: b, Off: packet.Headroom, Len: n - headerLen}
	f.Offload.NeedsChecksum, f.Offload.ChecksumValid = h[0]&1 != 0, h[0]&2 != 0
	f.Offload.HeaderLen = binary.NativeEndian.Uint16(h[2:])
	f.Offload.SegmentSize = binary.NativeEndian.Uint16(h[4:])
	f.Offload.ChecksumStart = binary.NativeEndian.Uint16(h[6:])
	f.Offload.ChecksumOffset = binary.NativeEndian.Uint16(h[8:])
	kind := slices.Index(gsoTypes[:], h[1]&^gsoECN)
	if kind < 0 {
		return false // another kind of merged frame
	}
	f.Offload.Segmentation = uint8(kind)
	if control, ok := m.tag(i); ok {
		return f.InsertTag(control)
	}
	return true
}

// tag finds struct tpacket_auxdata with a tag.
func (m *messages) tag(i int) (uint16, bool) {
	c := m.control[i][:m.headers[i].header.Controllen]
	const length = unix.SizeofCmsghdr + 20
	if len(c) < length || binary.NativeEndian.Uint32(c[12:]) != unix.PACKET_AUXDATA {
		return 0, false
	}
	aux := c[unix.SizeofCmsghdr:]
	if binary.NativeEndian.Uint32(aux)&unix.TP_STATUS_VLAN_VALID == 0 {
		return 0, false
	}
	return binary.NativeEndian.Uint16(aux[16:]), true
}

// put queues a frame: its virtio header goes in front of it.
func (m *messages) put(i int, f *packet.Frame) {
	o := &f.Offload
	h := f.Store[f.Off-headerLen : f.Off]
	clear(h)
	if o.NeedsChecksum {
		h[0] = 1
		binary.NativeEndian.PutUint16(h[6:], o.ChecksumStart)
		binary.NativeEndian.PutUint16(h[8:], o.ChecksumOffset)
	}
	if o.Segmentation != packet.SegmentNone {
		h[1] = gsoTypes[o.Segmentation]
		binary.NativeEndian.PutUint16(h[2:], o.HeaderLen)
		binary.NativeEndian.PutUint16(h[4:], o.SegmentSize)
	}
	b := f.Store[f.Off-headerLen : f.Off+f.Len]
	m.buffers[i] = b
	m.vectors[i][0].Base = &b[0]
	m.vectors[i][0].SetLen(len(b))
}

func (m *messages) send(fd uintptr, from, to int) (int, error) {
	// SAFETY: as in receive; the frames stay until Flush has returned.
	n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&m.headers[from])), uintptr(to-from), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
