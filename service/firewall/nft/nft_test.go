package nft

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"pith/service/packet"
)

// TestMistakesHavePlaces: each mistake is told with its line, column and what was
// expected.
func TestMistakesHavePlaces(t *testing.T) {
	for text, want := range map[string]string{
		"tcp dprot 80 accept":                       ":4:5: tcp has no field dprot",
		"ip saddr 10.0.0.300 drop":                  ":10: expected an IPv4 address",
		"tcp dport 70000 drop":                      ":11: 70000 is too large",
		"tcp dport 90-80 drop":                      ":11: this range ends before it begins",
		"ct state newish accept":                    ":10: expected a connection state",
		"jump nowhere":                              ":6: table f has no chain nowhere",
		"tcp dport @ports accept":                   ":12: table f has no set ports",
		"masquerade":                                ":1: this statement needs a chain of type nat",
		"accept accept_it":                          ":8: \"accept_it\" is neither",
		"ip saddr $nobody accept":                   ":10: there is no variable $nobody",
		"reject with icmp type nonsense":            "is no code of icmp",
		"ip saddr . tcp dport { 1.2.3.4 }":          "",
		"log prefix \"open":                         "no closing quote",
		"tcp dport 80 udp dport 53 accept":          "no packet is udp too",
		"ip saddr 10.0.0.0/33 accept":               "a prefix's length is 0 to 32",
		"limit rate 0/second accept":                "greater than 0",
		"tcp dport vmap { 1-5 : accept, 3 : drop }": "overlaps",
	} {
		_, err := Load("r", []byte("table inet f {\nchain c {\ntype filter hook forward priority 0\n"+text+"\n}\n}\n"), Options{})
		if err == nil {
			t.Errorf("%q is taken", text)
			continue
		}
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestIncludeAndVariables: names stand for what they are defined as, also in other files.
func TestIncludeAndVariables(t *testing.T) {
	files := map[string]string{"more": "define ports = { 80, 443 }\n"}
	rules, err := Load("r", []byte("include \"more\"\ntable ip f {\nchain c {\ntype filter hook forward priority 0; policy drop\ntcp dport $ports accept\n}\n}\n"),
		Options{ReadFile: func(name string) ([]byte, error) { return []byte(files[name]), nil }})
	if err != nil {
		t.Fatal(err)
	}
	for port, want := range map[uint16]Verdict{80: Accept, 443: Accept, 22: Drop} {
		if got := rules.Filter(Forward, First, Last, &Context{Packet: segment(port)}); got.Verdict != want {
			t.Errorf("port %d: %s, want %s", port, got.Verdict, want)
		}
	}
}

// segment is a TCP SYN to a port.
func segment(port uint16) *packet.Packet {
	p, b := packet.NewIP(packet.IPHeader{Src: netip.MustParseAddr("192.0.2.1"), Dst: netip.MustParseAddr("10.0.0.5"), Protocol: packet.TCP, TTL: 64}, 20)
	b[2], b[3], b[12], b[13] = byte(port>>8), byte(port), 5<<4, packet.SYN
	p.SumTransport()
	q := &packet.Packet{}
	q.Parse(p.Frame)
	return q
}

// TestLimit: a bucket gives its burst at once, then its rate.
func TestLimit(t *testing.T) {
	rules, err := Load("r", []byte("table ip f {\nchain c {\ntype filter hook forward priority 0; policy drop\nlimit rate 10/second burst 3 packets accept\n}\n}\n"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	passed := func(now int64) bool {
		return rules.Filter(Forward, First, Last, &Context{Packet: segment(80), Now: now}).Verdict == Accept
	}
	for i, want := range []bool{true, true, true, false} {
		if got := passed(1); got != want {
			t.Errorf("packet %d at once: %v", i, got)
		}
	}
	if !passed(100e6+1) || passed(100e6+2) {
		t.Error("after a tenth of a second there must be one token more")
	}
}

// FuzzLoad: no text makes the parser fail in another way than by an *Error, and what it
// takes can decide about a packet.
func FuzzLoad(f *testing.F) {
	f.Add("define a = { 1, 2 }\ntable inet f {\n set s { type inet_service; flags interval; elements = { 1-5, $a } }\n chain c { type filter hook forward priority filter - 5; policy drop; tcp dport @s counter accept\n ct state new,related jump d; }\n chain d { limit rate 5/minute log prefix \"x\" reject with tcp reset; }\n}\n")
	f.Add("table ip n {\n chain p { type nat hook prerouting priority dstnat; tcp dport 80 dnat to 10.0.0.1:8080; dnat to tcp dport map { 80 : 10.0.0.2 }; }\n chain q { type nat hook postrouting priority srcnat; oifname \"e*\" masquerade; snat to 1.2.3.4-1.2.3.9; }\n}\n")
	f.Add("add table ip6 x\nadd chain ip6 x y\nadd rule ip6 x y ip6 saddr fd00::/8 tcp flags & (syn|ack) == syn vmap { syn : drop }\n")
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := Load("f", []byte(text), Options{ReadFile: func(string) ([]byte, error) { return []byte("define z = 1\n"), nil }})
		if err != nil {
			return
		}
		for h := range hooks {
			rules.Filter(h, First, Last, &Context{Packet: segment(80), Trace: &Trace{}, Now: 1})
			rules.NAT(h, &Context{Packet: segment(80), Now: 1})
		}
	})
}
