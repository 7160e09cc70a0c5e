package router

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"pith/service/packet"
)

// TestTooBig: an IPv6 packet is never cut; its sender is told what would fit.
func TestTooBig(t *testing.T) {
	b := newBench(t)
	src, dst := netip.MustParseAddr("fd00:1::9"), netip.MustParseAddr("fd00:9::9")
	c := *b.Config()
	c.Routes = append(c.Routes, RouteConfig{To: netip.MustParsePrefix("fd00:9::/64"), Via: netip.MustParseAddr("fd00:2::9")})
	c.Interfaces[1].Addresses = append(c.Interfaces[1].Addresses, netip.MustParsePrefix("fd00:2::1/64"))
	c.Interfaces[1].MTU = 1300 // IPv6 needs 1280
	if err := b.Apply(&c, nil); err != nil {
		t.Fatal(err)
	}
	own := netip.MustParseAddr("fd00:1::1")
	s := packet.NewNeighbor(packet.Neighbor{Type: packet.NeighborSol, Target: own, Link: hostMAC}, src, own)
	s.SetEthernet(lanMAC, hostMAC, 0)
	b.lan.Deliver(s.Frame.Bytes())
	b.lan.Sent()
	p, data := packet.NewIP(packet.IPHeader{Src: src, Dst: dst, Protocol: packet.UDP, TTL: 9}, 8+1400)
	binary.BigEndian.PutUint16(data[4:], uint16(len(data)))
	p.SumTransport()
	p.SetEthernet(lanMAC, hostMAC, 0)
	b.lan.Deliver(p.Frame.Bytes())
	out := b.lan.Sent()
	if len(out) != 1 {
		t.Fatalf("%d answers", len(out))
	}
	if q := read(t, out[0]); q.Type != packet.TooBig6 || binary.BigEndian.Uint32(q.Transport()[4:]) != 1300 || !q.ChecksumOK() {
		t.Errorf("type %d, MTU %d", q.Type, binary.BigEndian.Uint32(q.Transport()[4:]))
	}
}

// TestAdvertises: who asks for a router is told the prefix of the network (RFC 4861,
// section 4.2 and 4.6.2).
func TestAdvertises(t *testing.T) {
	b := newBench(t)
	all := netip.MustParseAddr("ff02::2")
	p, data := packet.NewIP(packet.IPHeader{Src: netip.MustParseAddr("fe80::9"), Dst: all, Protocol: packet.ICMPv6, TTL: 255}, 8)
	data[0] = packet.RouterSolicit
	p.SumTransport()
	p.SetEthernet(packet.MulticastMAC(all), hostMAC, 0)
	b.lan.Deliver(p.Frame.Bytes())
	out := b.lan.Sent()
	for range 5 { // RFC 4861 has a router wait a little before it answers
		b.now += 1e9
		b.Tick()
		out = append(out, b.lan.Sent()...)
	}
	for _, f := range out {
		q := read(t, f)
		if q.Type != packet.RouterAdvert {
			continue
		}
		for options := q.Transport()[16:]; len(options) >= 8 && options[1] > 0; options = options[min(len(options), int(options[1])*8):] {
			if options[0] == 3 && options[2] == 64 && netip.AddrFrom16([16]byte(options[16:32])) == netip.MustParseAddr("fd00:1::") && q.ChecksumOK() {
				return
			}
		}
	}
	t.Errorf("no advertisement of fd00:1::/64 among %d frames", len(out))
}
