package dns

import (
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

var errTest = errors.New("on purpose")

var client = netip.MustParseAddr("192.0.2.7")

// quiet is a server of the test zones that needs no socket.
func quiet(t testing.TB, change func(*Config)) *Server {
	t.Helper()
	c := Config{Zones: testZones, Listen: []string{"127.0.0.1:0"}, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	if change != nil {
		change(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// question makes a query.
func question(name string, kind uint16) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(name, kind)
	m.RecursionDesired = false
	return m
}

// askPacket hands a packet to the server as if it had come from client.
func askPacket(t testing.TB, s *Server, m *dns.Msg, udp bool) (*dns.Msg, int) {
	t.Helper()
	packet, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	answer, do := s.serve(newWorker(), packet, client, udp)
	if do != respond {
		return nil, 0
	}
	r := new(dns.Msg)
	if err := r.Unpack(answer); err != nil {
		t.Fatalf("%v: the answer can't be read: %v", m.Question, err)
	}
	return r, len(answer)
}

func TestAnswers(t *testing.T) {
	s := quiet(t, nil)
	for _, c := range []struct {
		name  string
		kind  uint16
		rcode int
		aa    bool
		want  string // of answer, authority and additional, in this order
	}{
		{"web.example.org.", dns.TypeA, 0, true, "A A"},
		{"WEB.Example.ORG.", dns.TypeA, 0, true, "A A"},
		{"web.example.org.", dns.TypeTXT, 0, true, "| SOA"},
		{"nothing.example.org.", dns.TypeA, 3, true, "| SOA"},
		{"chain1.example.org.", dns.TypeA, 0, true, "CNAME CNAME CNAME CNAME A A"},
		{"dangling.example.org.", dns.TypeA, 3, true, "CNAME | SOA"},
		{"outside.example.org.", dns.TypeA, 0, true, "CNAME"},
		{"across.example.org.", dns.TypeA, 0, true, "CNAME A"},
		{"x.wild.example.org.", dns.TypeA, 0, true, "A"},
		{"x.y.wild.example.org.", dns.TypeTXT, 0, true, "TXT"},
		{"host.wild.example.org.", dns.TypeTXT, 0, true, "| SOA"},
		{"other.host.wild.example.org.", dns.TypeTXT, 3, true, "| SOA"},
		{"deep.wild.example.org.", dns.TypeA, 0, true, "| SOA"},
		{"x.deep.wild.example.org.", dns.TypeA, 3, true, "| SOA"},
		{"c.ent.example.org.", dns.TypeA, 0, true, "| SOA"},
		{"www.deleg.example.org.", dns.TypeA, 0, false, "| NS NS NS | A AAAA"},
		{"signed.example.org.", dns.TypeDS, 0, true, "DS"},
		{"a.old.example.org.", dns.TypeA, 0, true, "DNAME CNAME A"},
		{"old.example.org.", dns.TypeA, 0, true, "| SOA"},
		{"example.com.", dns.TypeA, 5, false, ""},
		{"sub.example.net.", dns.TypeDS, 0, true, "| SOA"},
	} {
		r, _ := askPacket(t, s, question(c.name, c.kind), true)
		if got := kinds(r); r.Rcode != c.rcode || r.Authoritative != c.aa || got != c.want {
			t.Errorf("%s %s: %s, aa %v, %q; want %d, %v, %q", c.name, dns.TypeToString[c.kind], dns.RcodeToString[r.Rcode], r.Authoritative, got, c.rcode, c.aa, c.want)
		}
	}
}

// kinds lists the types in an answer.
func kinds(r *dns.Msg) string {
	var parts []string
	for i, section := range [][]dns.RR{r.Answer, r.Ns, r.Extra} {
		if i > 0 {
			parts = append(parts, "|")
		}
		for _, rr := range section {
			parts = append(parts, dns.TypeToString[rr.Header().Rrtype])
		}
	}
	return strings.TrimRight(strings.Join(parts, " "), " |")
}

func TestNegativeTTL(t *testing.T) {
	r, _ := askPacket(t, quiet(t, nil), question("no.example.org.", dns.TypeA), true)
	if len(r.Ns) != 1 || r.Ns[0].Header().Ttl != 600 {
		t.Errorf("%v", r.Ns)
	}
}

func TestEDNS(t *testing.T) {
	s := quiet(t, nil)
	m := question("big.example.org.", dns.TypeTXT)
	if r, n := askPacket(t, s, m, true); !r.Truncated || n > 512 || r.IsEdns0() != nil {
		t.Errorf("without EDNS: %d octets, truncated %v", n, r.Truncated)
	}
	m.SetEdns0(65000, true)
	r, n := askPacket(t, s, m, true)
	if !r.Truncated || n > 1232 || r.IsEdns0() == nil || !r.IsEdns0().Do() {
		t.Errorf("with EDNS: %d octets, %v", n, r)
	}
	if r, _ := askPacket(t, s, m, false); r.Truncated || len(r.Answer) != 60 {
		t.Errorf("over TCP: %d records", len(r.Answer))
	}
	m.IsEdns0().SetVersion(1)
	if r, _ := askPacket(t, s, m, true); r.Rcode != dns.RcodeBadVers || len(r.Answer) != 0 {
		t.Errorf("version 1: %s", dns.RcodeToString[r.Rcode])
	}
	m.IsEdns0().SetVersion(0)
	m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_LOCAL{Code: 65001, Data: []byte("x")})
	m.Question[0].Name = "web.example.org."
	if r, _ := askPacket(t, s, m, true); r.Rcode != 0 || len(r.IsEdns0().Option) != 0 {
		t.Errorf("an unknown option: %v", r)
	}
	m.Extra = append(m.Extra, m.Extra[0])
	if r, _ := askPacket(t, s, m, true); r.Rcode != dns.RcodeFormatError {
		t.Errorf("two OPT records: %s", dns.RcodeToString[r.Rcode])
	}
}

func TestCookies(t *testing.T) {
	s := quiet(t, func(c *Config) { c.RateLimit = 1; c.Slip = -1 })
	m := question("web.example.org.", dns.TypeA)
	m.SetEdns0(1232, false)
	cookie := &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0011223344556677"}
	m.IsEdns0().Option = []dns.EDNS0{cookie}
	r, _ := askPacket(t, s, m, true)
	given := r.IsEdns0().Option[0].(*dns.EDNS0_COOKIE).Cookie
	if len(given) != 48 || given[:16] != cookie.Cookie {
		t.Fatalf("cookie %s", given)
	}
	cookie.Cookie = given
	for range 20 {
		if r, _ := askPacket(t, s, m, true); r == nil {
			t.Fatal("who has a cookie is limited")
		}
	}
	cookie.Cookie = given[:47] + string("0123456789abcdef"[(strings.IndexByte("0123456789abcdef", given[47])+1)%16])
	limited := 0
	for range 20 {
		if r, _ := askPacket(t, s, m, true); r == nil {
			limited++
		}
	}
	if limited == 0 {
		t.Error("a forged cookie is taken")
	}
	cookie.Cookie = "001122"
	if r, _ := askPacket(t, s, m, true); r != nil && r.Rcode != dns.RcodeFormatError {
		t.Errorf("a short cookie: %s", dns.RcodeToString[r.Rcode])
	}
}

// TestCookieVector is the first example of RFC 9018, appendix A.1.
func TestCookieVector(t *testing.T) {
	c := newCookies([]byte{0xe5, 0xe9, 0x73, 0xe5, 0xa6, 0xb2, 0xa4, 0x3f, 0x48, 0xe7, 0xdc, 0x84, 0x9e, 0x37, 0xbf, 0xcf})
	buf := [24]byte{0x24, 0x64, 0xc4, 0xab, 0xcf, 0x10, 0xc9, 0x57, 1, 0, 0, 0, 0x5c, 0xf7, 0x9f, 0x11}
	c.sign(&buf, netip.MustParseAddr("198.51.100.100"))
	want := [8]byte{0x1f, 0x81, 0x30, 0xc3, 0xee, 0xe2, 0x94, 0x80}
	if [8]byte(buf[16:]) != want {
		t.Errorf("%x, want %x", buf[16:], want)
	}
}

func TestRateLimit(t *testing.T) {
	s := quiet(t, func(c *Config) { c.RateLimit = 5 })
	sent, cut, dropped := 0, 0, 0
	for range 200 {
		switch r, _ := askPacket(t, s, question("web.example.org.", dns.TypeA), true); {
		case r == nil:
			dropped++
		case r.Truncated:
			cut++
		default:
			sent++
		}
	}
	if sent < 5 || dropped < 50 || cut < 50 {
		t.Errorf("sent %d, truncated %d, dropped %d", sent, cut, dropped)
	}
	if r, _ := askPacket(t, s, question("web.example.org.", dns.TypeA), false); r == nil || r.Truncated {
		t.Error("TCP is limited")
	}
}

func TestRefusals(t *testing.T) {
	s := quiet(t, nil)
	m := question("example.org.", dns.TypeA)
	m.Opcode = dns.OpcodeUpdate
	if r, _ := askPacket(t, s, m, true); r.Rcode != dns.RcodeNotImplemented {
		t.Errorf("update: %v", r)
	}
	m = question("version.bind.", dns.TypeTXT)
	m.Question[0].Qclass = dns.ClassCHAOS
	if r, _ := askPacket(t, s, m, true); r.Rcode != dns.RcodeRefused {
		t.Errorf("CH: %v", r)
	}
	if r, _ := askPacket(t, s, question("example.org.", dns.TypeAXFR), true); r.Rcode != dns.RcodeFormatError {
		t.Errorf("AXFR over UDP: %v", r)
	}
	m = question("example.org.", dns.TypeA)
	m.Response = true
	if r, _ := askPacket(t, s, m, true); r != nil {
		t.Error("an answer is answered")
	}
}

// TestNoAllocation: the path of a simple query leaves nothing to collect.
func TestNoAllocation(t *testing.T) {
	s := quiet(t, nil)
	for _, name := range []string{"web.example.org.", "x.wild.example.org.", "nothing.example.org.", "www.deleg.example.org."} {
		m := question(name, dns.TypeA)
		packet, _ := m.Pack()
		w := newWorker()
		n := testing.AllocsPerRun(100, func() { s.serve(w, packet, client, true) })
		if most := map[string]float64{"www.deleg.example.org.": 8}[name]; n > most {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkQuery(b *testing.B) {
	s := quiet(b, nil)
	packet, _ := question("web.example.org.", dns.TypeA).Pack()
	w := newWorker()
	b.ReportAllocs()
	for b.Loop() {
		s.serve(w, packet, client, true)
	}
}

// FuzzQuery: whatever comes, nothing panics, an answer can be read, and over UDP it
// is never larger than what was agreed.
func FuzzQuery(f *testing.F) {
	for _, m := range []*dns.Msg{question("web.example.org.", dns.TypeA), question("a.old.example.org.", dns.TypeANY), question("big.example.org.", dns.TypeTXT)} {
		m.SetEdns0(4096, true)
		m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0011223344556677"}}
		packet, _ := m.Pack()
		f.Add(packet, true)
		f.Add(packet, false)
		for range 5 {
			damaged := append([]byte(nil), packet...)
			damaged[rand.IntN(len(damaged))] ^= 1 << rand.IntN(8)
			f.Add(damaged, true)
		}
	}
	s := quiet(f, nil)
	w := newWorker()
	f.Fuzz(func(t *testing.T, packet []byte, udp bool) {
		answer, do := s.serve(w, packet, client, udp)
		if do != respond {
			return
		}
		if udp && len(answer) > 1232 || len(answer) > dns.MaxMsgSize {
			t.Errorf("%d octets", len(answer))
		}
		r := new(dns.Msg)
		if err := r.Unpack(answer); err != nil {
			t.Errorf("the answer can't be read: %v\n%x", err, answer)
		}
		if !r.Response || len(packet) >= 2 && r.Id != uint16(packet[0])<<8|uint16(packet[1]) {
			t.Errorf("it does not answer the packet: %v", r)
		}
	})
}
