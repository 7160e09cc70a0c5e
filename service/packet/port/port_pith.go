//go:build pith

package port

import (
	"fmt"
	_ "unsafe" // for go:linkname

	"pith/kernel/link"
	"pith/service/packet"
)

//go:linkname findCard pith/kernel.findCard
func findCard(name string) link.Device

//go:linkname claimCard pith/kernel.claimCard
func claimCard(name string, receive func(queue int, frame *link.Buffer, o link.Offload), done func(queue int)) error

// card is a claimed card. A frame that is sent on is the buffer that was received.
type card struct {
	name   string
	dev    link.Device
	frames []packet.Frame // one for each queue, used again and again
	closed chan struct{}
}

func open(name string) (packet.Port, error) {
	dev := findCard(name)
	if dev == nil {
		return nil, fmt.Errorf("this machine has no free card %s", name)
	}
	return &card{name: name, dev: dev, frames: make([]packet.Frame, dev.Queues()), closed: make(chan struct{})}, nil
}

func (c *card) Name() string             { return c.name }
func (c *card) HardwareAddr() packet.MAC { return c.dev.HardwareAddr() }
func (c *card) MTU() int                 { return c.dev.MTU() }
func (c *card) Queues() int              { return c.dev.Queues() }
func (c *card) Flush(queue int)          { c.dev.Flush(queue) }

// Close implements packet.Port: the card stays claimed.
func (c *card) Close() error {
	close(c.closed)
	return nil
}

// Receive implements packet.Port.
func (c *card) Receive(handle func(int, *packet.Frame), done func(int)) error {
	err := claimCard(c.name, func(queue int, b *link.Buffer, o link.Offload) {
		f := &c.frames[queue]
		f.Store, f.Off, f.Len, f.Rest, f.Handle = b.Data, b.Off, b.Len, 0, b
		for r := b.Next; r != nil; r = r.Next {
			f.Rest += r.Len
		}
		f.Offload = packet.Offload{NeedsChecksum: o.NeedsChecksum, ChecksumStart: o.ChecksumStart, ChecksumOffset: o.ChecksumOffset,
			ChecksumValid: o.ChecksumValid, Segmentation: uint8(o.Segmentation), SegmentSize: o.SegmentSize, HeaderLen: o.HeaderLen}
		handle(queue, f)
		if f.Handle != nil {
			b.Free()
		}
	}, done)
	if err != nil {
		return err
	}
	<-c.closed
	return nil
}

// Send implements packet.Port.
func (c *card) Send(queue int, f *packet.Frame) bool {
	o := link.Offload{NeedsChecksum: f.Offload.NeedsChecksum, ChecksumStart: f.Offload.ChecksumStart, ChecksumOffset: f.Offload.ChecksumOffset,
		Segmentation: link.Segmentation(f.Offload.Segmentation), SegmentSize: f.Offload.SegmentSize, HeaderLen: f.Offload.HeaderLen}
	if b, ok := f.Handle.(*link.Buffer); ok {
		f.Handle = nil
		b.Off, b.Len = f.Off, f.Len
		return c.dev.Transmit(queue, b, o)
	}
	b := c.copy(f.Bytes())
	return b != nil && c.dev.Transmit(queue, b, o)
}

// copy puts bytes into the card's buffers; nil if there are not enough.
func (c *card) copy(data []byte) *link.Buffer {
	var head, last *link.Buffer
	for len(data) > 0 {
		b := c.dev.Alloc()
		if b == nil {
			head.Free()
			return nil
		}
		b.Len = copy(b.Data[b.Off:], data)
		data = data[b.Len:]
		if last == nil {
			head = b
		} else {
			last.Next = b
		}
		last = b
	}
	return head
}
