package deploy

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"pith"
	"pith/machine"
)

// atOnce holds nothing.
func atOnce(_ context.Context, begin func()) (int, error) {
	begin()
	return 0, nil
}

// gate holds until free is closed, and says on held that it does.
func gate() (hold func(context.Context, func()) (int, error), held, free chan struct{}) {
	held, free = make(chan struct{}, 8), make(chan struct{})
	return func(ctx context.Context, begin func()) (int, error) {
		held <- struct{}{}
		select {
		case <-free:
			return atOnce(ctx, begin)
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}, held, free
}

// client connects to a published port, until the test ends.
func client(t *testing.T, port pith.Port) net.Conn {
	t.Helper()
	c, err := net.Dial(port.Protocol, port.Host.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

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
	}, loopback, new(net.Dialer).DialContext, atOnce, new(atomic.Int64))
	if err != nil {
		t.Fatal(err)
	}
	text := bytes.Repeat([]byte("pith"), 100_000)
	if got := throughTCP(t, ports[0].Host.String(), text); !bytes.Equal(got, text) {
		t.Errorf("%d bytes came back of %d", len(got), len(text))
	}
	for range 2 { // two clients
		c := client(t, ports[1])
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
	if _, _, err := Forward(append(free, taken), loopback, new(net.Dialer).DialContext, atOnce, new(atomic.Int64)); pith.ExitCode(err) != 2 {
		t.Errorf("a taken port: %v", err)
	}
	if _, err := machine.FreePorts(free); err != nil {
		t.Error(err)
	}
}

// TestForwardHolds: what comes while an instance is between two machines waits, and
// reaches the next one.
func TestForwardHolds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := uint16(l.Addr().(*net.TCPAddr).Port)
	hold, held, free := gate()
	var dialed atomic.Int32
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		dialed.Add(1)
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	any := netip.AddrPortFrom(loopback, 0)
	ports, stop, err := Forward([]pith.Port{{Protocol: machine.TCP, Host: any, Guest: port}}, loopback, dial, hold, new(atomic.Int64))
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	c := client(t, ports[0])
	<-held
	if n := dialed.Load(); n != 0 {
		t.Errorf("the instance was dialed %d times while it was held back", n)
	}
	close(free)
	there, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	there.Write([]byte("late"))
	there.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	if text, err := io.ReadAll(c); string(text) != "late" {
		t.Errorf("the held client got %q, %v", text, err)
	}
}

// TestForwardHoldsDatagrams: so do datagrams, as far as the socket's buffer goes.
func TestForwardHoldsDatagrams(t *testing.T) {
	there, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	hold, held, free := gate()
	guest := uint16(there.LocalAddr().(*net.UDPAddr).Port)
	ports, stop, err := Forward([]pith.Port{{Protocol: machine.UDP, Host: netip.AddrPortFrom(loopback, 0), Guest: guest}}, loopback, new(net.Dialer).DialContext, hold, new(atomic.Int64))
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	c := client(t, ports[0])
	for _, word := range []string{"one", "two"} {
		if _, err := c.Write([]byte(word)); err != nil {
			t.Fatal(err)
		}
	}
	<-held
	close(free)
	there.SetReadDeadline(time.Now().Add(time.Minute))
	packet := make([]byte, 10)
	for _, word := range []string{"one", "two"} {
		if n, _, err := there.ReadFrom(packet); err != nil || string(packet[:n]) != word {
			t.Errorf("the instance got %q, %v, want %q", packet[:n], err, word)
		}
	}
}
