package firewall_test

import (
	"os"
	"strings"
	"testing"

	"pith/service/firewall"
	"pith/service/firewall/nft"
)

// TestExampleRules: the example drops pings, lets ports 80 and 53 in, and nothing else.
func TestExampleRules(t *testing.T) {
	text, err := os.ReadFile("../../examples/dmz/firewall.nft")
	if err != nil {
		t.Fatal(err)
	}
	rules, err := nft.Load("firewall.nft", text, nft.Options{})
	if err != nil {
		t.Fatal(err)
	}
	in := "iif external oif firewall ip saddr 192.0.2.1 "
	for packet, want := range map[string]string{
		in + "daddr 10.0.0.5 tcp sport 4000 dport 80 flags syn ct new":                                                 "accept",
		in + "daddr 10.0.0.100 udp sport 4000 dport 53 ct new":                                                         "accept",
		in + "daddr 10.0.0.100 tcp sport 4000 dport 53 flags syn ct new":                                               "accept",
		in + "daddr 10.0.0.5 tcp sport 4000 dport 22 flags syn ct new":                                                 "drop",
		in + "daddr 10.0.0.100 tcp sport 4000 dport 80 flags syn ct new":                                               "drop",
		in + "daddr 10.0.0.5 icmp type echo-request ct new":                                                            "drop",
		in + "daddr 10.0.0.5 icmp type echo-reply ct established":                                                      "drop",
		in + "daddr 10.0.0.5 tcp sport 4000 dport 80 flags ack ct invalid":                                             "drop",
		"iif firewall oif external ip saddr 10.0.0.5 daddr 192.0.2.1 tcp sport 80 dport 4000 flags ack ct established": "accept",
		"iif firewall oif external ip saddr 10.0.0.5 daddr 192.0.2.1 tcp sport 4001 dport 25 flags syn ct new":         "drop",
		"iif external ip saddr 192.0.2.1 daddr 192.168.100.254 icmp type echo-request":                                 "drop",
		"iif external ip saddr 192.0.2.1 daddr 192.168.100.254 tcp dport 9100 flags syn":                               "drop",
	} {
		e, err := firewall.Explain(rules, strings.Fields(packet))
		if err != nil {
			t.Fatal(err)
		}
		if e.Verdict != want {
			t.Errorf("%s: %s by %s, want %s", packet, e.Verdict, e.Rule, want)
		}
		if len(e.Steps) == 0 {
			t.Errorf("%s: no reason", packet)
		}
	}
	if _, err := firewall.Explain(rules, strings.Fields("iif external saddr nonsense")); err == nil {
		t.Error("nonsense is a packet")
	}
}
