package netstack

import (
	"runtime"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"pith/kernel/link"
)

// pollBudget is how many frames a receive goroutine takes before it flushes
// answers and lets others run.
const pollBudget = 64

// receive is one queue's receive goroutine. It ends when the device ends it in
// Wait.
func (c *card) receive(queue int) {
	t := &c.queues[queue]
	for {
		t.polling.Store(true)
		n := c.dev.Poll(queue, pollBudget, c.deliver)
		t.polling.Store(false)
		if t.unflushed.Load() > 0 {
			t.unflushed.Store(0)
			c.dev.Flush(queue)
		}
		if n < pollBudget {
			c.dev.Wait(queue)
			continue
		}
		// The ring may hold more, but what was received is worth
		// nothing before somebody has read it.
		runtime.Gosched()
	}
}

// deliver hands one frame to its protocol and gives the Buffers back: what
// the frame holds is copied into gVisor's pooled memory, so that a reader who
// takes his time doesn't keep the ring's memory.
func (c *card) deliver(frame *link.Buffer, o link.Offload) {
	defer frame.Free()
	if frame.Len < header.EthernetMinimumSize || !c.attached.Load() {
		return
	}
	eth := header.Ethernet(frame.Bytes())
	kind, ours := c.packetType(eth)
	if !ours {
		return
	}
	protocol := eth.Type()
	to := c.endpoint(protocol)
	if to == nil || c.takenByDHCP(protocol, frame) {
		return
	}
	p := stack.NewPacketBuffer(stack.PacketBufferOptions{
		Payload: copyFrame(frame, header.EthernetMinimumSize),
	})
	p.PktType = kind
	// A checksum that is still to be filled in means that the packet
	// never was on a wire.
	p.RXChecksumValidated = c.features.RxChecksum && (o.ChecksumValid || o.NeedsChecksum)
	to.HandlePacket(p)
	p.DecRef()
}

// packetType classifies a frame by its destination. ours is false for another
// station's frames, which a switch may flood and a hostile peer may send.
func (c *card) packetType(eth header.Ethernet) (kind tcpip.PacketType, ours bool) {
	to := eth[:header.EthernetAddressSize]
	switch {
	case string(to) == string(c.address):
		return tcpip.PacketHost, true
	case to[0]&1 == 0:
		return tcpip.PacketOtherHost, false
	case string(to) == string(header.EthernetBroadcastAddress):
		return tcpip.PacketBroadcast, true
	}
	return tcpip.PacketMulticast, true
}

func (c *card) endpoint(protocol tcpip.NetworkProtocolNumber) stack.NetworkEndpoint {
	switch protocol {
	case header.IPv4ProtocolNumber:
		return c.ip4
	case header.IPv6ProtocolNumber:
		return c.ip6
	case header.ARPProtocolNumber:
		return c.arp
	}
	return nil
}

// copyFrame copies a frame without its first skip bytes, which the first piece
// must hold.
func copyFrame(frame *link.Buffer, skip int) buffer.Buffer {
	if frame.Next == nil {
		return buffer.MakeWithView(buffer.NewViewWithData(frame.Bytes()[skip:]))
	}
	size := -skip
	for b := frame; b != nil; b = b.Next {
		size += b.Len
	}
	v := buffer.NewView(size)
	for b := frame; b != nil; b = b.Next {
		v.Write(b.Bytes()[skip:])
		skip = 0
	}
	return buffer.MakeWithView(v)
}

// takenByDHCP offers the DHCP client UDP datagrams to its port, while there is a
// client: it must receive before the interface has an address.
func (c *card) takenByDHCP(protocol tcpip.NetworkProtocolNumber, frame *link.Buffer) bool {
	client := c.dhcp.Load()
	if client == nil || protocol != header.IPv4ProtocolNumber || frame.Next != nil {
		return false
	}
	ip := header.IPv4(frame.Bytes()[header.EthernetMinimumSize:])
	if len(ip) < header.IPv4MinimumSize || ip.Protocol() != uint8(header.UDPProtocolNumber) {
		return false
	}
	n := int(ip.HeaderLength())
	if len(ip) < n+header.UDPMinimumSize || header.UDP(ip[n:]).DestinationPort() != dhcpClientPort {
		return false
	}
	(*client)(frame.Bytes())
	return true
}
