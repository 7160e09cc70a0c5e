package dns

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// testZones are the zones of testdata that the tests serve.
var testZones = []ZoneConfig{
	{Name: "example.org", File: "testdata/example.org.zone"},
	{Name: "example.net", File: "testdata/example.net.zone"},
	{Name: "sub.example.net", File: "testdata/sub.example.net.zone"},
	{Name: "0.0.10.in-addr.arpa", File: "testdata/0.0.10.in-addr.arpa.zone"},
}

func TestReadsZones(t *testing.T) {
	for _, c := range testZones {
		zone, mistakes := ReadZone(c.Name, c.File)
		if zone == nil || len(mistakes.Fatal()) > 0 {
			t.Errorf("%s: %v", c.File, mistakes)
			continue
		}
		if zone.Name() != dns.Fqdn(c.Name) || zone.Serial() == 0 || zone.Records() < 3 {
			t.Errorf("%s: name %s, serial %d, %d records", c.File, zone.Name(), zone.Serial(), zone.Records())
		}
	}
}

// TestAllMistakesInOneReport: each with its file and line.
func TestAllMistakesInOneReport(t *testing.T) {
	zone, mistakes := ReadZone("example.org", "testdata/broken.zone")
	if zone != nil {
		t.Error("a broken zone is served")
	}
	report := mistakes.Error()
	for _, want := range []string{
		"broken.zone:3: the name server ns1.example.org. has no address in this zone",
		"broken.zone:4: bad A A",
		"broken.zone:5: a quoted text does not end in its line",
		"broken.zone:6: two.example.org. has a CNAME record and others",
		"broken.zone:8: $TTL \"soon\" is no time",
		"broken.zone:9: there is no directive $BOGUS",
		"broken.zone:10: far.example.com. does not lie in the zone example.org.",
		"broken.zone:11: ",
		"broken.zone:12: can't read it",
		"broken.zone:13: warning: the mail exchanger gone.example.org. has no address",
		"broken.zone:15: a parenthesis is opened but never closed",
	} {
		if !strings.Contains(report, want) {
			t.Errorf("the report lacks %q:\n%s", want, report)
		}
	}
}

// readText reads a zone that stands in the test.
func readText(text string) (*Zone, Mistakes) {
	return readZone("example.org", "z", instead("z", []byte(text)))
}

func TestZoneMistakes(t *testing.T) {
	const head = "$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 10.0.0.1\n"
	for _, c := range []struct{ text, want string }{
		{"", "has no SOA record"},
		{"@ 60 SOA ns h 1 2 3 4 5\n", "has no NS record of its own"},
		{" A 10.0.0.1\n", "z:1: the first record has no owner name"},
		{head + "x CH TXT \"a\"\n", "z:5: class CH is not served"},
		{head + "x SOA ns h 1 2 3 4 5\n", "z:5: a SOA record stands at x.example.org."},
		{head + "x CNAME a\nx CNAME b\n", "z:6: x.example.org. has more than one CNAME record"},
		{head + "x A 10.0.0.1\nx A 10.0.0.1\n", "z:6: warning: the same record stands here twice"},
		{head + "x 1 A 10.0.0.1\nx 2 A 10.0.0.2\n", "z:6: warning: the TTL differs"},
		{head + "@ NS alias\nalias CNAME ns\n", "z:5: the name server alias.example.org. is a CNAME"},
		{head + ")\n", "z:5: there is a closing parenthesis"},
		{head + "$ORIGIN a..b\n", "z:5: \"a..b\" is no domain name"},
		{head + "$INCLUDE z\n", "more than 8 deep"},
		{head + "$ORIGIN\n", "z:5: $ORIGIN has 0 arguments"},
	} {
		_, mistakes := readText(c.text)
		if !strings.Contains(mistakes.Error(), c.want) {
			t.Errorf("%q: the report lacks %q:\n%s", c.text, c.want, mistakes.Error())
		}
	}
}

func TestTTL(t *testing.T) {
	for s, want := range map[string]uint32{"0": 0, "60": 60, "1h30m": 5400, "1W2d": 777600, "5M1": 301} {
		if got, ok := parseTTL(s); !ok || got != want {
			t.Errorf("%s: %d %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "h", "1x", "-1", "4294967296", "99999w"} {
		if _, ok := parseTTL(s); ok {
			t.Errorf("%q is taken for a time", s)
		}
	}
}

func FuzzZone(f *testing.F) {
	f.Add("$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 10.0.0.1\n* TXT \"a\" ( ; c\n b )\n")
	f.Add("$ORIGIN a.\n$INCLUDE z b\n$GENERATE 1-3 a$ A 10.0.0.$\n")
	f.Add("x DNAME y\ny NS x\n\\000 CNAME \\255.\n")
	f.Fuzz(func(t *testing.T, text string) {
		opened := 0
		zone, mistakes := readZone("example.org", "z", func(name string) ([]byte, error) {
			if opened++; opened > 3 || len(text) > 4096 {
				return nil, errTest
			}
			return []byte(text), nil
		})
		if (zone == nil) != (len(mistakes.Fatal()) > 0) {
			t.Errorf("zone %v, mistakes %v", zone != nil, mistakes)
		}
	})
}
