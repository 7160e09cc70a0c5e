package deploy

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"pith"
)

var loopback = netip.MustParseAddr("127.0.0.1")

// ask probes a port of loopback. The time is what a loaded host may need.
func ask(t *testing.T, h pith.HealthCheck, at net.Addr) error {
	t.Helper()
	h.Port, h.Timeout = netip.MustParseAddrPort(at.String()).Port(), 20*time.Second
	if h.Kind == pith.ProbeUDP {
		h.Timeout = time.Second // silence is waited for
	}
	return Probe(t.Context(), h, loopback, new(net.Dialer).DialContext)
}

func TestProbeHTTP(t *testing.T) {
	status := http.StatusOK
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
	}))
	defer s.Close()
	check := pith.HealthCheck{Kind: pith.ProbeHTTP, Path: "/healthz"}
	for code, healthy := range map[int]bool{200: true, 204: true, 302: true, 404: false, 500: false, 503: false} {
		status = code
		if err := ask(t, check, s.Listener.Addr()); (err == nil) != healthy {
			t.Errorf("status %d: %v", code, err)
		}
	}
}

func TestProbeTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := ask(t, pith.HealthCheck{Kind: pith.ProbeTCP}, l.Addr()); err != nil {
		t.Error(err)
	}
	l.Close()
	if err := ask(t, pith.HealthCheck{Kind: pith.ProbeTCP}, l.Addr()); err == nil {
		t.Error("a closed port is healthy")
	}
}

func TestProbeUDP(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := ask(t, pith.HealthCheck{Kind: pith.ProbeUDP}, c.LocalAddr()); err != nil {
		t.Error(err)
	}
	c.Close()
	if err := ask(t, pith.HealthCheck{Kind: pith.ProbeUDP}, c.LocalAddr()); err == nil {
		t.Error("a closed port is healthy")
	}
}

// TestProbeDNS: the answer is the instance's own, by its response code.
func TestProbeDNS(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go answer(c)
	check := pith.HealthCheck{Kind: pith.ProbeDNS, Query: "web.example.org"}
	if err := ask(t, check, c.LocalAddr()); err != nil {
		t.Error(err)
	}
	check.Query = "no.example.org"
	if err := ask(t, check, c.LocalAddr()); err == nil {
		t.Error("a name that is not there is healthy")
	}
}

// answer is a DNS server (RFC 1035, section 4) that has the A records of names
// beginning with "web": 10.0.0.5.
func answer(c net.PacketConn) {
	p := make([]byte, 512)
	for {
		n, from, err := c.ReadFrom(p)
		if err != nil {
			return
		}
		end := 12
		for end < n && p[end] != 0 {
			end += 1 + int(p[end])
		}
		end += 5 // the root label, type, class
		if end > n {
			continue
		}
		reply := append([]byte(nil), p[:end]...)
		reply[2], reply[3] = 0x84, 0
		clear(reply[6:12])
		switch web, isA := string(p[13:16]) == "web", p[end-3] == 1; {
		case !web:
			reply[3] = 3 // NXDOMAIN
		case isA:
			reply[7] = 1
			reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0, 5)
		}
		c.WriteTo(reply, from)
	}
}

func TestHealth(t *testing.T) {
	began := time.Unix(1000, 0)
	h := NewHealth(pith.HealthCheck{Retries: 2, Start: 10 * time.Second}, began)
	failure := errors.New("no answer")
	for i, step := range []struct {
		after time.Duration
		err   error
		want  Status
	}{
		{1 * time.Second, failure, Starting},
		{2 * time.Second, failure, Starting},
		{9 * time.Second, failure, Starting},
		{11 * time.Second, failure, Starting}, // the first that counts
		{12 * time.Second, failure, Unhealthy},
		{13 * time.Second, nil, Healthy},
		{14 * time.Second, failure, Healthy},
		{15 * time.Second, nil, Healthy},
		{16 * time.Second, failure, Healthy},
		{17 * time.Second, failure, Unhealthy},
	} {
		if got := h.Observe(step.err, began.Add(step.after)); got != step.want {
			t.Errorf("step %d: %s, want %s", i, got, step.want)
		}
	}
}
