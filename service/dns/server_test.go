package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func TestTransfer(t *testing.T) {
	for _, permitted := range []bool{true, false} {
		addr := start(t, quiet(t, func(c *Config) {
			if permitted {
				c.Transfer = loopback
			}
		}))
		m := new(dns.Msg)
		m.SetAxfr("example.org.")
		envelopes, err := new(dns.Transfer).In(m, addr)
		if err != nil {
			t.Fatal(err)
		}
		var all []dns.RR
		for e := range envelopes {
			if err = e.Error; err == nil {
				all = append(all, e.RR...)
			}
		}
		if !permitted {
			if err == nil {
				t.Error("a stranger gets the zone")
			}
			continue
		}
		zone, _ := ReadZone("example.org", "testdata/example.org.zone")
		if err != nil || len(all) != zone.Records()+1 || all[0].String() != all[len(all)-1].String() {
			t.Errorf("%d records of %d and a SOA: %v", len(all), zone.Records(), err)
		}
	}
}

// TestPipeline: many queries in one write are all answered, in order.
func TestPipeline(t *testing.T) {
	addr := start(t, quiet(t, nil))
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var out []byte
	for i := range 50 {
		m := question("web.example.org.", dns.TypeA)
		m.Id = uint16(i)
		packet, _ := m.Pack()
		out = binary.BigEndian.AppendUint16(out, uint16(len(packet)))
		out = append(out, packet...)
	}
	conn.Write(out)
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	c := dns.Conn{Conn: conn}
	for i := range 50 {
		if r, err := c.ReadMsg(); err != nil || int(r.Id) != i {
			t.Fatalf("answer %d: %v", i, err)
		}
	}
}

func TestIdleConnectionsEnd(t *testing.T) {
	addr := start(t, quiet(t, func(c *Config) { c.IdleSeconds = 1 }))
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(60 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a silent connection: %v", err)
	}
}

// TestOneClientCannotTakeAll: the connection beyond an address's share is closed,
// and there is room again once another ends.
func TestOneClientCannotTakeAll(t *testing.T) {
	addr := start(t, quiet(t, func(c *Config) { c.ClientConnections = 2 }))
	ask := func(c *dns.Conn) error {
		c.SetDeadline(time.Now().Add(30 * time.Second))
		if err := c.WriteMsg(question("web.example.org.", dns.TypeA)); err != nil {
			return err
		}
		_, err := c.ReadMsg()
		return err
	}
	var open []*dns.Conn
	for range 2 {
		c, err := dns.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := ask(c); err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	third, err := dns.Dial("tcp", addr)
	if err == nil {
		err = ask(third)
		third.Close()
	}
	if err == nil {
		t.Error("a third connection is served")
	}
	open[0].Close()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		c, err := dns.Dial("tcp", addr)
		if err == nil {
			err = ask(c)
			c.Close()
		}
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("there is no room again: %v", err)
		}
	}
}

// TestPortsAreOwn: questions leave from ports that do not follow one another.
func TestPortsAreOwn(t *testing.T) {
	var mu sync.Mutex
	ports := map[int]bool{}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		mu.Lock()
		ports[w.RemoteAddr().(*net.UDPAddr).Port] = true
		mu.Unlock()
		w.WriteMsg(new(dns.Msg).SetRcode(m, dns.RcodeNameError))
	})}
	go server.ActivateAndServe()
	defer server.Shutdown()
	for range 64 {
		m := question("x.", dns.TypeA)
		if _, err := converse(t.Context(), "udp", conn.LocalAddr().String(), m); err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	low := 0
	for p := range ports {
		if p < 32768 {
			low++
		}
	}
	if len(ports) < 60 || low == 0 || low == len(ports) {
		t.Errorf("%d ports, %d of them low", len(ports), low)
	}
}

// TestForgedAnswers: what does not answer the question is not believed.
func TestForgedAnswers(t *testing.T) {
	f := &forwarder{config: &ForwardConfig{MixedCase: true}}
	m := question("wEb.example.org.", dns.TypeA)
	for name, change := range map[string]func(*dns.Msg){
		"number":   func(r *dns.Msg) { r.Id++ },
		"name":     func(r *dns.Msg) { r.Question[0].Name = "evil.example." },
		"letters":  func(r *dns.Msg) { r.Question[0].Name = "web.example.org." },
		"type":     func(r *dns.Msg) { r.Question[0].Qtype = dns.TypeMX },
		"no reply": func(r *dns.Msg) { r.Response = false },
		"question": func(r *dns.Msg) { r.Question = nil },
		"failure":  func(r *dns.Msg) { r.Rcode = dns.RcodeServerFailure },
	} {
		r := new(dns.Msg).SetReply(m)
		if err := f.verify(m, r); err != nil {
			t.Fatal(err)
		}
		change(r)
		if f.verify(m, r) == nil {
			t.Errorf("another %s is believed", name)
		}
	}
}

// TestReload: no query is lost and none is answered by half of a zone while
// zones change; a broken zone changes nothing.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "z")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	version := func(n int) string {
		return fmt.Sprintf("$TTL 1\n@ SOA ns h %d 1 1 1 1\n@ NS ns\nns A 10.0.0.1\nx A 10.0.1.%d\n", n, n)
	}
	write(version(1))
	s := quiet(t, func(c *Config) { c.Zones = []ZoneConfig{{Name: "example.org", File: file}} })
	addr := start(t, s)
	var asked, failed atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			client := dns.Client{Timeout: 20 * time.Second}
			conn, err := client.Dial(addr)
			if err != nil {
				failed.Add(1)
				return
			}
			defer conn.Close()
			for ctx.Err() == nil {
				r, _, err := client.ExchangeWithConn(question("x.example.org.", dns.TypeA), conn)
				if asked.Add(1); err != nil || len(r.Answer) != 1 {
					failed.Add(1)
				}
			}
		})
	}
	for n := 2; n < 60; n++ {
		write(version(n))
		if err := s.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Millisecond)
	}
	write("nonsense\n")
	if err := s.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), file+":1: ") {
		t.Errorf("a broken zone: %v", err)
	}
	stop()
	work.Wait()
	if failed.Load() > 0 || asked.Load() == 0 {
		t.Errorf("%d of %d queries were lost", failed.Load(), asked.Load())
	}
	if r, _ := askPacket(t, s, question("x.example.org.", dns.TypeA), true); len(r.Answer) != 1 || !strings.HasSuffix(r.Answer[0].String(), "10.0.1.59") {
		t.Errorf("after all: %v", r)
	}
}

func TestWatchesFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "z")
	zone := func(addr string) {
		text := "$TTL 1\n@ SOA ns h 1 1 1 1 1\n@ NS ns\nns A 10.0.0.1\nx A " + addr + "\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	zone("10.0.0.1")
	addr := start(t, quiet(t, func(c *Config) {
		c.Zones, c.WatchSeconds = []ZoneConfig{{Name: "example.org", File: file}}, 1
	}))
	zone("10.0.0.200")
	await(t, addr, "x.example.org.", "10.0.0.200")
}

// await asks until the answer holds what is wanted.
func await(t *testing.T, addr, name, want string) {
	t.Helper()
	var last string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if last = exchange(t, addr, question(name, dns.TypeA)).String(); strings.Contains(last, want) {
			return
		}
	}
	t.Fatalf("%s is not answered by %s but\n%s", name, want, last)
}

func TestServices(t *testing.T) {
	var names atomic.Value
	names.Store(`{"web": ["10.0.0.5", "2001:db8::5"], "dns": ["10.0.0.100"], "a..b": ["10.0.0.1"]}`)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, names.Load().(string)) }))
	defer web.Close()
	addr := start(t, quiet(t, func(c *Config) {
		c.Services = &ServicesConfig{Zone: "internal", Source: web.URL, Seconds: 1}
	}))
	await(t, addr, "web.internal.", "10.0.0.5")
	if r := exchange(t, addr, question("web.internal.", dns.TypeAAAA)); len(r.Answer) != 1 {
		t.Errorf("%v", r)
	}
	if r := exchange(t, addr, question("gone.internal.", dns.TypeA)); r.Rcode != dns.RcodeNameError {
		t.Errorf("%v", r)
	}
	names.Store(`{"web": ["10.0.0.6"], "db": ["10.0.0.7"]}`)
	await(t, addr, "web.internal.", "10.0.0.6")
	names.Store(`broken`)
	time.Sleep(1500 * time.Millisecond)
	await(t, addr, "db.internal.", "10.0.0.7")
}

// upstream is a server that the forwarder asks.
func upstream(t *testing.T, asked *atomic.Int64) string {
	s := quiet(t, nil)
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		asked.Add(1)
		r, _ := askPacket(t, s, m, w.RemoteAddr().Network() == "udp")
		w.WriteMsg(r)
	})
	udp, tcp := &dns.Server{PacketConn: s.packets[0], Handler: handler}, &dns.Server{Listener: s.listeners[0], Handler: handler}
	go udp.ActivateAndServe()
	go tcp.ActivateAndServe()
	t.Cleanup(func() { udp.Shutdown(); tcp.Shutdown() })
	return s.Addr().String()
}

func TestForwards(t *testing.T) {
	var asked atomic.Int64
	up := upstream(t, &asked)
	forward := func(clients []netip.Prefix) string {
		return start(t, quiet(t, func(c *Config) {
			c.Zones = nil
			c.Forward = &ForwardConfig{Upstreams: []string{up}, Clients: clients, MixedCase: true}
		}))
	}
	addr := forward(loopback)
	m := question("web.example.org.", dns.TypeA)
	m.RecursionDesired = true
	for range 3 {
		r := exchange(t, addr, m)
		if len(r.Answer) != 2 || !r.RecursionAvailable || r.Authoritative {
			t.Fatalf("%v", r)
		}
	}
	if asked.Load() != 1 {
		t.Errorf("the upstream server was asked %d times", asked.Load())
	}
	m.Question[0].Name = "nothing.example.org."
	if r := exchange(t, addr, m); r.Rcode != dns.RcodeNameError || len(r.Ns) != 1 {
		t.Errorf("%v", r)
	}
	m.Question[0] = dns.Question{Name: "big.example.org.", Qtype: dns.TypeTXT, Qclass: dns.ClassINET}
	if r := exchange(t, addr, m); !r.Truncated {
		t.Errorf("%v", r)
	}
	tcp := dns.Client{Net: "tcp", Timeout: 20 * time.Second}
	if r, _, err := tcp.Exchange(m, addr); err != nil || len(r.Answer) != 60 {
		t.Errorf("over TCP: %v %v", err, r)
	}
	if r := exchange(t, forward([]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}), m); r.Rcode != dns.RcodeRefused || r.RecursionAvailable {
		t.Errorf("a stranger: %v", r)
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := newCache(10)
	now := time.Now()
	for i := range 100 {
		m := question("x.", dns.TypeA)
		m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: "x.", Rrtype: dns.TypeA, Class: 1, Ttl: 100}, A: net.IPv4(10, 0, 0, 1)}}
		c.put(fmt.Sprint(i), m, now)
	}
	if c.size() != 10 {
		t.Errorf("%d answers are kept", c.size())
	}
	if m := c.get("99", now.Add(40*time.Second)); m == nil || m.Answer[0].Header().Ttl != 60 {
		t.Errorf("%v", m)
	}
	if c.get("99", now.Add(101*time.Second)) != nil {
		t.Error("an old answer is given")
	}
}

func TestAdmin(t *testing.T) {
	s := quiet(t, func(c *Config) { c.Admin = "127.0.0.1:0" })
	addr := start(t, s)
	exchange(t, addr, question("web.example.org.", dns.TypeA))
	url := "http://" + s.AdminAddr().String()
	for path, want := range map[string]string{
		"/healthz": "ok", "/readyz": "ready",
		"/metrics": `dns_answers_total{rcode="NOERROR",transport="udp"} 1`,
	} {
		r, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if r.StatusCode != 200 || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s\n%s", path, r.Status, body)
		}
	}
	r, err := http.Post(url+"/reload", "", nil)
	if err != nil || r.StatusCode != 200 {
		t.Errorf("reload: %v %v", err, r)
	}
}

func TestConfigMistakes(t *testing.T) {
	_, err := New(Config{
		Listen: []string{"nonsense"}, UDPSize: 100, CookieSecret: "xy",
		Zones:   []ZoneConfig{{Name: "a", File: "f"}, {Name: "A.", File: "f"}, {Name: "b"}},
		Forward: &ForwardConfig{Upstreams: []string{"x"}},
	})
	if err == nil {
		t.Fatal("it starts")
	}
	for _, want := range []string{`"nonsense" is no address`, "udpSize: 100", "cookieSecret", "A. stands there twice", "b needs either", `"x" is no address`, "no client may use it"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not told:\n%v", want, err)
		}
	}
}

// TestTCPQueryTooLong: a length that no query has ends the connection at once; room for it
// is neither made nor kept until the client is silent for too long.
func TestTCPQueryTooLong(t *testing.T) {
	addr := start(t, quiet(t, func(c *Config) { c.IdleSeconds = 3600 }))
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Write(binary.BigEndian.AppendUint16(nil, 0xffff))
	conn.SetDeadline(time.Now().Add(60 * time.Second))
	if n, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes, %v", n, err)
	}
}
