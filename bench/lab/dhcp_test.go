package lab

import (
	"bytes"
	"net"
	"sync"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

func TestLease(t *testing.T) {
	hw, err := net.ParseMAC(mac(7))
	if err != nil {
		t.Fatal(err)
	}
	discover, err := dhcpv4.NewDiscovery(hw)
	if err != nil {
		t.Fatal(err)
	}
	offer := lease(discover)
	if offer == nil || offer.MessageType() != dhcpv4.MessageTypeOffer {
		t.Fatalf("reply to a discovery: %v", offer)
	}
	request, err := dhcpv4.NewRequestFromOffer(offer)
	if err != nil {
		t.Fatal(err)
	}
	ack := lease(request)
	if ack == nil || ack.MessageType() != dhcpv4.MessageTypeAck {
		t.Fatalf("reply to a request: %v", ack)
	}
	if got := ack.YourIPAddr.String(); got != "10.0.0.7" {
		t.Errorf("address %s", got)
	}
	if got := ack.Router(); len(got) != 1 || !got[0].Equal(host.AsSlice()) {
		t.Errorf("gateway %v", got)
	}
	if ones, _ := ack.SubnetMask().Size(); ones != subnet.Bits() {
		t.Errorf("mask %v", ack.SubnetMask())
	}
}

func TestNoLease(t *testing.T) {
	for name, hw := range map[string]net.HardwareAddr{
		"a stranger":   {0x52, 0x54, 0, 0xff, 0xff, 7},
		"the loads":    {0x52, 0x54, 0, 0x12, 0x34, 1},
		"no place":     {0x52, 0x54, 0, 0x12, 0x34, 255},
		"short":        {0x52, 0x54, 0, 0x12, 0x34},
		"not Ethernet": {0x52, 0x54, 0, 0x12, 0x34, 7, 7, 7},
	} {
		m, err := dhcpv4.NewDiscovery(hw)
		if err != nil {
			t.Fatal(err)
		}
		if reply := lease(m); reply != nil {
			t.Errorf("%s gets %v", name, reply.YourIPAddr)
		}
	}
}

// TestLeaseWithoutEnd: a message whose options are not ended is understood.
func TestLeaseWithoutEnd(t *testing.T) {
	discover, err := dhcpv4.NewDiscovery(net.HardwareAddr{0x52, 0x54, 0, 0x12, 0x34, 7})
	if err != nil {
		t.Fatal(err)
	}
	data := bytes.TrimRight(discover.ToBytes(), "\x00")
	if len(data) == 0 || data[len(data)-1] != dhcpv4.OptionEnd.Code() {
		t.Fatalf("the message doesn't end with the option for that: %x", data)
	}
	m, err := parse(data[:len(data)-1])
	if err != nil || m.MessageType() != dhcpv4.MessageTypeDiscover {
		t.Errorf("%v, error %v", m, err)
	}
	if _, err := parse(data[:100]); err == nil {
		t.Error("no error for half a header")
	}
}

// TestGranted: an offer is no lease yet, an acknowledgment is.
func TestGranted(t *testing.T) {
	server, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Leases{server, make(chan struct{})}
	defer s.Close()
	granted := sync.OnceFunc(func() { close(s.granted) })
	discover, err := dhcpv4.NewDiscovery(net.HardwareAddr{0x52, 0x54, 0, 0x12, 0x34, 7})
	if err != nil {
		t.Fatal(err)
	}
	offer := lease(discover)
	s.reply(offer, server.LocalAddr(), granted)
	select {
	case <-s.Granted():
		t.Fatal("an offer counts as a lease")
	default:
	}
	request, err := dhcpv4.NewRequestFromOffer(offer)
	if err != nil {
		t.Fatal(err)
	}
	s.reply(lease(request), server.LocalAddr(), granted)
	select {
	case <-s.Granted():
	default:
		t.Fatal("an acknowledgment doesn't count as a lease")
	}
}
