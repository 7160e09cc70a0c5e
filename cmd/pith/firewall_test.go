package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// TestFirewallCheck: a rule file's mistakes are told with their places, all of them.
func TestFirewallCheck(t *testing.T) {
	c := newCLI(t)
	example := filepath.Join(repository(t), "examples/dmz/firewall.nft")
	if out := c.works("firewall", "check", example); !strings.Contains(out, "rules in") {
		t.Errorf("the example: %s", out)
	}
	c.save("bad.nft", "table inet f {\n\tchain c {\n\t\ttype filter hook forward priority 0\n\t\ttcp dport lots accept\n\t\tjump nowhere\n\t}\n}\n")
	c.fails(2, "bad.nft:4:13: ", "firewall", "check", "bad.nft")
	r := c.pith("firewall", "check", "-o", "json", "bad.nft")
	var mistakes []struct {
		File, Message, Source string
		Line, Column          int
	}
	if err := json.Unmarshal([]byte(r.out), &mistakes); err != nil || r.code != 2 || len(mistakes) == 0 {
		t.Fatalf("exit code %d, %v: %s", r.code, err, r.out)
	}
	if m := mistakes[0]; m.File != "bad.nft" || m.Line != 4 || m.Column != 13 || !strings.Contains(m.Source, "lots") || m.Message == "" {
		t.Errorf("the first of them: %+v", m)
	}
	c.fails(2, "missing.nft", "firewall", "check", "missing.nft")
}

// TestFirewallExplain: the rule that decides is named, or the policy.
func TestFirewallExplain(t *testing.T) {
	c := newCLI(t)
	example := filepath.Join(repository(t), "examples/dmz/firewall.nft")
	for packet, want := range map[string]string{
		"iif external oif inside saddr 192.168.100.10 daddr 10.0.0.5 tcp dport 80 flags syn ct new":       "accept, by " + example + ":",
		"iif external oif inside saddr 192.168.100.10 daddr 10.0.0.100 udp dport 53 ct new":               "accept, by " + example + ":",
		"iif external oif inside saddr 192.168.100.10 daddr 10.0.0.5 tcp dport 22 flags syn ct new":       "drop, by ",
		"iif external saddr 192.168.100.10 daddr 192.168.100.254 icmp type echo-request ct new":           "drop, by ",
		"iif external oif inside saddr 192.168.100.10 daddr 10.0.0.5 icmp type echo-reply ct established": "drop, by ",
	} {
		args := append([]string{"firewall", "explain", example}, strings.Fields(packet)...)
		if out := c.works(args...); !strings.Contains(out, want) {
			t.Errorf("%s: no %q in\n%s", packet, want, out)
		}
		var e struct {
			Verdict string
			Steps   []struct{ Why string }
		}
		text := c.works(append([]string{"firewall", "explain", "-o", "json"}, args[2:]...)...)
		if err := json.Unmarshal([]byte(text), &e); err != nil || !strings.HasPrefix(want, e.Verdict+",") || len(e.Steps) == 0 {
			t.Errorf("%s: %v, %s", packet, err, text)
		}
	}
	c.fails(2, "lots", "firewall", "explain", example, "iif", "external", "tcp", "dport", "lots")
}
