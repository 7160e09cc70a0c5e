package suite

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pith"
	"pith/bench"
	"pith/bench/lab"
	"pith/bench/lab/labtest"
)

func TestPeersPlan(t *testing.T) {
	c := testConfig()
	c.Measures, c.Machines, c.Repeat, c.Peers = []string{Web, DNS, Start, Footprint, Flood, Forward}, []string{Unikernel}, 1, []string{Nginx, BIND}
	c.DNS = c.Web
	c.Flood.Services, c.Flood.Attacks = []string{Web, DNS}, []string{"slow"}
	var got []string
	for _, j := range c.plan() {
		if j.Machine != Unikernel {
			got = append(got, j.Machine+": "+j.Measure+" "+j.Part)
		}
	}
	text := strings.Join(got, "\n")
	for _, want := range []string{"nginx: web ", "nginx: flood web slow", "bind: dns ", "bind: flood dns slow"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if len(got) != 4 {
		t.Errorf("peers' parts:\n%s", text)
	}
}

func TestPeersRefused(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"--peer apache":   func(c *Config) { c.Peers = []string{"apache"} },
		"isn't measured":  func(c *Config) { c.Peers = []string{BIND} },
		"without --tls":   func(c *Config) { c.Peers, c.Page.TLS = []string{Nginx}, true },
		"--machine nginx": func(c *Config) { c.Machines = []string{Nginx} },
	} {
		c := Default()
		c.Measures = []string{Web}
		change(&c)
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), want) || pith.ExitCode(err) != 2 {
			t.Errorf("%s: error %v", want, err)
		}
	}
}

// TestPeerIsNotInstalled: the user learns how to get it, before anything is begun.
func TestPeerIsNotInstalled(t *testing.T) {
	p := peer{name: "nginx", program: "pith-no-such-program", install: "nginx-light"}
	err := p.installed()
	if err == nil || !strings.Contains(err.Error(), "apt-get install nginx-light") || pith.ExitCode(err) != 2 {
		t.Errorf("error %v", err)
	}
}

func TestVersionLine(t *testing.T) {
	for text, want := range map[string]string{
		"nginx version: nginx/1.22.1\n":                     "nginx/1.22.1",
		"BIND 9.18 (Extended Support Version) <id:>\n":      "BIND 9.18 (Extended Support Version)",
		"CoreDNS-1.15.0\nlinux/amd64, go1.26.8, \n":         "CoreDNS-1.15.0 linux/amd64, go1.26.8",
		"CoreDNS-1.15.0\nlinux/amd64, go1.26.8, 0123abcd\n": "CoreDNS-1.15.0 linux/amd64, go1.26.8, 0123abcd",
	} {
		if got := versionLine("nginx", text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestPeers starts those that are installed, in a lab, and asks them.
func TestPeers(t *testing.T) {
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
	c := testConfig()
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) { askPeer(t, l, c, p) })
	}
}

func askPeer(t *testing.T, l *lab.Lab, c Config, p peer) {
	if p.program == "" {
		t.Skip("building it takes too long for a test; pith bench dns --peer coredns does it")
	}
	dir, err := os.MkdirTemp("/tmp", "pith-peer-") // BIND may be confined to some folders
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	k := &Kit{filepath.Join(dir, "kit")}
	if _, err := p.find(k); err != nil {
		t.Skip(err)
	}
	if err := k.writeFiles(c, p.service); err != nil {
		t.Fatal(err)
	}
	if err := k.buildPeer(t.Context(), c, p.name, func(string) {}); err != nil {
		t.Fatal(err)
	}
	book, err := Create(filepath.Join(dir, "run"), About{Config: c})
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	s := &suite{Config: c, kit: k, lab: l, book: book, targets: map[string]bench.Target{}}
	s.connect = s.client
	v, err := s.start(t.Context(), p.service, p.name, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer v.stop(t.Context())
	o, err := v.client.Rate(v.ctx, 50, time.Second)
	if err != nil || o.Wrong > 0 || o.Answered == 0 {
		t.Errorf("%+v, error %v", o, err)
	}
	if end, err := s.describe(t.Context(), v, p.name); err != nil || end.Program == "" {
		t.Errorf("%+v, error %v", end, err)
	}
}
