package usernet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"

	"pith"
	"pith/machine"
)

// published is a free port of the host's loopback for a port of the machine's.
func published(t *testing.T, protocol string, port uint16) pith.Port {
	t.Helper()
	ports, err := machine.FreePorts([]pith.Port{{Protocol: protocol, Host: netip.MustParseAddrPort("127.0.0.1:0"), Guest: port}})
	if err != nil {
		t.Fatal(err)
	}
	return ports[0]
}

// TestPublishedStreams: many clients come to a published port at once, and each gets back
// what it sent, also after it has ended its own direction.
func TestPublishedStreams(t *testing.T) {
	port := published(t, machine.TCP, 80)
	_, s := guestOn(t, port)
	l, err := gonet.ListenTCP(s, guest(80), ipv4.ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go echoStreams(l)
	eachAtOnce(t, "clients", func(i int) error {
		c, err := net.DialTimeout("tcp", port.Host.String(), patience)
		if err != nil {
			return err
		}
		return swap(c, bytes.Repeat([]byte{byte(i)}, 5000+i))
	})
}

// TestPublishedPackets: each client of a published UDP port has its own flow.
func TestPublishedPackets(t *testing.T) {
	port := published(t, machine.UDP, 7)
	_, s := guestOn(t, port)
	at := guest(7)
	inside, err := gonet.DialUDP(s, &at, nil, ipv4.ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	go echoPackets(inside)
	eachAtOnce(t, "clients", func(i int) error {
		c, err := net.Dial("udp", port.Host.String())
		if err != nil {
			return err
		}
		return askPacket(c, fmt.Sprint("client ", i))
	})
}

// TestClosedPort: nobody listens at a published port's other end.
func TestClosedPort(t *testing.T) {
	port := published(t, machine.TCP, 80)
	guestOn(t, port)
	c, err := net.DialTimeout("tcp", port.Host.String(), patience)
	if err == nil {
		c.SetDeadline(time.Now().Add(patience))
		_, err = c.Read(make([]byte, 1))
		c.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a port where nobody listens: %v", err)
	}
}

// TestPortTaken: a port that another program has is refused by name.
func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	tap, other, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()
	defer other.Close()
	_, err = New(tap, []pith.Port{{Protocol: machine.TCP, Host: netip.MustParseAddrPort(l.Addr().String()), Guest: 80}})
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()+"/tcp can't be published") {
		t.Errorf("a taken port: %v", err)
	}
}

// TestClose: connections and ports end with the Network.
func TestClose(t *testing.T) {
	port := published(t, machine.TCP, 80)
	n, s := guestOn(t, port)
	l, err := gonet.ListenTCP(s, guest(80), ipv4.ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	go echoStreams(l)
	c, err := net.DialTimeout("tcp", port.Host.String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(c, "x")
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	n.Close()
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection goes on: %v", err)
	}
	if c, err := net.DialTimeout("tcp", port.Host.String(), patience); err == nil {
		c.Close()
		t.Error("the port is still published")
	}
}
