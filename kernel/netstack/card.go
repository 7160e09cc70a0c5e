package netstack

import (
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"pith/kernel/link"
)

const (
	// maxSegment bounds a TCP packet that is left to the device to cut:
	// the IPv4 length field has 16 bits.
	maxSegment = 65535

	// maxUnflushed is how many frames other goroutines may leave to the receive
	// goroutine's Flush before they flush themselves: it bounds how
	// long a frame waits while a batch of received ones is worked on.
	maxUnflushed = 16
)

// card is gVisor's view of a link.Device: a stack.LinkEndpoint that speaks
// Ethernet II, and a stack.GSOEndpoint.
//
// Transport checksums are offloaded only for TCP (gVisor's GSO marks them
// packet by packet), because gVisor's other switch, which covers UDP too,
// leaves fragmented datagrams without one.
type card struct {
	dev      link.Device
	features link.Features
	address  tcpip.LinkAddress
	mtu      atomic.Uint32
	queues   []transmitQueue
	attached atomic.Bool

	ip4, ip6, arp stack.NetworkEndpoint // set before the receive goroutines start

	// dhcp takes frames for the DHCP client's port while one is at work.
	dhcp atomic.Pointer[func(datagram []byte)]
}

// transmitQueue says who is to call the device's Flush.
type transmitQueue struct {
	// polling is set while the receive goroutine works on a batch: it will
	// flush when it is through.
	polling   atomic.Bool
	unflushed atomic.Int32
	_         [56]byte // a cache line for each queue
}

var (
	_ stack.LinkEndpoint = (*card)(nil)
	_ stack.GSOEndpoint  = (*card)(nil)
)

func newCard(dev link.Device) *card {
	mac := dev.HardwareAddr()
	c := &card{
		dev:      dev,
		features: dev.Features(),
		address:  tcpip.LinkAddress(mac[:]),
		queues:   make([]transmitQueue, dev.Queues()),
	}
	c.mtu.Store(uint32(dev.MTU()))
	return c
}

// WritePackets implements stack.LinkWriter. The queue is chosen by the packet's
// flow, so that a connection's packets stay in order.
func (c *card) WritePackets(list stack.PacketBufferList) (int, tcpip.Error) {
	packets := list.AsSlice()
	for i, p := range packets {
		q := int(p.Hash % uint32(len(c.queues)))
		if !c.transmit(q, p) {
			return i, &tcpip.ErrNoBufferSpace{}
		}
		if i == len(packets)-1 || int(packets[i+1].Hash%uint32(len(c.queues))) != q {
			c.flush(q)
		}
	}
	return len(packets), nil
}

// transmit puts one packet on a ring, and reports false if there was no room.
func (c *card) transmit(q int, p *stack.PacketBuffer) bool {
	views, skip := p.AsViewList()
	frame := c.gather(views, skip)
	if frame == nil {
		return false
	}
	ok := c.dev.Transmit(q, frame, c.offload(p))
	c.queues[q].unflushed.Add(1)
	return ok
}

// flush hands the ring to the device, unless the receive goroutine does so
// soon.
func (c *card) flush(q int) {
	t := &c.queues[q]
	// The frame is on the ring before it is counted, and counted before
	// polling is read; the receive goroutine clears polling before it reads the
	// count. So if this reads true, that goroutine flushes the frame.
	if t.polling.Load() && t.unflushed.Load() < maxUnflushed {
		return
	}
	t.unflushed.Store(0)
	c.dev.Flush(q)
}

// gather copies a packet, without its first skip bytes, into device memory:
// the only copy on the way out. It returns nil if memory is short.
func (c *card) gather(views buffer.ViewList, skip int) *link.Buffer {
	head := c.dev.Alloc()
	if head == nil {
		return nil
	}
	at := head
	for v := views.Front(); v != nil; v = v.Next() {
		data := v.AsSlice()
		if skip >= len(data) {
			skip -= len(data)
			continue
		}
		data = data[skip:]
		skip = 0
		for {
			n := copy(at.Data[at.Off+at.Len:], data)
			at.Len += n
			data = data[n:]
			if len(data) == 0 {
				break
			}
			next := c.dev.Alloc()
			if next == nil {
				head.Free()
				return nil
			}
			next.Off = 0 // nothing is ever prepended to a later piece
			at.Next = next
			at = next
		}
	}
	return head
}

// offload says what of a packet is left to the device.
func (c *card) offload(p *stack.PacketBuffer) link.Offload {
	gso := &p.GSOOptions
	if !gso.NeedsCsum {
		return link.Offload{}
	}
	network := len(p.NetworkHeader().Slice())
	start := header.EthernetMinimumSize + network
	o := link.Offload{
		NeedsChecksum:  true,
		ChecksumStart:  uint16(start),
		ChecksumOffset: gso.CsumOffset,
	}
	if p.Data().Size() <= int(gso.MSS) {
		return o
	}
	o.SegmentSize = gso.MSS
	o.HeaderLen = uint16(start + len(p.TransportHeader().Slice()))
	o.Segmentation = link.SegmentTCP4
	if gso.Type == stack.GSOTCPv6 {
		o.Segmentation = link.SegmentTCP6
	}
	return o
}

// GSOMaxSize implements stack.GSOEndpoint.
func (c *card) GSOMaxSize() uint32 { return maxSegment }

// SupportedGSO implements stack.GSOEndpoint. Where the device doesn't cut
// segments of both families, gVisor does so just above WritePackets, which
// still saves it most of the work for each segment.
func (c *card) SupportedGSO() stack.SupportedGSO {
	if f := c.features; f.TxChecksum && f.TSO4 && f.TSO6 {
		return stack.HostGSOSupported
	}
	return stack.GVisorGSOSupported
}

// MTU implements stack.NetworkLinkEndpoint.
func (c *card) MTU() uint32 { return c.mtu.Load() }

// SetMTU implements stack.NetworkLinkEndpoint.
func (c *card) SetMTU(mtu uint32) { c.mtu.Store(mtu) }

// MaxHeaderLength implements stack.NetworkLinkEndpoint.
func (c *card) MaxHeaderLength() uint16 { return header.EthernetMinimumSize }

// LinkAddress implements stack.NetworkLinkEndpoint.
func (c *card) LinkAddress() tcpip.LinkAddress { return c.address }

// SetLinkAddress implements stack.NetworkLinkEndpoint. A device's address is
// fixed.
func (c *card) SetLinkAddress(tcpip.LinkAddress) {}

// Capabilities implements stack.NetworkLinkEndpoint. Checksums are not among
// them: see card, and receiver.
func (c *card) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityResolutionRequired
}

// Attach implements stack.NetworkLinkEndpoint. The receive goroutines hand
// packets to the protocols themselves and don't need the dispatcher.
func (c *card) Attach(d stack.NetworkDispatcher) { c.attached.Store(d != nil) }

// IsAttached implements stack.NetworkLinkEndpoint.
func (c *card) IsAttached() bool { return c.attached.Load() }

// Wait implements stack.NetworkLinkEndpoint. Receive goroutines last as
// long as the device does.
func (c *card) Wait() {}

// ARPHardwareType implements stack.NetworkLinkEndpoint.
func (c *card) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareEther }

// AddHeader implements stack.NetworkLinkEndpoint.
func (c *card) AddHeader(p *stack.PacketBuffer) {
	header.Ethernet(p.LinkHeader().Push(header.EthernetMinimumSize)).Encode(&header.EthernetFields{
		SrcAddr: c.address,
		DstAddr: p.EgressRoute.RemoteLinkAddress,
		Type:    p.NetworkProtocolNumber,
	})
}

// ParseHeader implements stack.NetworkLinkEndpoint.
func (c *card) ParseHeader(p *stack.PacketBuffer) bool {
	_, ok := p.LinkHeader().Consume(header.EthernetMinimumSize)
	return ok
}

// Close implements stack.NetworkLinkEndpoint.
func (c *card) Close() { c.attached.Store(false) }

// SetOnCloseAction implements stack.NetworkLinkEndpoint.
func (c *card) SetOnCloseAction(func()) {}
