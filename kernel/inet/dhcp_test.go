package inet

import (
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"pith/kernel/socket"
)

// dhcpServer answers, in the test's hands.
type dhcpServer struct {
	*puppet
	lease uint32 // seconds
	addr  address
}

// request waits for the client's next message of that kind.
func (d *dhcpServer) request(kind byte) []byte {
	d.t.Helper()
	b := d.next("DHCP message", func(b []byte) bool {
		return isUDP(b) && get16(b[36:]) == dhcpServerPort && dhcpOption(b[42:], dhcpOptType)[0] == kind
	})
	m := b[42:]
	ip := b[ethernetLen:]
	src, dst := v4(get32(ip[12:])), v4(get32(ip[16:]))
	if !pseudoHeader(src, dst, protoUDP, len(ip)-ipv4Len).bytes(ip[ipv4Len:]).valid() {
		d.t.Fatalf("bad checksum: %x", b)
	}
	if len(m) < dhcpMin || get32(m[236:]) != dhcpCookie || getMAC(m[28:]) != stackMAC {
		d.t.Fatalf("malformed: %x", m)
	}
	return b
}

func dhcpOption(m []byte, kind byte) []byte {
	for o := m[dhcpFixed:]; len(o) > 1 && o[0] != dhcpOptEnd; o = o[2+o[1]:] {
		if o[0] == kind {
			return o[2 : 2+o[1]]
		}
	}
	return []byte{0}
}

// reply answers a message.
func (d *dhcpServer) reply(to []byte, kind byte) {
	m := make([]byte, dhcpFixed)
	m[0], m[1], m[2] = 2, 1, 6
	copy(m[4:8], to[42+4:])
	put32(m[16:], uint32(d.addr.lo))
	stackMAC.put(m[28:])
	put32(m[236:], dhcpCookie)
	m = append(m, dhcpOptType, 1, kind, dhcpOptServer, 4, 10, 9, 0, 1, dhcpOptLease, 4, 0, 0, 0, 0)
	put32(m[len(m)-4:], d.lease)
	m = append(m, dhcpOptMask, 4, 255, 255, 255, 0, dhcpOptRouter, 4, 10, 9, 0, 1,
		dhcpOptDNS, 8, 10, 9, 0, 53, 10, 9, 0, 54, dhcpOptMTU, 2, 5, 0, dhcpOptEnd)
	u := udpSegment(testIP, d.addr, dhcpServerPort, dhcpClientPort, m)
	d.inject(ethernet(etherIPv4, ipv4Packet(protoUDP, testIP, d.addr, u)))
}

func TestDHCP(t *testing.T) {
	clock := newClock()
	s, p := newPuppetFor(t, Config{Now: clock.now, Hostname: "guest"}, socket.InterfaceConfig{DHCP: true})
	d := &dhcpServer{puppet: p, lease: 3600, addr: stackIP}

	b := d.request(dhcpDiscover)
	if string(dhcpOption(b[42:], dhcpOptHostname)) != "guest" || getMAC(b) != broadcastMAC {
		t.Errorf("%x", b)
	}
	d.reply(b, dhcpOffer)
	b = d.request(dhcpRequest)
	if get32(dhcpOption(b[42:], dhcpOptRequested)) != uint32(stackIP.lo) || get32(dhcpOption(b[42:], dhcpOptServer)) != uint32(testIP.lo) {
		t.Fatalf("%x", b)
	}
	d.reply(b, dhcpAck)
	b = d.next("announcement", isARP(arpRequest))
	if get32(b[28:]) != uint32(stackIP.lo) {
		t.Fatalf("%x", b)
	}
	if got := fmt.Sprint(s.Interfaces()[1].Addrs, s.Nameservers(), s.Interfaces()[1].MTU); got != "[fe80::ff:fe00:2/64 10.9.0.2/24] [10.9.0.53 10.9.0.54] 1280" {
		t.Error(got)
	}
	if r, errno := s.route(v4(0x08080808), address{}, 0); errno != 0 || r.neighbor.addr != testIP || r.src != stackIP {
		t.Errorf("%+v %v", r, errno)
	}

	// Half of the lease later it is renewed, from server to client alone.
	meet(t, s, p)
	p.drop()
	clock.advance(1801 * time.Second)
	s.timers.run()
	b = d.request(dhcpRequest)
	if get32(b[42+12:]) != uint32(stackIP.lo) || getMAC(b) == broadcastMAC || get32(b[30:]) != uint32(testIP.lo) {
		t.Fatalf("%x", b)
	}
	d.reply(b, dhcpAck)
	eventually(t, "bound again", func() bool { return dhcpState(s.snapshot.Load().nics[1].dhcp.state.Load()) == dhcpBound })

	// Nobody answers any more: rebinding asks all, and at the end the address goes.
	for clock.advance(1801 * time.Second); ; clock.advance(700 * time.Second) {
		s.timers.run()
		b = d.request(dhcpRequest)
		if get32(b[30:]) == uint32(broadcast.lo) {
			break
		}
		d.answerARP()
	}
	clock.advance(time.Hour)
	s.timers.run()
	d.request(dhcpDiscover)
	if s.snapshot.Load().isLocal(stackIP) || len(s.Nameservers()) != 0 {
		t.Error("the lease is over, and the address still there")
	}
	if _, errno := s.route(v4(0x08080808), address{}, 0); errno != syscall.ENETUNREACH {
		t.Error(errno)
	}
}

func TestDHCPNakAndMove(t *testing.T) {
	clock := newClock()
	s, p := newPuppetFor(t, Config{Now: clock.now}, socket.InterfaceConfig{DHCP: true})
	d := &dhcpServer{puppet: p, lease: 3600, addr: stackIP}
	d.reply(d.request(dhcpDiscover), dhcpOffer)
	d.reply(d.request(dhcpRequest), dhcpNak)
	d.addr = v4(0x0a090063)
	d.reply(d.request(dhcpDiscover), dhcpOffer)
	d.reply(d.request(dhcpRequest), dhcpAck)
	eventually(t, "the other address is taken", func() bool { return s.snapshot.Load().isLocal(d.addr) })
	if s.snapshot.Load().isLocal(stackIP) {
		t.Error("the refused address was taken too")
	}
}

func TestDHCPRepeats(t *testing.T) {
	_, p := newPuppet(t, socket.InterfaceConfig{DHCP: true})
	d := &dhcpServer{puppet: p, lease: 3600, addr: stackIP}
	d.request(dhcpDiscover)
	d.request(dhcpDiscover)
}

func TestDHCPMessage(t *testing.T) {
	m := make([]byte, dhcpFixed)
	m[0], m[1], m[2] = 2, 1, 6
	put32(m[16:], 0x0a000005)
	put32(m[236:], dhcpCookie)
	m = append(m, dhcpOptType, 1, dhcpAck, dhcpOptOverload, 1, 1, dhcpOptEnd)
	copy(m[108:], []byte{dhcpOptMask, 4, 255, 255, 128, 0, dhcpOptRoutes, 13, 24, 192, 168, 7, 10, 0, 0, 1, 0, 10, 0, 0, 2, dhcpOptEnd})
	got, ok := parseDHCP(m)
	if !ok || got.lease.addr.netip() != netip.MustParsePrefix("10.0.0.5/17") {
		t.Fatalf("%+v %v", got, ok)
	}
	if r := got.lease.routes; len(r) != 2 || r[0].dst.netip() != netip.MustParsePrefix("192.168.7.0/24") ||
		r[1].dst.netip() != netip.MustParsePrefix("0.0.0.0/0") || r[1].gateway != v4(0x0a000002) {
		t.Errorf("%+v", r)
	}
}
