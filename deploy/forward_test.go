package deploy

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"pith"
	"pith/machine"
)

// TestForward passes both protocols on, in both directions, and lets go of its ports.
func TestForward(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	go func() {
		p := make([]byte, 100)
		for {
			n, from, err := u.ReadFrom(p)
			if err != nil {
				return
			}
			u.WriteTo(p[:n], from)
		}
	}()
	any := netip.AddrPortFrom(loopback, 0)
	ports, stop, err := Forward([]pith.Port{
		{Protocol: machine.TCP, Host: any, Guest: uint16(l.Addr().(*net.TCPAddr).Port)},
		{Protocol: machine.UDP, Host: any, Guest: uint16(u.LocalAddr().(*net.UDPAddr).Port)},
	}, loopback, new(net.Dialer).DialContext)
	if err != nil {
		t.Fatal(err)
	}
	text := bytes.Repeat([]byte("pith"), 100_000)
	if got := throughTCP(t, ports[0].Host.String(), text); !bytes.Equal(got, text) {
		t.Errorf("%d bytes came back of %d", len(got), len(text))
	}
	for range 2 { // two clients
		c, err := net.Dial("udp", ports[1].Host.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		reply := make([]byte, 100)
		c.Write([]byte("ask"))
		if n, err := c.Read(reply); err != nil || string(reply[:n]) != "ask" {
			t.Errorf("a datagram: %q, %v", reply[:n], err)
		}
	}
	stop()
	if _, err := machine.FreePorts(ports); err != nil {
		t.Error(err)
	}
}

// throughTCP sends, ends, and reads all that comes back.
func throughTCP(t *testing.T, address string, text []byte) []byte {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	go func() {
		c.Write(text)
		c.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil {
		t.Error(err)
	}
	return got
}

// TestForwardTaken: a port that another program has is told, and the others are let
// go of.
func TestForwardTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	free, err := machine.FreePorts([]pith.Port{{Protocol: machine.TCP, Host: netip.AddrPortFrom(loopback, 0), Guest: 80}})
	if err != nil {
		t.Fatal(err)
	}
	taken := pith.Port{Protocol: machine.TCP, Host: netip.MustParseAddrPort(l.Addr().String()), Guest: 80}
	if _, _, err := Forward(append(free, taken), loopback, new(net.Dialer).DialContext); pith.ExitCode(err) != 2 {
		t.Errorf("a taken port: %v", err)
	}
	if _, err := machine.FreePorts(free); err != nil {
		t.Error(err)
	}
}
