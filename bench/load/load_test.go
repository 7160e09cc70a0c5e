package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var short = Span{Warmup: 20 * time.Millisecond, Length: 200 * time.Millisecond}

func serve(t *testing.T, h http.HandlerFunc) netip.AddrPort {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String())
}

// echo is a UDP echo that leaves out every drop-th datagram; 0 drops none.
func echo(t *testing.T, drop int) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 2048)
		for i := 1; ; i++ {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			if drop == 0 || i%drop != 0 {
				conn.WriteToUDPAddrPort(buf[:n], from)
			}
		}
	}()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

func TestHTTP(t *testing.T) {
	var served atomic.Int64
	to := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		served.Add(1)
		time.Sleep(5 * time.Millisecond)
		fmt.Fprint(w, "hello")
	})
	r, err := HTTP(t.Context(), to, "/", 4, short)
	if err != nil {
		t.Fatal(err)
	}
	// Four clients that wait 5 ms each get at most 800 answers a second.
	if r.Answered <= 0 || r.Answered > 800 {
		t.Errorf("%v answers/s", r.Answered)
	}
	if n := r.Answered * short.Length.Seconds(); n > float64(served.Load()) {
		t.Errorf("%v answers of %d", n, served.Load())
	}
	if r.Milliseconds(50) < 5 || r.Errors != 0 || r.Loss() != 0 {
		t.Errorf("median %v ms, %d errors, loss %v", r.Milliseconds(50), r.Errors, r.Loss())
	}
}

func TestHTTPCountsErrors(t *testing.T) {
	var n atomic.Int64
	to := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1)%2 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprint(w, "hello")
	})
	r, err := HTTP(t.Context(), to, "/", 2, short)
	if err != nil {
		t.Fatal(err)
	}
	if r.Errors == 0 || r.Loss() < 0.3 || r.Loss() > 0.7 {
		t.Errorf("%d errors, loss %v, although every second answer is a 503", r.Errors, r.Loss())
	}
}

func TestHTTPWithoutServer(t *testing.T) {
	if r, err := HTTP(t.Context(), unused(t), "/", 2, short); err == nil {
		t.Errorf("nobody there, and the result is %+v", r)
	}
}

// unused is a TCP address of loopback on which nobody listens.
func unused(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return netip.MustParseAddrPort(l.Addr().String())
}

func TestHTTPOpenOffersMoreThanIsServed(t *testing.T) {
	turn := make(chan struct{}, 1) // one request at a time: 200/s at most
	to := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		turn <- struct{}{}
		time.Sleep(5 * time.Millisecond)
		<-turn
		fmt.Fprint(w, "hello")
	})
	r, err := HTTPOpen(t.Context(), to, "/", 8, 600, time.Second, Span{Warmup: 50 * time.Millisecond, Length: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if r.Offered < 500 || r.Offered > 700 {
		t.Errorf("offered %v/s, want 600", r.Offered)
	}
	if r.Answered > 230 || r.Loss() < 0.5 {
		t.Errorf("answered %v/s of at most 200, loss %v", r.Answered, r.Loss())
	}
}

func TestUDP(t *testing.T) {
	r, err := UDP(t.Context(), echo(t, 0), 2, 4, short)
	if err != nil {
		t.Fatal(err)
	}
	if r.Answered < 100 || r.Milliseconds(99) <= 0 {
		t.Errorf("%+v", r)
	}
}

func TestUDPGoesOnAfterLoss(t *testing.T) {
	r, err := UDP(t.Context(), echo(t, 50), 1, 2, Span{Length: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	// After the first hundred or so both are lost; then nothing more would
	// come if they weren't sent anew.
	if r.Answered < 150 || r.Errors == 0 {
		t.Errorf("%v answers/s, %d lost", r.Answered, r.Errors)
	}
}

func TestUDPOpenReportsLoss(t *testing.T) {
	r, err := UDPOpen(t.Context(), echo(t, 4), 2, 2000, Span{Warmup: 50 * time.Millisecond, Length: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if r.Offered < 1700 || r.Offered > 2100 {
		t.Errorf("offered %v/s, want 2000", r.Offered)
	}
	if r.Loss() < 0.2 || r.Loss() > 0.3 {
		t.Errorf("loss %v, want a quarter", r.Loss())
	}
}

func TestUDPWithoutEcho(t *testing.T) {
	if r, err := UDP(t.Context(), unused(t), 1, 1, short); err == nil {
		t.Errorf("nobody there, and the result is %+v", r)
	}
}

func TestFirstAnswer(t *testing.T) {
	to := unused(t)
	const late = 150 * time.Millisecond
	begin := time.Now()
	time.AfterFunc(late, func() {
		l, err := net.Listen("tcp", to.String())
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { l.Close() })
		http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "up") }))
	})
	at, err := FirstAnswer(t.Context(), to, "/")
	if err != nil {
		t.Fatal(err)
	}
	if took := at.Sub(begin); took < late || took > late+500*time.Millisecond {
		t.Errorf("first answer after %v, the server came up after %v", took, late)
	}
}

func TestFirstAnswerGivesUp(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if at, err := FirstAnswer(ctx, unused(t), "/"); err == nil {
		t.Errorf("answer at %v from nobody", at)
	}
}

func TestReadAnswer(t *testing.T) {
	for text, good := range map[string]bool{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi":                 true,
		"HTTP/1.1 200 OK\r\ncontent-length:0\r\nX: y\r\n\r\n":            true,
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi":                 false,
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n":                  false,
		"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nhi":               false,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": false,
		"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n":  false,
		"": false,
	} {
		err := readAnswer(bufio.NewReader(strings.NewReader(text)), io.Discard)
		if (err == nil) != good {
			t.Errorf("%q: error %v", text, err)
		}
	}
}

func FuzzReadAnswer(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
	f.Fuzz(func(t *testing.T, text string) {
		if readAnswer(bufio.NewReader(strings.NewReader(text)), io.Discard) == nil && !strings.HasPrefix(text, "HTTP/1.1 200 ") {
			t.Errorf("%q is a good answer", text)
		}
	})
}

const wrkReport = `Running 2s test @ http://10.0.0.4:8080/
  2 threads and 100 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   178.04ms  275.30ms   1.46s    83.40%
    Req/Sec     1.17k   849.10     2.35k    42.86%
  Latency Distribution
     50%  563.00us
     75%  297.06ms
     90%  596.26ms
     99%    1.17s 
  4312 requests in 2.00s, 547.42KB read
Requests/sec:   2152.87
Transfer/sec:    273.31KB
`

func TestParseWrk(t *testing.T) {
	r, err := parseWrk([]byte(wrkReport))
	if err != nil || r.Rate != 2152.87 || r.P99 != 1170 {
		t.Errorf("%+v, error %v", r, err)
	}
	for _, part := range []string{"99%", "Requests/sec"} {
		if r, err := parseWrk([]byte(strings.ReplaceAll(wrkReport, part, "?"))); err == nil {
			t.Errorf("a report without %s gives %+v", part, r)
		}
	}
}
