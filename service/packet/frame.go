package packet

// Frame is one Ethernet frame, from its destination address on. The first
// piece, Store[Off:Off+Len], holds all headers; Rest bytes follow in pieces
// that only the port knows which received it. A frame is valid until the
// batch that it came in ends: who wants to keep it clones it.
type Frame struct {
	Store    []byte
	Off, Len int
	Rest     int
	Offload  Offload
	Handle   any // the port's own; nil for a frame that was made here
}

// Headroom is how many bytes in front of a fresh frame are free.
const Headroom = 128

// Offload is what of a frame is left to the network card (virtio 1.2, section
// 5.1.6): the same on Linux's packet sockets and in Pith's drivers.
type Offload struct {
	NeedsChecksum  bool // the field holds the pseudo-header's sum only
	ChecksumStart  uint16
	ChecksumOffset uint16
	ChecksumValid  bool
	Segmentation   uint8 // 0: none; else a frame to be cut into segments
	SegmentSize    uint16
	HeaderLen      uint16
}

// Kinds of Offload.Segmentation.
const (
	SegmentNone = iota
	SegmentTCP4
	SegmentTCP6
	SegmentUDP // into datagrams; of Linux's packet sockets only
)

// NewFrame makes an empty frame with room for n bytes.
func NewFrame(n int) *Frame {
	return &Frame{Store: make([]byte, Headroom+n), Off: Headroom, Len: n}
}

// Bytes is the first piece.
func (f *Frame) Bytes() []byte { return f.Store[f.Off : f.Off+f.Len] }

// Size is the whole frame's length in bytes.
func (f *Frame) Size() int { return f.Len + f.Rest }

// Clone is a copy that outlives the batch; nil if the frame has more pieces than one.
func (f *Frame) Clone() *Frame {
	if f.Rest > 0 {
		return nil
	}
	c := NewFrame(f.Len)
	copy(c.Bytes(), f.Bytes())
	c.Offload = f.Offload
	return c
}

// trim cuts the frame to n bytes; it reports false if it has fewer.
func (f *Frame) trim(n int) bool {
	if f.Rest > 0 {
		return n == f.Size()
	}
	if n > f.Len {
		return false
	}
	f.Len = n
	return true
}

// shift moves the frame's first n bytes by d bytes (of a tag that comes or
// goes behind them), and offsets of offloads with it.
func (f *Frame) shift(n, d int) bool {
	if f.Off < d {
		return false
	}
	copy(f.Store[f.Off-d:], f.Store[f.Off:f.Off+n])
	f.Off, f.Len = f.Off-d, f.Len+d
	if f.Offload.NeedsChecksum {
		f.Offload.ChecksumStart = uint16(int(f.Offload.ChecksumStart) + d)
	}
	if f.Offload.Segmentation != SegmentNone {
		f.Offload.HeaderLen = uint16(int(f.Offload.HeaderLen) + d)
	}
	return true
}

// InsertTag puts an 802.1Q tag with its control information (priority and VLAN) behind
// the hardware addresses, also in front of a tag that is there. It reports false if
// there is no room.
func (f *Frame) InsertTag(control uint16) bool {
	const addresses = EthernetLen - 2
	if f.Len < EthernetLen || !f.shift(addresses, TagLen) {
		return false
	}
	b := f.Bytes()[addresses:]
	put16(b, EtherVLAN)
	put16(b[2:], control)
	return true
}

// SetEthernet writes the frame's Ethernet header anew, with a tag unless vlan
// is 0. It reports false if there is no room for a tag.
func (p *Packet) SetEthernet(dst, src MAC, vlan uint16) bool {
	want := EthernetLen
	if vlan != 0 {
		want += TagLen
	}
	if d := want - p.L3; d != 0 {
		if d > 0 && p.Frame.Off < d {
			return false
		}
		p.Frame.shift(EthernetLen-2, d)
		p.L3 += d
		if p.L4 != 0 {
			p.L4 += d
		}
		if p.FragAt != 0 {
			p.FragAt, p.NextAt = p.FragAt+d, p.NextAt+d
		}
	}
	b := p.Frame.Bytes()
	copy(b, dst[:])
	copy(b[6:], src[:])
	if vlan != 0 {
		b[12], b[13], b[14], b[15] = EtherVLAN>>8, EtherVLAN&0xff, byte(vlan>>8), byte(vlan)
	}
	b[p.L3-2], b[p.L3-1] = byte(p.EtherType>>8), byte(p.EtherType)
	p.VLAN = vlan
	return true
}

// Port is an Ethernet interface.
type Port interface {
	Name() string
	HardwareAddr() MAC
	MTU() int    // largest IP packet, bytes
	Queues() int // handle is called by at most so many goroutines at once

	// Receive calls handle for each frame that comes, until Close; done after
	// each batch of one queue. It returns when the port is closed or broken.
	Receive(handle func(queue int, f *Frame), done func(queue int)) error
	// Send queues a frame, whose contents must stay until Flush. It reports
	// false if the frame was dropped.
	Send(queue int, f *Frame) bool
	// Flush sends what was queued.
	Flush(queue int)
	Close() error
}
