package packet

import (
	"bytes"
	"net/netip"
	"testing"
)

// TestRewriteKeepsChecksums: addresses, ports and TTL change, and checksums stay right, of
// every protocol and both versions.
func TestRewriteKeepsChecksums(t *testing.T) {
	for _, src := range []string{"10.0.0.1", "fd00::1"} {
		for _, protocol := range []uint8{TCP, UDP, ICMP} {
			h := IPHeader{Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(src).Next(), Protocol: protocol, TTL: 9}
			if protocol == ICMP && h.Src.Is6() {
				h.Protocol = ICMPv6
			}
			p, b := NewIP(h, 33)
			copy(b, "\x12\x34\x00\x50seqnackn\x50\x10winsumur payload")
			switch h.Protocol {
			case UDP:
				b[4], b[5] = 0, 33
			case ICMP:
				b[0], b[1] = EchoRequest, 0
			case ICMPv6:
				b[0], b[1] = EchoRequest6, 0
			}
			p.SumTransport()
			var q Packet
			if r := q.Parse(p.Frame); r != OK || !q.ChecksumOK() {
				t.Fatalf("%s protocol %d: result %d, checksum right: %v", src, protocol, r, q.ChecksumOK())
			}
			q.SetSrc(h.Dst.Next())
			q.SetDst(h.Src)
			q.SetSrcPort(4711)
			q.SetDstPort(99)
			q.DecrementTTL()
			if !q.SetEthernet(MAC{2}, MAC{4}, 17) {
				t.Fatal("there is no room for a tag")
			}
			var again Packet
			if r := again.Parse(q.Frame); r != OK || !again.ChecksumOK() || again.VLAN != 17 || again.TTL != 8 || again.DstPort != 99 || again.Dst != h.Src {
				t.Errorf("%s protocol %d after the change: result %d, %+v", src, protocol, r, again)
			}
		}
	}
}

// FuzzParse: whatever comes in, offsets stay within the frame, and changing it and
// quoting it in an error is safe.
func FuzzParse(f *testing.F) {
	p, b := NewIP(IPHeader{Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("10.0.0.2"), Protocol: TCP, TTL: 3}, 24)
	b[12], b[13] = 6<<4, SYN
	copy(b[20:], "\x02\x04\x05\xb4")
	p.SumTransport()
	f.Add(bytes.Clone(p.Frame.Bytes()))
	e := NewError(p, netip.MustParseAddr("10.0.0.9"), TimeExceeded, 0, 0)
	f.Add(bytes.Clone(e.Frame.Bytes()))
	n := NewNeighbor(Neighbor{Type: NeighborSol, Target: netip.MustParseAddr("fe80::1"), Link: MAC{2}}, netip.MustParseAddr("fe80::2"), netip.MustParseAddr("ff02::1"))
	f.Add(bytes.Clone(n.Frame.Bytes()))
	f.Fuzz(func(t *testing.T, data []byte) {
		frame := NewFrame(len(data))
		copy(frame.Bytes(), data)
		var p, in Packet
		result := p.Parse(frame)
		if result == NotIP {
			ParseARP(&p)
			return
		}
		if result != OK {
			return
		}
		if p.L4 > frame.Len || p.L3+p.Length != frame.Len {
			t.Fatalf("header at %d, packet of %d bytes in a frame of %d", p.L4, p.Length, frame.Len)
		}
		p.ChecksumOK()
		ParseNeighbor(&p)
		if p.Inner(&in) {
			in.SetSrc(p.Dst)
			in.SetSrcPort(7)
		}
		NewError(&p, p.Dst, TimeExceeded, 0, 0)
		if r := NewReset(&p, 0); r != nil && !r.ChecksumOK() {
			t.Fatal("a reset with a wrong checksum")
		}
		p.SetSrc(p.Dst)
		p.SetDstPort(8)
		p.ClampMSS(500)
		p.SetEthernet(MAC{}, MAC{}, 5)
	})
}

// TestInsertTag: a tag goes in front of what is there, another tag included, and where
// the checksum is to be written moves with it.
func TestInsertTag(t *testing.T) {
	p, _ := NewIP(IPHeader{Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("10.0.0.2"), Protocol: UDP, TTL: 3}, 8)
	p.Frame.Offload = Offload{NeedsChecksum: true, ChecksumStart: 34, ChecksumOffset: 6}
	for i, control := range []uint16{7<<13 | 20, 10} {
		if !p.Frame.InsertTag(control) {
			t.Fatal("there is no room for a tag")
		}
		var q Packet
		if q.Parse(p.Frame); q.VLAN != control&0xfff || p.Frame.Offload.ChecksumStart != uint16(34+TagLen*(i+1)) {
			t.Errorf("tag %d: VLAN %d, checksum from %d", control, q.VLAN, p.Frame.Offload.ChecksumStart)
		}
	}
	if b := p.Frame.Bytes(); get16(b[16:]) != EtherVLAN || get16(b[18:]) != 7<<13|20 || get16(b[20:]) != EtherIPv4 {
		t.Errorf("the inner tag is gone: %x", b[:22])
	}
	short := &Frame{Store: make([]byte, Headroom), Off: 2, Len: 60}
	if short.InsertTag(1) {
		t.Error("a tag without room")
	}
}
