package deploy

import (
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

// TestForwardAsks: what was passed on counts until it is answered, and no longer.
func TestForwardAsks(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	there, err := net.ListenPacket("udp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	guest := netip.MustParseAddrPort(l.Addr().String()).Port()
	var asking atomic.Int64
	becomes := func(want int64) {
		t.Helper()
		for end := time.Now().Add(time.Minute); asking.Load() != want; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d wait for an answer, want %d", asking.Load(), want)
			}
		}
	}
	any := netip.AddrPortFrom(loopback, 0)
	ports, stop, err := Forward([]pith.Port{{Protocol: machine.TCP, Host: any, Guest: guest}, {Protocol: machine.UDP, Host: any, Guest: guest}},
		loopback, new(net.Dialer).DialContext, atOnce, &asking)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	stream := client(t, ports[0])
	becomes(1)
	end, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	end.Write([]byte("first"))
	becomes(0)
	end.Write([]byte(" and more"))
	end.Close()
	if text, err := io.ReadAll(stream); string(text) != "first and more" {
		t.Errorf("the answer is %q, %v", text, err)
	}

	packets := client(t, ports[1])
	packet := make([]byte, 10)
	for range 2 {
		packets.Write([]byte("?"))
		_, from, err := there.ReadFrom(packet)
		if err != nil {
			t.Fatal(err)
		}
		becomes(1)
		there.WriteTo([]byte("!"), from)
		becomes(0)
	}
}

// TestForwardToTheNext: a client's datagrams go to the machine that there is, also
// where it is reached at another port than the one before.
func TestForwardToTheNext(t *testing.T) {
	var machines [2]net.PacketConn
	for i := range machines {
		var err error
		if machines[i], err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		defer machines[i].Close()
	}
	var now atomic.Int64
	hold := func(_ context.Context, begin func()) (int, error) {
		begin()
		return int(now.Load()), nil
	}
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, machines[now.Load()].LocalAddr().String())
	}
	var asking atomic.Int64
	ports, stop, err := Forward([]pith.Port{{Protocol: machine.UDP, Host: netip.AddrPortFrom(loopback, 0), Guest: 53}}, loopback, dial, hold, &asking)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	c := client(t, ports[0])
	packet := make([]byte, 10)
	for i, m := range machines {
		now.Store(int64(i))
		c.Write([]byte("?"))
		m.SetReadDeadline(time.Now().Add(time.Minute))
		if _, _, err := m.ReadFrom(packet); err != nil {
			t.Errorf("machine %d: %v", i, err)
		}
	}
}
