package load

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const testZone = `$ORIGIN example.org.
$TTL 300
@ SOA ns hostmaster 1 2h 30m 2w 5m
web A 10.0.0.5
web A 10.0.0.6
www CNAME web
`

// testQuestions asks for the records of testZone.
func testQuestions(t *testing.T, lines string) ([]Question, error) {
	t.Helper()
	zone, questions := filepath.Join(t.TempDir(), "zone"), filepath.Join(t.TempDir(), "questions")
	for file, text := range map[string]string{zone: testZone, questions: lines} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return ReadQuestions(questions, "example.org", zone)
}

func webServer(t *testing.T, handler http.HandlerFunc) Web {
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return Web{To: netip.MustParseAddrPort(s.Listener.Addr().String()), Path: "/", Body: []byte("right"), Conns: 4}
}

func TestWebRate(t *testing.T) {
	w := webServer(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "right") })
	for _, fresh := range []bool{false, true} {
		w.Close = fresh
		o, err := w.Rate(t.Context(), 200, 500*time.Millisecond)
		if err != nil || o.Due != 100 || o.Answered != 100 || o.Wrong+o.Lost != 0 || o.Silent {
			t.Errorf("fresh connections %v: %+v, error %v", fresh, o, err)
		}
	}
}

func TestWebRateWrong(t *testing.T) {
	var n atomic.Int64
	w := webServer(t, func(w http.ResponseWriter, _ *http.Request) {
		switch n.Add(1) % 3 {
		case 0:
			io.WriteString(w, "wrong")
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			io.WriteString(w, "right")
		}
	})
	o, err := w.Rate(t.Context(), 300, 500*time.Millisecond)
	if err != nil || o.Wrong != 100 || o.Answered != 50 || o.FirstWrong == "" {
		t.Errorf("%+v, error %v", o, err)
	}
}

// TestWebRateStall: what was due while the server stalled has waited, though
// each connection sent no more than one request.
func TestWebRateStall(t *testing.T) {
	const stall = time.Second
	begin := time.Now()
	w := webServer(t, func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(time.Until(begin.Add(stall)))
		io.WriteString(w, "right")
	})
	o, err := w.Rate(t.Context(), 100, 2*stall)
	if err != nil || o.Answered != 200 {
		t.Fatalf("%+v, error %v", o, err)
	}
	if slow := slower(o, stall/4); slow < 50 {
		t.Errorf("only %d answers waited for longer than %v: those that queued must count", slow, stall/4)
	}
}

// TestDNSRateStall: the same by UDP.
func TestDNSRateStall(t *testing.T) {
	questions, err := testQuestions(t, "none.example.org A\n")
	if err != nil {
		t.Fatal(err)
	}
	const stall = time.Second
	begin := time.Now()
	to := dnsServer(t, func(q *dns.Msg) *dns.Msg {
		time.Sleep(time.Until(begin.Add(stall)))
		return new(dns.Msg).SetRcode(q, dns.RcodeNameError)
	})
	o, err := DNS{To: to, Questions: questions, Clients: 4}.Rate(t.Context(), 100, 2*stall)
	if err != nil || o.Answered != 200 {
		t.Fatalf("%+v, error %v", o, err)
	}
	if slow := slower(o, stall/4); slow < 50 {
		t.Errorf("only %d answers waited for longer than %v: those that queued must count", slow, stall/4)
	}
}

// slower is how many answers took longer.
func slower(o Outcome, than time.Duration) (slow int) {
	for _, bar := range o.Latency.Distribution() {
		if bar.From >= than.Microseconds() {
			slow += int(bar.Count)
		}
	}
	return slow
}

func TestWebRateSilent(t *testing.T) {
	if testing.Short() {
		t.Skip("waits until a server counts as silent")
	}
	for _, last := range []int64{0, 30} {
		var n atomic.Int64
		w := webServer(t, func(w http.ResponseWriter, r *http.Request) {
			if n.Add(1) > last {
				<-r.Context().Done()
				return
			}
			io.WriteString(w, "right")
		})
		o, err := w.Rate(t.Context(), 50, 10*time.Minute)
		if err != nil || !o.Silent || o.Answered != last || o.Lost != o.Due-last {
			t.Errorf("silent after %d answers: %+v, error %v", last, o, err)
		}
		if last > 0 && o.SilentFrom == 0 || o.SilentFrom > o.Elapsed-silence {
			t.Errorf("silent after %d answers: since %v of %v", last, o.SilentFrom, o.Elapsed)
		}
	}
}

func TestWebRateInterrupted(t *testing.T) {
	w := webServer(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "right") })
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	o, err := w.Rate(ctx, 100, time.Minute)
	if err == nil || o.Answered == 0 || o.Silent {
		t.Errorf("%+v, error %v", o, err)
	}
}

// dnsServer answers on UDP with what reply makes of a query; nil is no answer.
func dnsServer(t *testing.T, reply func(*dns.Msg) *dns.Msg) netip.AddrPort {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		if m := reply(q); m != nil {
			w.WriteMsg(m)
		}
	})}
	go s.ActivateAndServe()
	t.Cleanup(func() { s.Shutdown() })
	return netip.MustParseAddrPort(conn.LocalAddr().String())
}

// answer is an answer with the given records.
func answer(q *dns.Msg, records ...string) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			panic(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	return m
}

func TestDNSRate(t *testing.T) {
	questions, err := testQuestions(t, "web.example.org A\n\n# an alias\nwww.example.org A\nnone.example.org A\n")
	if err != nil {
		t.Fatal(err)
	}
	var n atomic.Int64
	to := dnsServer(t, func(q *dns.Msg) *dns.Msg {
		switch n.Add(1) {
		case 10:
			return nil
		case 20, 21:
			return answer(q, "web.example.org. 300 A 10.0.0.7")
		}
		switch q.Question[0].Name {
		case "web.example.org.":
			return answer(q, "web.example.org. 299 A 10.0.0.6", "web.example.org. 299 A 10.0.0.5")
		case "www.example.org.":
			return answer(q, "www.example.org. 300 CNAME web.example.org.", "web.example.org. 300 A 10.0.0.5", "web.example.org. 300 A 10.0.0.6")
		}
		return new(dns.Msg).SetRcode(q, dns.RcodeNameError)
	})
	d := DNS{To: to, Questions: questions, Clients: 5}
	o, err := d.Rate(t.Context(), 200, 500*time.Millisecond)
	if err != nil || o.Due != 100 || o.Answered != 97 || o.Wrong != 2 || o.Lost != 1 {
		t.Errorf("%+v, error %v", o, err)
	}
	if _, err := d.Ask(t.Context()); err != nil {
		t.Errorf("one question: %v", err)
	}
}

func TestDNSRateTCP(t *testing.T) {
	questions, err := testQuestions(t, "web.example.org A\nnone.example.org A\n")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var n, conns atomic.Int64
	s := &dns.Server{Listener: l, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		switch {
		case n.Add(1) == 10:
			w.WriteMsg(answer(q, "web.example.org. 300 A 10.0.0.7"))
		case q.Question[0].Name == "web.example.org.":
			w.WriteMsg(answer(q, "web.example.org. 299 A 10.0.0.6", "web.example.org. 299 A 10.0.0.5"))
		default:
			w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeNameError))
		}
	}), DecorateReader: func(r dns.Reader) dns.Reader {
		conns.Add(1)
		return r
	}}
	go s.ActivateAndServe()
	t.Cleanup(func() { s.Shutdown() })
	d := DNS{To: netip.MustParseAddrPort(l.Addr().String()), Questions: questions, Clients: 4, TCP: true}
	o, err := d.Rate(t.Context(), 200, 500*time.Millisecond)
	if err != nil || o.Due != 100 || o.Answered != 99 || o.Wrong != 1 || o.Lost != 0 || o.FirstWrong == "" {
		t.Errorf("%+v, error %v", o, err)
	}
	if n := conns.Load(); n != 5 {
		t.Errorf("%d connections, want 4, and one after the wrong answer", n)
	}
	d.Close = true
	conns.Store(0)
	if o, err = d.Rate(t.Context(), 200, 500*time.Millisecond); err != nil || o.Answered != 100 || conns.Load() != 100 {
		t.Errorf("fresh connections: %d, %+v, error %v", conns.Load(), o, err)
	}
}

func TestDNSAskRefused(t *testing.T) {
	questions, err := testQuestions(t, "web.example.org A")
	if err != nil {
		t.Fatal(err)
	}
	to := dnsServer(t, func(q *dns.Msg) *dns.Msg { return new(dns.Msg).SetRcode(q, dns.RcodeRefused) })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := (DNS{To: to, Questions: questions, Clients: 1}).Ask(ctx); err == nil || !strings.Contains(err.Error(), "REFUSED") {
		t.Errorf("a server that refuses: %v", err)
	}
}

func TestReadQuestionsRefuses(t *testing.T) {
	for lines, want := range map[string]string{
		"":                         "no question",
		"web.example.org":          "questions:1: ",
		"a A\nweb.example.org ZZZ": "questions:2: ",
		"a..b A":                   "questions:1: ",
	} {
		if _, err := testQuestions(t, lines); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", lines, err, want)
		}
	}
}
