package dns

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// bindQuestions is how many generated questions BIND and ours are asked.
const bindQuestions = 6000

// bindSeed makes the questions the same in each run.
const bindSeed = 20261124

// TestAnswersAsBIND: BIND and ours serve the same zones and are asked the same
// questions; response code, flags, sections and TTLs are equal but for what
// explained knows. README.md lists those.
func TestAnswersAsBIND(t *testing.T) {
	theirs := startBIND(t, findBIND(t))
	ours := start(t, quiet(t, nil))
	differences := 0
	explanations := map[string]int{}
	for _, m := range questions() {
		a, b := followed(t, theirs, m), exchange(t, ours, m)
		diff := compare(a, b)
		if diff == "" {
			continue
		}
		if why := explained(m, a, b); why != "" {
			explanations[why]++
			continue
		}
		if differences++; differences <= 20 {
			t.Errorf("%v\n%s\nBIND: %v\nours: %v", m.Question[0].String(), diff, a, b)
		}
	}
	if differences > 0 {
		t.Errorf("%d of %d answers differ", differences, bindQuestions)
	}
	t.Logf("%d questions; explained differences: %v", bindQuestions, explanations)
}

// TestTransfersAsBIND: both hand out the same records of each zone.
func TestTransfersAsBIND(t *testing.T) {
	theirs := startBIND(t, findBIND(t))
	ours := start(t, quiet(t, func(c *Config) { c.Transfer = loopback }))
	for _, z := range testZones {
		a, b := zoneFrom(t, theirs, z.Name), zoneFrom(t, ours, z.Name)
		if a != b || a == "" {
			t.Errorf("%s: BIND has\n%s\nours has\n%s", z.Name, a, b)
		}
	}
}

// zoneFrom transfers a zone.
func zoneFrom(t *testing.T, addr, zone string) string {
	t.Helper()
	m := new(dns.Msg)
	m.SetAxfr(dns.Fqdn(zone))
	envelopes, err := new(dns.Transfer).In(m, addr)
	if err != nil {
		t.Fatal(err)
	}
	var all []dns.RR
	for e := range envelopes {
		if e.Error != nil {
			t.Fatalf("%s from %s: %v", zone, addr, e.Error)
		}
		all = append(all, e.RR...)
	}
	return asSet(all)
}

// findBIND is named's path; the folder of servers isn't in everybody's PATH.
func findBIND(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"named", "/usr/sbin/named"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("BIND is not installed: make setup-test installs it (Debian's package bind9)")
	return ""
}

// explained says why an answer may differ; "" where it may not.
func explained(m *dns.Msg, bind, ours *dns.Msg) string {
	switch {
	case m.Question[0].Qtype == dns.TypeANY && bind.Rcode == ours.Rcode && len(bind.Answer) > 0 && len(ours.Answer) > 0:
		return "ANY: each picks the set that it likes"
	case bind.Truncated && ours.Truncated && bind.Rcode == ours.Rcode:
		return "truncated: how much is left"
	case m.Question[0].Qtype == dns.TypeNS && len(ours.Answer) > 0 && asSet(bind.Extra) == "" && strings.HasPrefix(compare(bind, ours), "additional"):
		return "NS: BIND leaves the servers' addresses out where the query has EDNS"
	}
	return ""
}

// compare returns the first field that differs.
func compare(a, b *dns.Msg) string {
	for _, f := range []struct {
		name string
		a, b any
	}{
		{"rcode", a.Rcode, b.Rcode},
		{"aa", a.Authoritative, b.Authoritative},
		{"tc", a.Truncated, b.Truncated},
		{"rd", a.RecursionDesired, b.RecursionDesired},
		{"ra", a.RecursionAvailable, b.RecursionAvailable},
		{"cd", a.CheckingDisabled, b.CheckingDisabled},
		{"ad", a.AuthenticatedData, b.AuthenticatedData},
		{"edns", a.IsEdns0() != nil, b.IsEdns0() != nil},
		{"do", a.IsEdns0() != nil && a.IsEdns0().Do(), b.IsEdns0() != nil && b.IsEdns0().Do()},
		{"question", strings.ToLower(fmt.Sprint(a.Question)), strings.ToLower(fmt.Sprint(b.Question))},
		{"answer", asSet(a.Answer), asSet(b.Answer)},
		{"authority", asSet(a.Ns), asSet(b.Ns)},
		{"additional", asSet(a.Extra), asSet(b.Extra)},
	} {
		if f.a != f.b {
			return fmt.Sprintf("%s: BIND %v, ours %v", f.name, f.a, f.b)
		}
	}
	return ""
}

// asSet is a section's records with their TTLs, in order, letters folded.
func asSet(section []dns.RR) string {
	var lines []string
	for _, rr := range section {
		if _, ok := rr.(*dns.OPT); !ok {
			lines = append(lines, strings.ToLower(rr.String()))
		}
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

// questions generates questions from the names that the zones hold: as they
// are, above, below and beside them.
func questions() []*dns.Msg {
	random := rand.New(rand.NewPCG(bindSeed, 1))
	names := []string{".", "example.com.", "org.", "invalid."}
	for _, c := range testZones {
		zone, _ := ReadZone(c.Name, c.File)
		for _, name := range zone.sorted() {
			names = append(names, text(name))
			for _, set := range zone.nodes[name].sets {
				if set.kind == dns.TypeNS || set.kind == dns.TypeCNAME {
					names = append(names, text(lower(set.records[0])))
				}
			}
		}
	}
	kinds := []uint16{dns.TypeA, dns.TypeA, dns.TypeAAAA, dns.TypeNS, dns.TypeSOA, dns.TypeMX, dns.TypeTXT, dns.TypeCNAME,
		dns.TypeSRV, dns.TypeCAA, dns.TypeSVCB, dns.TypeHTTPS, dns.TypePTR, dns.TypeDS, dns.TypeDNAME, dns.TypeANY, dns.TypeNAPTR, 65432}
	var all []*dns.Msg
	for len(all) < bindQuestions {
		name := names[random.IntN(len(names))]
		switch random.IntN(6) {
		case 0:
			name = "x" + name
		case 1:
			name = strings.TrimSuffix("a."+name, ".") + "."
		case 2:
			name = strings.TrimSuffix("x.y."+name, ".") + "."
		case 3:
			if i := strings.IndexByte(name, '.'); i > 0 && i < len(name)-1 {
				name = name[i+1:]
			}
		}
		if name[0] == 'x' && name == "x." {
			name = "x.example.org."
		}
		if _, ok := dns.IsDomainName(name); !ok {
			continue
		}
		m := question(mixed(name, random), kinds[random.IntN(len(kinds))])
		m.Id = uint16(len(all))
		m.RecursionDesired = random.IntN(2) == 0
		m.CheckingDisabled = random.IntN(4) == 0
		if random.IntN(2) == 0 {
			m.SetEdns0([]uint16{512, 1232, 4096}[random.IntN(3)], random.IntN(2) == 0)
		}
		all = append(all, m)
	}
	return all
}

func mixed(name string, random *rand.Rand) string {
	b := []byte(name)
	for i, c := range b {
		if 'a' <= c && c <= 'z' && random.IntN(4) == 0 {
			b[i] -= 0x20
		}
	}
	return string(b)
}

// followed asks BIND, and again for an alias that leads into another of its
// zones: BIND leaves that to the asker, ours answers at once.
func followed(t *testing.T, addr string, m *dns.Msg) *dns.Msg {
	t.Helper()
	r := exchange(t, addr, m)
	if kind := m.Question[0].Qtype; kind == dns.TypeANY || kind == dns.TypeCNAME && !strings.HasPrefix(kinds(r), "DNAME") {
		return r
	}
	for range maxChain {
		target := dangling(r)
		if target == "" || r.Rcode != dns.RcodeSuccess || len(r.Ns) > 0 || r.Truncated {
			return r
		}
		again := m.Copy()
		again.Question[0].Name = target
		next := exchange(t, addr, again)
		if next.Rcode == dns.RcodeRefused {
			return r
		}
		next.Question, next.Authoritative = r.Question, r.Authoritative
		next.Answer = append(r.Answer, next.Answer...)
		r = next
	}
	return r
}

// dangling is the target of the last alias in an answer that ends with one.
func dangling(r *dns.Msg) string {
	if len(r.Answer) == 0 {
		return ""
	}
	if alias, ok := r.Answer[len(r.Answer)-1].(*dns.CNAME); ok {
		return alias.Target
	}
	return ""
}

func exchange(t *testing.T, addr string, m *dns.Msg) *dns.Msg {
	t.Helper()
	client := dns.Client{Timeout: 5 * time.Second, UDPSize: 4096}
	for range 5 {
		if r, _, err := client.Exchange(m, addr); err == nil {
			return r
		}
	}
	t.Fatalf("%s does not answer %v", addr, m.Question)
	return nil
}

// start serves on a free port of loopback.
func start(t testing.TB, s *Server) string {
	t.Helper()
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s.Addr().String()
}

// startBIND runs named as an ordinary process with its files in a folder of its own.
func startBIND(t *testing.T, named string) string {
	t.Helper()
	dir := t.TempDir()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	var config strings.Builder
	fmt.Fprintf(&config, `options { directory %q; listen-on port %d { 127.0.0.1; }; listen-on-v6 { none; };
 recursion no; allow-query { any; }; minimal-responses yes; minimal-any yes; zero-no-soa-ttl no; pid-file none; session-keyfile none;
 dnssec-validation no; notify no; empty-zones-enable no; allow-transfer { 127.0.0.1; }; max-udp-size 1232; edns-udp-size 1232; };
controls { };
logging { channel c { stderr; severity warning; }; category default { c; }; };
`, dir, port)
	for _, z := range testZones {
		copyZone(t, filepath.Join(here, z.File), dir)
		fmt.Fprintf(&config, "zone %q { type primary; file %q; check-names ignore; };\n", z.Name, filepath.Base(z.File))
	}
	copyZone(t, filepath.Join(here, "testdata/big.inc"), dir)
	file := filepath.Join(dir, "named.conf")
	if err := os.WriteFile(file, []byte(config.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd := exec.Command(named, "-g", "-c", file, "-n", "1")
	cmd.Dir, cmd.Stderr, cmd.Stdout = dir, &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("BIND said:\n%s", out.String())
		}
	})
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	waitForBIND(t, addr)
	return addr
}

func waitForBIND(t *testing.T, addr string) {
	t.Helper()
	client := dns.Client{Timeout: time.Second}
	for range 100 {
		r, _, err := client.Exchange(question("example.org.", dns.TypeSOA), addr)
		if err == nil && r.Rcode == dns.RcodeSuccess {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("BIND does not serve example.org")
}

func copyZone(t *testing.T, from, dir string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, filepath.Base(from)), data, 0o644); err != nil {
		t.Fatal(err)
	}
}
