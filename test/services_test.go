package test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"pith/machine"
)

// service builds one of the services as an image.
func service(t *testing.T, name string) string {
	t.Helper()
	img := filepath.Join(t.TempDir(), name+".img")
	if out, err := exec.Command(command, "build", "-o", img, "pith/service/"+name+"/cmd/"+name).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return img
}

// TestWebService: the web server as a machine, asked over HTTP/1.1, HTTP/2 and TLS.
func TestWebService(t *testing.T) {
	img := service(t, "web")
	plain := "http://" + serving(t, "80", img)
	if got := get(t, impatient(), plain+"/"); !strings.Contains(got, "It works") {
		t.Errorf("the page: %q", got)
	}
	client := &http.Client{Timeout: patience}
	r, err := client.Post(plain+"/api/v1/items", "application/json", strings.NewReader(`{"name":"in a machine"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusCreated || r.Header.Get("ETag") == "" {
		t.Errorf("an item: %s", r.Status)
	}
	if got := get(t, client, plain+r.Header.Get("Location")); !strings.Contains(got, "in a machine") {
		t.Errorf("the item: %s", got)
	}
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	h2c := &http.Client{Timeout: patience, Transport: &http.Transport{Protocols: &protocols}}
	if r, err := h2c.Get(plain + "/"); err != nil || r.Proto != "HTTP/2.0" {
		t.Errorf("HTTP/2 without TLS: %v %v", r, err)
	}
	secure := "https://" + serving(t, "443", img, "--", "-listen", "-", "-tls", ":443")
	h2 := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true,
	}}
	if got := get(t, h2, secure+"/readyz"); got != "ready\n" {
		t.Errorf("readiness: %q", got)
	}
	r, err = h2.Get(secure + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.Proto != "HTTP/2.0" || r.TLS == nil {
		t.Errorf("over TLS: %s", r.Proto)
	}
}

// dnsZone is a zone with one address.
func dnsZone(address string) string {
	return "$TTL 60\n@ SOA ns h 1 1 1 1 1\n@ NS ns\nns A 10.0.0.100\nweb A " + address + "\nbig TXT " + strings.Repeat(`"0123456789012345678901234567890123456789" `, 20) + "\n"
}

// TestDNSService: the name server as a machine, asked over UDP and TCP; SIGHUP
// makes it fetch its zone again.
func TestDNSService(t *testing.T) {
	var zone atomic.Value
	zone.Store(dnsZone("10.0.0.5"))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	source := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, zone.Load().(string)) })}
	go source.Serve(l)
	defer source.Close()
	host := fmt.Sprintf("http://10.0.2.2:%d/zone", l.Addr().(*net.TCPAddr).Port) // the host, as QEMU's user network shows it
	config, err := json.Marshal(map[string]any{"zones": []map[string]string{{"name": "example.org", "file": host}}})
	if err != nil {
		t.Fatal(err)
	}
	udp := freeUDP(t)
	tcp := serving(t, "53", "--name", "dns-service", "-p", udp+":53/udp", "-e", "DNS_CONFIG="+string(config), service(t, "dns"))
	awaitName(t, "tcp", tcp, "10.0.0.5")
	awaitName(t, "udp", udp, "10.0.0.5")
	big := new(dns.Msg)
	big.SetQuestion("big.example.org.", dns.TypeTXT)
	if r, err := askName("udp", udp, big); err != nil || !r.Truncated {
		t.Errorf("a large answer over UDP: %v %v", r, err)
	}
	if r, err := askName("tcp", tcp, big); err != nil || r.Truncated || len(r.Answer) != 1 {
		t.Errorf("a large answer over TCP: %v %v", r, err)
	}
	zone.Store(dnsZone("10.0.0.77"))
	hangUp(t, "dns-service")
	awaitName(t, "udp", udp, "10.0.0.77")
}

// hangUp sends a machine SIGHUP.
func hangUp(t *testing.T, name string) {
	t.Helper()
	dir, err := machine.DefaultDir(os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := machine.OpenStore(dir).Find(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := entry.Remote().Signal(int(syscall.SIGHUP)); err != nil {
		t.Fatal(err)
	}
}

// freeUDP is a free address for UDP.
func freeUDP(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.LocalAddr().String()
}

func askName(network, addr string, m *dns.Msg) (*dns.Msg, error) {
	client := dns.Client{Net: network, Timeout: 5 * time.Second}
	r, _, err := client.Exchange(m, addr)
	return r, err
}

// awaitName asks for web.example.org until its address is the one that is wanted.
func awaitName(t *testing.T, network, addr, want string) {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion("web.example.org.", dns.TypeA)
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		r, err := askName(network, addr, m)
		if err == nil && len(r.Answer) == 1 && strings.HasSuffix(r.Answer[0].String(), "\t"+want) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("over %s: %v %v", network, r, err)
		}
	}
}
