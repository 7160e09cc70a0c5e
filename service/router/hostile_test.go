package router

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"pith/service/packet"
)

// TestFragmentFlood: first pieces of datagrams that never get whole don't keep others' from
// being put together.
func TestFragmentFlood(t *testing.T) {
	b := newBench(t)
	b.lan.Deliver(udpTo("203.0.113.5", 9, 1400).Frame.Bytes())
	pieces := b.wan.Sent()
	if len(pieces) != 2 {
		t.Fatalf("%d pieces", len(pieces))
	}
	again := func(i int, id uint16) {
		q := read(t, pieces[i])
		h := q.Bytes()
		binary.BigEndian.PutUint16(h[4:], id)
		h[10], h[11] = 0, 0
		binary.BigEndian.PutUint16(h[10:], packet.Checksum(h[:20]))
		q.SetEthernet(lanMAC, hostMAC, 0)
		b.lan.Deliver(q.Frame.Bytes())
	}
	for id := range uint16(2 * maxDatagrams) {
		again(0, id)
	}
	if n := len(b.wan.Sent()); n != 0 {
		t.Fatalf("%d frames of datagrams that are not whole", n)
	}
	again(0, 60000)
	again(1, 60000)
	if n := len(b.wan.Sent()); n != 2 {
		t.Errorf("%d pieces of a datagram that is whole", n)
	}
	if n := len(b.fragments.all); n > maxDatagrams {
		t.Errorf("%d datagrams wait", n)
	}
}

// TestNeighborFlood: packets to addresses that nobody has don't keep stations from being
// known (RFC 6583).
func TestNeighborFlood(t *testing.T) {
	b := newBench(t)
	c := *b.Config()
	c.Interfaces[1].Addresses = append(c.Interfaces[1].Addresses, netip.MustParsePrefix("10.8.0.1/16"))
	if err := b.Apply(&c, nil); err != nil {
		t.Fatal(err)
	}
	for a, i := netip.MustParseAddr("10.8.1.0"), 0; i < maxNeighbors+100; a, i = a.Next(), i+1 {
		b.lan.Deliver(udpTo(a.String(), 9, 10).Frame.Bytes())
	}
	b.wan.Sent()
	station := netip.MustParseAddr("10.8.0.9")
	b.know(b.wan, station, "10.8.0.1", 0)
	b.lan.Deliver(udpTo(station.String(), 9, 10).Frame.Bytes())
	out := b.wan.Sent()
	if len(out) != 1 || read(t, out[0]).Dst != station {
		t.Fatalf("a station that has just asked gets %d frames", len(out))
	}
	if n := len(b.neighbors.all); n > maxNeighbors {
		t.Errorf("%d neighbours", n)
	}
	waiting := 0
	for _, n := range b.neighbors.all {
		waiting += len(n.waiting)
	}
	if n := b.neighbors.waiting.Load(); waiting > maxAllWait || int(n) != waiting {
		t.Errorf("%d packets wait, %d are counted", waiting, n)
	}
	for range askTimes + 1 {
		b.now += 2e9
		b.Tick()
	}
	if n := b.neighbors.waiting.Load(); n != 0 {
		t.Errorf("%d packets wait for nobody", n)
	}
}

// dhcp sends a message, and gives the answer or nil.
func (b *bench) dhcp(t *testing.T, m *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
	t.Helper()
	b.lan.Deliver(dhcpFrame(m))
	out := b.lan.Sent()
	if len(out) == 0 {
		return nil
	}
	answer, err := dhcpv4.FromBytes(read(t, out[0]).Transport()[8:])
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func discover(t *testing.T, last byte) *dhcpv4.DHCPv4 {
	t.Helper()
	m, err := dhcpv4.NewDiscovery(net.HardwareAddr{2, 0, 0, 0, 5, last})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestDHCPOffersEnd: an address that was offered and never asked for is free again soon,
// long before a lease would end.
func TestDHCPOffersEnd(t *testing.T) {
	b := newBench(t)
	for i := range byte(2) { // all that there are
		if b.dhcp(t, discover(t, i)) == nil {
			t.Fatal("no offer")
		}
	}
	if b.dhcp(t, discover(t, 8)) != nil {
		t.Fatal("an offer of what another one was just offered")
	}
	b.now += 2 * 60e9
	offer := b.dhcp(t, discover(t, 9))
	if offer == nil {
		t.Fatal("two stations that went away after an offer hold all addresses")
	}
	request, err := dhcpv4.NewRequestFromOffer(offer)
	if err != nil {
		t.Fatal(err)
	}
	if ack := b.dhcp(t, request); ack == nil || ack.MessageType() != dhcpv4.MessageTypeAck {
		t.Fatalf("instead of an acknowledgement: %v", ack)
	}
	b.now += 30 * 60e9 // half of the lease
	first, second := b.dhcp(t, discover(t, 10)), b.dhcp(t, discover(t, 11))
	if first == nil || first.YourIPAddr.Equal(offer.YourIPAddr) || second != nil {
		t.Errorf("beside a lease: %v, %v", first, second)
	}
}

// TestDHCPDecline: an address that a station found to be another's is not offered again.
func TestDHCPDecline(t *testing.T) {
	b := newBench(t)
	offer := b.dhcp(t, discover(t, 1))
	request, err := dhcpv4.NewRequestFromOffer(offer)
	if err != nil {
		t.Fatal(err)
	}
	b.dhcp(t, request)
	decline, err := dhcpv4.New(dhcpv4.WithMessageType(dhcpv4.MessageTypeDecline), dhcpv4.WithHwAddr(offer.ClientHWAddr),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(offer.ServerIdentifier())), dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(offer.YourIPAddr)))
	if err != nil {
		t.Fatal(err)
	}
	if b.dhcp(t, decline) != nil {
		t.Error("a DECLINE is answered")
	}
	again := b.dhcp(t, discover(t, 1))
	if again == nil || again.YourIPAddr.Equal(offer.YourIPAddr) {
		t.Fatalf("after a DECLINE of %v: %v", offer.YourIPAddr, again)
	}
	if other := b.dhcp(t, discover(t, 2)); other != nil {
		t.Errorf("another one is offered %v", other.YourIPAddr)
	}
	b.now += 2 * 3600e9
	if b.dhcp(t, discover(t, 3)) == nil || b.dhcp(t, discover(t, 4)) == nil {
		t.Error("the address never comes back")
	}
}

// TestDHCPNeverTwice: whatever stations ask, no two are given the same address at once.
func TestDHCPNeverTwice(t *testing.T) {
	b := newBench(t)
	c := *b.Config()
	c.Interfaces[0].DHCP.Last = netip.MustParseAddr("10.0.1.59")
	if err := b.Apply(&c, nil); err != nil {
		t.Fatal(err)
	}
	d := b.state.Load().faces[0].dhcp
	random := rand.New(rand.NewPCG(1, 2))
	type given struct {
		station byte
		until   int64
	}
	leases := map[netip.Addr]given{}
	for range 20000 {
		station := byte(random.IntN(15)) // some with the hardware address 0
		mac := packet.MAC{5: station}
		addr := c.Interfaces[0].DHCP.First
		for range random.IntN(12) { // two are outside of the range
			addr = addr.Next()
		}
		switch random.IntN(8) {
		case 0:
			d.release(mac)
		case 1:
			d.decline(mac, b.now)
		case 2, 3:
			d.lease(mac, addr, dhcpv4.MessageTypeOffer, b.now)
		default:
			got := d.lease(mac, addr, dhcpv4.MessageTypeAck, b.now)
			if !got.IsValid() {
				break
			}
			if l := leases[got]; got != addr || l.until > b.now && l.station != station {
				t.Fatalf("station %d is given %v, which %d has", station, got, l.station)
			}
			leases[got] = given{station, b.now + 3600e9}
		}
		if l, ok := d.leases[mac]; !ok || l.until <= b.now {
			for a, g := range leases {
				if g.station == station {
					delete(leases, a)
				}
			}
		}
		for mac, l := range d.leases {
			if d.holders[l.addr] != mac || len(d.holders) != len(d.leases) {
				t.Fatalf("%v has %v, held by %v; %d leases of %d", mac, l.addr, d.holders[l.addr], len(d.leases), len(d.holders))
			}
		}
		b.now += int64(random.IntN(100)) * 1e9
	}
}
