package router

import (
	"testing"

	"pith/service/firewall/nft"
)

// TestTracksWhereItMatters: connections are followed where rules ask for them, and
// from then on those that go on are known.
func TestTracksWhereItMatters(t *testing.T) {
	b := newBench(t)
	const chain = "\tchain c {\n\t\ttype filter hook forward priority 0; policy drop;\n"
	for _, c := range []struct {
		rules string
		conns int
		out   int // packets of a flow of two
	}{
		{"", 0, 2},
		{"table inet f {\n" + chain + "\t\tudp dport 53 accept\n\t}\n}\n", 0, 2},
		{"table inet f {\n" + chain + "\t\tudp dport 54 accept\n\t}\n}\n", 0, 0},
		{"table inet f {\n" + chain + "\t\tct state new accept\n\t}\n}\n", 1, 2}, // of UDP all is new until it is answered
		{"table inet f {\n" + chain + "\t\tct state vmap { new : accept, established : drop }\n\t}\n}\n", 1, 2},
		{"table ip n {\n\tchain c {\n\t\ttype nat hook postrouting priority srcnat\n\t}\n}\n", 1, 2},
	} {
		rules, err := nft.Load("rules.nft", []byte(c.rules), nft.Options{})
		if err != nil {
			t.Fatalf("%v", err)
		}
		if err := b.Apply(b.Config(), rules); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			b.lan.Deliver(udpTo("203.0.113.5", 9, 10).Frame.Bytes())
		}
		if out := len(b.wan.Sent()); out != c.out || b.conns.Len() != c.conns {
			t.Errorf("%d packets came through and %d connections are known, want %d and %d, with\n%s", out, b.conns.Len(), c.out, c.conns, c.rules)
		}
	}
}
