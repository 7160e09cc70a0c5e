package router

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"pith/service/firewall/nft"
	"pith/service/packet"
)

const testConfig = `
interfaces:
  - name: lan
    addresses: [10.0.1.1/24, "fd00:1::1/64"]
    dhcp: {first: 10.0.1.50, last: 10.0.1.51, dns: [10.0.1.1]}
    advertise: {}
  - name: wan
    addresses: [10.0.2.1/24]
    mtu: 1000
  - {name: tagged, port: wan, vlan: 7, addresses: [10.0.7.1/24]}
routes:
  - {to: 0.0.0.0/0, via: 10.0.2.9}
  - {to: 192.0.2.0/24, refuse: true}
`

var (
	lanMAC, wanMAC = packet.MAC{2, 1}, packet.MAC{2, 2}
	hostMAC        = packet.MAC{2, 9}
	host           = netip.MustParseAddr("10.0.1.9")
)

// bench is a router with two ports.
type bench struct {
	*Router
	lan, wan *packet.Memory
	now      int64
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{lan: &packet.Memory{Label: "lan", MAC: lanMAC}, wan: &packet.Memory{Label: "wan", MAC: wanMAC}, now: 1e9}
	b.Router = New(Options{Ports: []packet.Port{b.lan, b.wan}, Clock: func() int64 { return b.now }})
	c, err := ParseConfig("test.yaml", []byte(testConfig))
	if err == nil {
		err = b.Apply(c, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	go b.Run()
	for !b.lan.Ready() || !b.wan.Ready() {
		time.Sleep(time.Millisecond)
	}
	t.Cleanup(func() { b.lan.Close(); b.wan.Close() })
	b.know(b.lan, host, "10.0.1.1", 0)
	b.know(b.wan, netip.MustParseAddr("10.0.2.9"), "10.0.2.1", 0)
	b.know(b.wan, netip.MustParseAddr("10.0.7.9"), "10.0.7.1", 7)
	return b
}

// know makes the router learn a station by ARP, and checks that it answers.
func (b *bench) know(port *packet.Memory, station netip.Addr, own string, vlan uint16) {
	port.Deliver(packet.NewARP(packet.ARPPacket{Op: packet.ARPRequest, SenderMAC: hostMAC, SenderIP: station, TargetIP: netip.MustParseAddr(own)}, packet.Broadcast, vlan).Bytes())
	port.Sent()
}

// udpTo is a UDP packet from the host into the lan port.
func udpTo(dst string, ttl uint8, n int) *packet.Packet {
	p, b := packet.NewIP(packet.IPHeader{Src: host, Dst: netip.MustParseAddr(dst), Protocol: packet.UDP, TTL: ttl}, 8+n)
	binary.BigEndian.PutUint16(b, 4000)
	binary.BigEndian.PutUint16(b[2:], 53)
	binary.BigEndian.PutUint16(b[4:], uint16(8+n))
	p.SumTransport()
	p.SetEthernet(lanMAC, hostMAC, 0)
	return p
}

func read(t *testing.T, frame []byte) *packet.Packet {
	t.Helper()
	f := packet.NewFrame(len(frame))
	copy(f.Bytes(), frame)
	p := &packet.Packet{}
	if r := p.Parse(f); r != packet.OK {
		t.Fatalf("result %d of %x", r, frame)
	}
	return p
}

// TestForwarding: what comes out for each kind of packet, and where.
func TestForwarding(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct {
		name      string
		p         *packet.Packet
		port      *packet.Memory
		typ, code uint8 // of an ICMP error; 0: the packet itself
		vlan      uint16
	}{
		{"by the default route", udpTo("203.0.113.5", 9, 10), b.wan, 0, 0, 0},
		{"to a VLAN", udpTo("10.0.7.9", 9, 10), b.wan, 0, 0, 7},
		{"at its last hop", udpTo("203.0.113.5", 1, 10), b.lan, packet.TimeExceeded, 0, 0},
		{"to a refused network", udpTo("192.0.2.1", 9, 10), b.lan, packet.Unreachable, 0, 0},
		{"to a port of the router", udpTo("10.0.1.1", 9, 10), b.lan, packet.Unreachable, 3, 0},
	} {
		b.lan.Deliver(c.p.Frame.Bytes())
		out := c.port.Sent()
		if len(out) != 1 {
			t.Errorf("%s: %d frames", c.name, len(out))
			continue
		}
		p := read(t, out[0])
		if p.VLAN != c.vlan || p.DstMAC() != hostMAC || p.Type != c.typ || p.Code != c.code || !p.ChecksumOK() {
			t.Errorf("%s: %+v", c.name, p)
		}
		if c.typ == 0 && p.TTL != 8 {
			t.Errorf("%s: TTL %d", c.name, p.TTL)
		}
	}
}

// TestFragments: a packet larger than the way out takes is cut or, if it must not be, refused
// with the MTU; pieces are put together for the rules and cut again.
func TestFragments(t *testing.T) {
	b := newBench(t)
	p := udpTo("203.0.113.5", 9, 1400)
	want := bytes.Clone(p.Transport())
	b.lan.Deliver(p.Frame.Bytes())
	pieces := b.wan.Sent()
	if len(pieces) != 2 {
		t.Fatalf("%d pieces", len(pieces))
	}
	var got []byte
	for _, f := range pieces {
		q := read(t, f)
		if q.Length > 1000 || q.FragOffset != len(got) {
			t.Errorf("piece of %d bytes at %d", q.Length, q.FragOffset)
		}
		got = append(got, q.Bytes()[20:]...)
	}
	if !bytes.Equal(got, want) {
		t.Error("the pieces are not the whole")
	}
	// Back in, in the wrong order, towards the VLAN: there they must be whole again.
	for i := range pieces {
		f := pieces[len(pieces)-1-i]
		q := read(t, f)
		q.SetDst(netip.MustParseAddr("10.0.7.9"))
		q.SetEthernet(lanMAC, hostMAC, 0)
		b.lan.Deliver(q.Frame.Bytes())
	}
	if n := len(b.wan.Sent()); n != 2 {
		t.Errorf("%d pieces of what was put together", n)
	}
	p = udpTo("203.0.113.5", 9, 1400)
	h := p.Bytes()
	h[6] = 0x40 // don't fragment
	h[10], h[11] = 0, 0
	binary.BigEndian.PutUint16(h[10:], packet.Checksum(h[:20]))
	b.lan.Deliver(p.Frame.Bytes())
	out := b.lan.Sent()
	if len(out) != 1 {
		t.Fatalf("%d answers", len(out))
	}
	if q := read(t, out[0]); q.Type != packet.Unreachable || q.Code != 4 || binary.BigEndian.Uint16(q.Transport()[6:]) != 1000 {
		t.Errorf("not the MTU: type %d code %d", q.Type, q.Code)
	}
}

// TestNeighborTimesOut: packets wait for an address, and their sender is told when there
// is none.
func TestNeighborTimesOut(t *testing.T) {
	b := newBench(t)
	b.lan.Deliver(udpTo("10.0.7.77", 9, 10).Frame.Bytes())
	if out := b.wan.Sent(); len(out) != 1 || binary.BigEndian.Uint16(out[0][16:]) != packet.EtherARP {
		t.Fatalf("no ARP request, but %x", out)
	}
	for range 5 {
		b.now += 1e9
		b.Tick()
	}
	out := b.lan.Sent()
	for len(out) > 0 && out[0][0] == 0x33 { // router advertisements
		out = out[1:]
	}
	if len(out) == 0 {
		t.Fatal("the sender is not told")
	}
	if p := read(t, out[0]); p.Type != packet.Unreachable || p.Code != 1 {
		t.Errorf("type %d code %d", p.Type, p.Code)
	}
}

// TestDHCP: two stations get addresses, a third gets none.
func TestDHCP(t *testing.T) {
	b := newBench(t)
	seen := map[string]bool{}
	for i := range 3 {
		m, err := dhcpv4.NewDiscovery(net.HardwareAddr{2, 0, 0, 0, 5, byte(i)})
		if err != nil {
			t.Fatal(err)
		}
		b.lan.Deliver(dhcpFrame(m))
		out := b.lan.Sent()
		if i == 2 {
			if len(out) != 0 {
				t.Error("a third address of two")
			}
			continue
		}
		if len(out) != 1 {
			t.Fatalf("%d offers", len(out))
		}
		offer, err := dhcpv4.FromBytes(read(t, out[0]).Transport()[8:])
		if err != nil || offer.MessageType() != dhcpv4.MessageTypeOffer || seen[offer.YourIPAddr.String()] {
			t.Fatalf("%v %v", err, offer)
		}
		seen[offer.YourIPAddr.String()] = true
		request, err := dhcpv4.NewRequestFromOffer(offer)
		if err != nil {
			t.Fatal(err)
		}
		b.lan.Deliver(dhcpFrame(request))
		ack, err := dhcpv4.FromBytes(read(t, b.lan.Sent()[0]).Transport()[8:])
		if err != nil || ack.MessageType() != dhcpv4.MessageTypeAck || len(ack.DNS()) != 1 {
			t.Errorf("%v %v", err, ack)
		}
	}
}

func dhcpFrame(m *dhcpv4.DHCPv4) []byte {
	body := m.ToBytes()
	p, b := packet.NewIP(packet.IPHeader{Src: netip.IPv4Unspecified(), Dst: netip.AddrFrom4([4]byte{255, 255, 255, 255}), Protocol: packet.UDP, TTL: 64}, 8+len(body))
	b[1], b[3] = 68, 67
	binary.BigEndian.PutUint16(b[4:], uint16(8+len(body)))
	copy(b[8:], body)
	p.SumTransport()
	p.SetEthernet(packet.Broadcast, packet.MAC(m.ClientHWAddr), 0)
	return p.Frame.Bytes()
}

// TestClosed: without rules nothing passes, and a rule set stays when the next one
// doesn't load.
func TestClosed(t *testing.T) {
	b := newBench(t)
	b.closed = true
	if err := b.Apply(b.Config(), nil); err != nil {
		t.Fatal(err)
	}
	b.lan.Deliver(udpTo("203.0.113.5", 9, 10).Frame.Bytes())
	if len(b.wan.Sent()) != 0 || len(b.lan.Sent()) != 0 {
		t.Error("something passes without rules")
	}
	bad := *b.Config()
	bad.Interfaces = append(bad.Interfaces, InterfaceConfig{Name: "x", Port: "nowhere"})
	before := b.Config()
	if err := b.Apply(&bad, &nft.Ruleset{}); err == nil || b.Config() != before {
		t.Errorf("a wrong configuration is applied: %v", err)
	}
}

// TestConfigMistakes: all mistakes in one report, those of YAML with their line.
func TestConfigMistakes(t *testing.T) {
	_, err := ParseConfig("r.yaml", []byte("interfaces:\n  - {name: a, addresses: [10.0.0.1/24]}\n  - {name: a, addresses: [10.0.0.2/16]}\nroutes:\n  - {to: 0.0.0.0/0}\nnat: {masquerade: [b]}\n"))
	for _, want := range []string{"two interfaces a", "overlaps", "gateway (via)", "no interface b"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	if _, err := ParseConfig("r.yaml", []byte("interfaces: []\nrouts: []\n")); err == nil || !strings.Contains(err.Error(), "2:1") {
		t.Errorf("no line and column: %v", err)
	}
}

// FuzzInput: no frame brings the router down.
func FuzzInput(f *testing.F) {
	b := newBench(f)
	rules, err := nft.Load("f", []byte("table ip n {\nchain p {\ntype nat hook postrouting priority srcnat\noifname \"wan\" masquerade\n}\nchain q {\ntype filter hook forward priority 0\nct state invalid reject\n}\n}\n"), nft.Options{})
	if err == nil {
		err = b.Apply(b.Config(), rules)
	}
	if err != nil {
		f.Fatal(err)
	}
	f.Add(udpTo("203.0.113.5", 9, 10).Frame.Bytes())
	f.Add(udpTo("203.0.113.5", 1, 1400).Frame.Bytes())
	m, _ := dhcpv4.NewDiscovery(net.HardwareAddr{2, 0, 0, 0, 5, 1})
	f.Add(dhcpFrame(m))
	e := packet.NewError(udpTo("203.0.113.5", 9, 10), host, packet.Unreachable, 3, 0)
	e.SetEthernet(lanMAC, hostMAC, 0)
	f.Add(e.Frame.Bytes())
	f.Fuzz(func(_ *testing.T, frame []byte) {
		if len(frame) >= 12 {
			copy(frame, lanMAC[:])
			copy(frame[6:], hostMAC[:])
		}
		b.lan.Deliver(frame)
		for _, out := range b.wan.Sent() {
			if len(out) >= 12 {
				copy(out, wanMAC[:])
				copy(out[6:], hostMAC[:])
				b.wan.Deliver(out)
			}
		}
		b.lan.Sent()
		b.wan.Sent()
		b.now += 1e6
	})
}
