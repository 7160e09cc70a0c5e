package programs

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const corefile = `example.org:53 {
	file /etc/coredns/example.org.zone
	prometheus 0.0.0.0:9153
	cache 30
	errors
}
`

const zone = `$ORIGIN example.org.
$TTL 300
@	IN SOA ns hostmaster 1 7200 3600 1209600 300
	IN NS ns
ns	IN A 10.0.0.100
web	IN A 10.0.0.5
www	IN CNAME web
big	IN TXT "` + "%s" + `"
`

// TestCoreDNS: Corefile, zone file, UDP and TCP, cache, Prometheus metrics.
func TestCoreDNS(t *testing.T) {
	image := build(t, "github.com/coredns/coredns@v1.15.0")
	dir := t.TempDir()
	write(t, dir, "Corefile", corefile)
	write(t, dir, "example.org.zone", fmt.Sprintf(zone, strings.Repeat(strings.Repeat("x", 200)+`" "`, 8)))
	udp, publishUDP := port(t, "53/udp")
	tcp, publishTCP := port(t, "53")
	metrics, publishMetrics := port(t, "9153")
	s := serve(t, "-m", "256", "-p", publishUDP, "-p", publishTCP, "-p", publishMetrics, "--file", dir+":/etc/coredns", "-w", "/etc/coredns", image)

	ask := func(network, addr, name string, kind uint16) (*dns.Msg, error) {
		c := dns.Client{Net: network, Timeout: 5 * time.Second}
		m := new(dns.Msg)
		m.SetQuestion(name, kind)
		r, _, err := c.Exchange(m, addr)
		return r, err
	}
	s.eventually("a question", func() error {
		_, err := ask("udp", udp, "web.example.org.", dns.TypeA)
		return err
	})
	for _, network := range []string{"udp", "tcp"} {
		addr := map[string]string{"udp": udp, "tcp": tcp}[network]
		r, err := ask(network, addr, "www.example.org.", dns.TypeA)
		if err != nil || len(r.Answer) != 2 || !strings.HasSuffix(r.Answer[1].String(), "10.0.0.5") || !r.Authoritative {
			t.Errorf("%s: %v %v", network, r, err)
		}
		if r, err := ask(network, addr, "none.example.org.", dns.TypeA); err != nil || r.Rcode != dns.RcodeNameError {
			t.Errorf("%s: a name that is not there: %v %v", network, r, err)
		}
	}
	if r, err := ask("udp", udp, "big.example.org.", dns.TypeTXT); err != nil || !r.Truncated {
		t.Errorf("an answer that is too long for UDP: %v %v", r, err)
	}
	if r, err := ask("tcp", tcp, "big.example.org.", dns.TypeTXT); err != nil || r.Truncated || len(r.Answer) != 1 {
		t.Errorf("the same by TCP: %v %v", r, err)
	}
	for range 200 {
		if _, err := ask("udp", udp, "web.example.org.", dns.TypeA); err != nil {
			t.Fatal(err)
		}
	}
	r, err := http.Get("http://" + metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || !strings.Contains(string(text), "coredns_cache_hits_total") || !strings.Contains(string(text), "process_resident_memory_bytes") {
		t.Errorf("%v: metrics lack the cache's hits or the process's memory:\n%s", err, text)
	}
}
