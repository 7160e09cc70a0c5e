package flood

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pith/bench/lab"
	"pith/bench/lab/labtest"
	"pith/service/packet"
)

const short = 200 * time.Millisecond

func run(t *testing.T, name string, v Victim, length time.Duration) int64 {
	t.Helper()
	k, ok := Find(name)
	if !ok {
		t.Fatalf("there is no attack %s", name)
	}
	sent, err := k.Run(t.Context(), v, Strength{Rate: 500, Conns: 8, Length: length, Seed: 1})
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return sent
}

// sends attacks until something was sent: a busy host may need longer.
func sends(t *testing.T, name string, v Victim) {
	t.Helper()
	for length := short; run(t, name, v, length) == 0; length *= 2 {
		if length > 20*time.Second {
			t.Fatalf("%s sends nothing", name)
		}
	}
}

func TestOnWeb(t *testing.T) {
	var right, other atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			right.Add(1)
		} else {
			other.Add(1)
		}
		io.WriteString(w, "right")
	}))
	defer s.Close()
	v := Victim{Protocol: HTTP, Addr: netip.MustParseAddrPort(s.Listener.Addr().String())}
	for _, name := range []string{"overload", "slow", "connections", "malformed"} {
		sends(t, name, v)
	}
	if right.Load() == 0 {
		t.Error("no request of the overload came through")
	}
	answer, err := http.Get(s.URL)
	if err != nil {
		t.Fatalf("the server is gone after it all: %v", err)
	}
	answer.Body.Close()
}

// TestSlow: a slow client begins a request and never ends it.
func TestSlow(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	heard := make(chan string, 8)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				text, _ := io.ReadAll(conn) // a reset ends it
				heard <- string(text)
			}()
		}
	}()
	k, _ := Find("slow")
	v := Victim{Protocol: HTTP, Addr: netip.MustParseAddrPort(l.Addr().String())}
	sent, err := k.Run(t.Context(), v, Strength{Rate: 1, Conns: 2, Length: 3 * slowPause, Seed: 1})
	if err != nil || sent < 2 {
		t.Fatalf("%d clients, error %v", sent, err)
	}
	for range 2 {
		if text := <-heard; !strings.HasPrefix(text, "GET / ") || strings.Contains(text, "\r\n\r\n") {
			t.Errorf("a slow client said %q", text)
		}
	}
}

func TestOnDNS(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var got atomic.Int64
	go func() {
		in := make([]byte, 65535)
		for {
			if _, _, err := conn.ReadFrom(in); err != nil {
				return
			}
			got.Add(1)
		}
	}()
	v := Victim{Protocol: DNS, Addr: netip.MustParseAddrPort(conn.LocalAddr().String()), Query: []byte("\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01")}
	sends(t, "overload", v)
	sends(t, "malformed", v)
	for deadline := time.Now().Add(30 * time.Second); got.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing came")
		}
	}
}

func TestRefuses(t *testing.T) {
	for _, s := range []Strength{{}, {Rate: 1, Conns: 1}, {Rate: 1, Length: 1}, {Conns: 1, Length: 1}} {
		if _, err := Attacks[0].Run(t.Context(), Victim{}, s); err == nil {
			t.Errorf("%+v is no error", s)
		}
	}
	if _, ok := Find("kindness"); ok {
		t.Error("an attack that isn't there was found")
	}
}

// TestClosedPort: who isn't there can't be attacked, and that is no failure.
func TestClosedPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddrPort(l.Addr().String())
	l.Close()
	for _, name := range []string{"overload", "slow", "connections", "malformed"} {
		if sent := run(t, name, Victim{Protocol: HTTP, Addr: addr}, short); sent != 0 {
			t.Errorf("%s sent %d to nobody", name, sent)
		}
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	k, _ := Find("overload")
	if _, err := k.Run(ctx, Victim{Protocol: HTTP, Addr: netip.MustParseAddrPort("127.0.0.1:1")}, Strength{Rate: 1, Conns: 1, Length: time.Hour}); err == nil {
		t.Error("an attack that was interrupted is no error")
	}
}

// TestLiars: every frame is for the victim, and its header says what its name does.
func TestLiars(t *testing.T) {
	a := &attack{Victim: Victim{Addr: netip.MustParseAddrPort("10.0.0.9:80"), MAC: packet.MAC{2, 0, 0, 0, 0, 9}}}
	random := a.random()
	names := map[string]bool{}
	for _, l := range liars {
		f := l.make(a, random)
		if len(f) < packet.EthernetLen || packet.MAC(f[:6]) != a.MAC || packet.MAC(f[6:12]) != stranger {
			t.Errorf("%s: % x", l.name, f)
		}
		names[l.name] = true
	}
	if len(names) != len(liars) {
		t.Error("two kinds have one name")
	}
	var p packet.Packet
	s := a.syn(random)
	p.Parse(&packet.Frame{Store: s, Len: len(s)})
	if !p.ChecksumOK() || p.Protocol != packet.TCP || p.DstPort != 80 || p.Dst != a.Addr.Addr() {
		t.Errorf("a SYN that is none: %+v", p)
	}
	for range 10_000 {
		a.lie(random)
	}
}

// TestFrames sends frames in a network namespace of its own.
func TestFrames(t *testing.T) {
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skipf("no lab can be made here: %v", err)
	}
	if !labtest.Enter(t) {
		return
	}
	l, err := lab.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(context.WithoutCancel(t.Context()))
	v := Victim{Protocol: HTTP, Addr: netip.MustParseAddrPort("10.0.0.9:80"), MAC: packet.MAC{2, 0, 0, 0, 0, 9}, Device: lab.Device}
	for _, name := range []string{"syn", "frames"} {
		sends(t, name, v)
	}
	v.Device = "nowhere"
	k, _ := Find("syn")
	if _, err := k.Run(t.Context(), v, Strength{Rate: 1, Conns: 1, Length: short}); err == nil {
		t.Error("an interface that isn't there is no error")
	}
}
