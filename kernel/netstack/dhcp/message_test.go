package dhcp

import (
	"bytes"
	"net/netip"
	"testing"
	"time"
)

// reply builds a server's answer by hand.
func replyTo(m Message, typ Type, options ...byte) []byte {
	b := make([]byte, fixedLen)
	b[0], b[1], b[2] = 2, 1, 6
	put32(b[offXID:], m.XID)
	copy(b[offYours:], []byte{10, 9, 0, 7})
	copy(b[offMAC:], m.MAC[:])
	copy(b[offCookie:], cookie[:])
	b = append(b, optType, 1, byte(typ), optServer, 4, 10, 9, 0, 1)
	return append(append(b, options...), optEnd)
}

var lease100 = []byte{
	optMask, 4, 255, 255, 255, 0,
	optRouter, 4, 10, 9, 0, 1,
	optNameserver, 8, 10, 9, 0, 3, 10, 9, 0, 4,
	optLeaseTime, 4, 0, 0, 0, 100,
	optMTU, 2, 5, 120,
}

func TestMessageRoundTrip(t *testing.T) {
	m := Message{
		Type:      Request,
		XID:       0x01020304,
		Broadcast: true,
		MAC:       [6]byte{1, 2, 3, 4, 5, 6},
		Client:    netip.MustParseAddr("10.0.0.9"),
		Requested: netip.MustParseAddr("10.0.0.10"),
		Rapid:     true,
		Host:      "web",
	}
	m.Lease.Server = netip.MustParseAddr("10.0.0.1")
	b := m.Append([]byte("before"))
	if len(b) < 6+minLen || string(b[:6]) != "before" {
		t.Fatalf("appended %d bytes", len(b)-6)
	}
	got, err := Parse(b[6:])
	if err != nil {
		t.Fatal(err)
	}
	if got.Type != m.Type || got.XID != m.XID || !got.Broadcast || got.MAC != m.MAC || got.Client != m.Client ||
		got.Requested != m.Requested || !got.Rapid || got.Reply || got.Lease.Server != m.Lease.Server {
		t.Errorf("%+v became %+v", m, got)
	}
	if !bytes.Contains(b, []byte{optHostName, 3, 'w', 'e', 'b'}) {
		t.Error("the host's name is missing")
	}
}

func TestParseLease(t *testing.T) {
	m, err := Parse(replyTo(Message{}, ACK, append(lease100[:len(lease100):len(lease100)],
		optStaticRoutes, 14, 0, 10, 9, 0, 1, 16, 172, 16, 10, 9, 0, 2, 99, 0)...))
	if err != nil {
		t.Fatal(err)
	}
	l := m.Lease
	if l.Addr.String() != "10.9.0.7/24" || l.Routers[0].String() != "10.9.0.1" || len(l.Nameservers) != 2 || l.MTU != 1400 {
		t.Errorf("lease is %+v", l)
	}
	if l.Lifetime != 100*time.Second || l.Renew != 50*time.Second || l.Rebind != 87500*time.Millisecond {
		t.Errorf("times are %v, %v, %v", l.Lifetime, l.Renew, l.Rebind)
	}
	// The third route is cut short: the others count.
	if len(l.Routes) != 2 || l.Routes[1].Destination.String() != "172.16.0.0/16" || l.Routes[1].Gateway.String() != "10.9.0.2" {
		t.Errorf("routes are %+v", l.Routes)
	}
}

func TestParseDefaults(t *testing.T) {
	m, err := Parse(replyTo(Message{}, ACK, optLeaseTime, 4, 255, 255, 255, 255, optMask, 4, 255, 0, 255, 0))
	if err != nil {
		t.Fatal(err)
	}
	if m.Lease.Lifetime >= 0 || m.Lease.Addr.Bits() != 8 {
		t.Errorf("lease is %+v; want endless, and a class A mask instead of nonsense", m.Lease)
	}
	// Options in the file field (option 52), and in two pieces (RFC 3396).
	b := replyTo(Message{}, ACK, optOverload, 1, 1, optRouter, 2, 1, 2)
	copy(b[offFile:], []byte{optRouter, 2, 3, 4, optEnd})
	m, err = Parse(b)
	if err != nil || len(m.Lease.Routers) != 1 || m.Lease.Routers[0].String() != "1.2.3.4" {
		t.Errorf("routers are %v, %v", m.Lease.Routers, err)
	}
}

func TestParseRefuses(t *testing.T) {
	good := replyTo(Message{}, ACK, lease100...)
	for name, b := range map[string][]byte{
		"nothing":     nil,
		"short":       good[:fixedLen-1],
		"no cookie":   append(append([]byte{}, good[:offCookie]...), make([]byte, 20)...),
		"no type":     good[:fixedLen],
		"cut option":  good[:fixedLen+2],
		"only a code": good[:fixedLen+1],
	} {
		if m, err := Parse(b); err == nil {
			t.Errorf("%s: accepted as %+v", name, m)
		}
	}
}

func TestFrameRoundTrip(t *testing.T) {
	e := endpoints{
		fromMAC: [6]byte{2, 0, 0, 0, 0, 1}, toMAC: broadcastMAC,
		from: netip.IPv4Unspecified(), to: limited,
	}
	f := wrap(e, []byte("odd"))
	// Turn it round: unwrap takes what goes to the client's port.
	udp := f[etherLen+ipLen:]
	put16(udp, ServerPort)
	put16(udp[2:], ClientPort)
	m, got, ok := unwrap(append(f, 0, 0, 0)) // padding behind the datagram
	if !ok || string(m) != "odd" || got != e {
		t.Fatalf("unwrap: %q, %+v, %v", m, got, ok)
	}
	for i := etherLen; i < len(f); i++ {
		bad := append([]byte{}, f...)
		bad[i] ^= 0x10
		if m, _, ok := unwrap(bad); ok {
			t.Errorf("accepted %q with byte %d changed", m, i)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(replyTo(Message{}, ACK, lease100...))
	f.Add(replyTo(Message{}, Offer, optStaticRoutes, 5, 0, 1, 2, 3, 4))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			return
		}
		if m.Lease.Renew > m.Lease.Rebind || m.Lease.Lifetime >= 0 && m.Lease.Rebind > m.Lease.Lifetime {
			t.Errorf("times don't ascend: %+v", m.Lease)
		}
		if !m.Lease.Addr.IsValid() {
			t.Errorf("invalid address: %+v", m.Lease)
		}
		for _, r := range m.Lease.Routes {
			if !r.Destination.IsValid() || !r.Gateway.IsValid() {
				t.Errorf("invalid route: %+v", r)
			}
		}
	})
}

func FuzzUnwrap(f *testing.F) {
	f.Add(wrap(broadcast(), []byte("hello")))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, _, ok := unwrap(b); ok && len(m) > len(b) {
			t.Error("the message is longer than the frame")
		}
	})
}
