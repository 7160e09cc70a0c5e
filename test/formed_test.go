package test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv6"
)

// TestAddressesFormed boots machines on a tap that are given no address: they lease one by
// DHCP, form one by SLAAC, are reached and reach others by both, and renew the lease when
// half of it is over.
func TestAddressesFormed(t *testing.T) {
	ns := newNamespace(t, "pith-formed", "tuntap add tap0 mode tap", "addr add 10.8.0.1/24 dev tap0",
		"addr add fd00:8::1/64 dev tap0 nodad", "link set tap0 up")
	inNamespace(t, ns, "greet")
	for _, stack := range []string{"inet", "gvisor"} {
		t.Run(stack, func(t *testing.T) {
			inNamespace(t, ns, "advertise tap0")
			ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
			defer cancel()
			out, err := exec.CommandContext(ctx, "ip", "netns", "exec", ns, command, "run", "--rm", "--stack", stack, "--net", "tap:tap0",
				"./guest", "--", "formed", "10.8.0.0/24", "10.8.0.1:7", "fd00:8::/64", "[fd00:8::1]:7", "10.8.0.0/24", "10.8.0.1:67").CombinedOutput()
			for _, want := range []string{"10.8.0.0/24: true, 10.8.0.50\n", "fd00:8::/64: true, fd00:8::", "10.8.0.0/24: true, renewed\n"} {
				if err != nil || !strings.Contains(string(out), want) {
					t.Errorf("%v, no %q in:\n%s", err, want, out)
				}
			}
		})
	}
}

// leaseTime is what a lease is good for: clients renew it after half of that.
const leaseTime = 8 * time.Second

// advertise is a network's DHCP server and its IPv6 router. By TCP it tells who asks on the
// same port that a lease was renewed, once one was. It ends when it is killed.
func advertise(device string) int {
	fail := func(err error) int { fmt.Println(err); return 1 }
	renewed := make(chan struct{}, 1000)
	server, err := server4.NewServer(device, &net.UDPAddr{Port: dhcpv4.ServerPort}, func(conn net.PacketConn, from net.Addr, m *dhcpv4.DHCPv4) {
		if m.MessageType() == dhcpv4.MessageTypeRequest && !m.ClientIPAddr.IsUnspecified() {
			renewed <- struct{}{}
		}
		leaseOut(conn, from, m)
	})
	if err != nil {
		return fail(err)
	}
	go server.Serve()
	l, err := net.Listen("tcp", fmt.Sprint("10.8.0.1:", dhcpv4.ServerPort))
	if err != nil {
		return fail(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			<-renewed
			fmt.Fprint(c, "renewed")
			c.Close()
		}
	}()
	return fail(advertiseRouter(device))
}

// leaseOut gives the one address that there is, to anyone.
func leaseOut(conn net.PacketConn, from net.Addr, m *dhcpv4.DHCPv4) {
	kind := dhcpv4.MessageTypeOffer
	if m.MessageType() == dhcpv4.MessageTypeRequest {
		kind = dhcpv4.MessageTypeAck
	}
	server := net.IPv4(10, 8, 0, 1)
	reply, err := dhcpv4.NewReplyFromRequest(m, dhcpv4.WithMessageType(kind), dhcpv4.WithYourIP(net.IPv4(10, 8, 0, 50)),
		dhcpv4.WithServerIP(server), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(server)), dhcpv4.WithRouter(server),
		dhcpv4.WithNetmask(net.CIDRMask(24, 32)), dhcpv4.WithLeaseTime(uint32(leaseTime.Seconds())))
	if err != nil {
		fmt.Println(err)
		return
	}
	to := net.Addr(&net.UDPAddr{IP: net.IPv4bcast, Port: dhcpv4.ClientPort})
	if !m.ClientIPAddr.IsUnspecified() {
		to = from
	}
	conn.WriteTo(reply.ToBytes(), to)
}

// advertiseRouter sends router advertisements (RFC 4861, 4.2) with a prefix from which
// addresses may be formed, a few each second. It returns only when that fails.
func advertiseRouter(device string) error {
	nic, err := net.InterfaceByName(device)
	if err != nil {
		return err
	}
	conn, err := icmp.ListenPacket("ip6:ipv6-icmp", "::")
	if err != nil {
		return err
	}
	p := conn.IPv6PacketConn()
	if err := p.SetMulticastHopLimit(255); err != nil {
		return err
	}
	body := []byte{64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0} // hop limit; router for 1800 s
	body = append(body, 3, 4, 64, 0xc0)                       // a prefix of 64 bits, on the link, to form addresses from
	body = binary.BigEndian.AppendUint32(body, 3600)          // valid
	body = binary.BigEndian.AppendUint32(body, 1800)          // preferred
	body = append(body, 0, 0, 0, 0)
	body = append(body, netip.MustParseAddr("fd00:8::").AsSlice()...)
	m := icmp.Message{Type: ipv6.ICMPTypeRouterAdvertisement, Body: &icmp.RawBody{Data: body}}
	packet, err := m.Marshal(nil) // the kernel puts the checksum in
	if err != nil {
		return err
	}
	for ; ; time.Sleep(300 * time.Millisecond) {
		if _, err := p.WriteTo(packet, &ipv6.ControlMessage{IfIndex: nic.Index}, &net.IPAddr{IP: net.IPv6linklocalallnodes, Zone: device}); err != nil {
			fmt.Println(err) // the device may not be up yet
		}
	}
}
