package router

import (
	"testing"

	"pith/service/firewall/nft"
	"pith/service/packet"
)

// sink is a port that takes frames and forgets them.
type sink struct{ packet.Memory }

func (s *sink) Send(int, *packet.Frame) bool { return true }

// BenchmarkForward takes batches of 64-byte frames of as many flows through the
// router: without rules, and with those of a stateful filter.
func BenchmarkForward(b *testing.B) {
	const stateful = "table inet f {\n\tchain c {\n\t\ttype filter hook forward priority filter; policy drop;\n" +
		"\t\tct state established,related accept\n\t\tct state invalid drop\n\t\tiifname \"lan\" udp dport 53 accept\n\t}\n}\n"
	for name, text := range map[string]string{"router": "", "firewall": stateful} {
		b.Run(name, func(b *testing.B) {
			rules, err := nft.Load("rules.nft", []byte(text), nft.Options{})
			if err != nil {
				b.Fatal(err)
			}
			r := newBench(b)
			if err := r.Apply(r.Config(), rules); err != nil {
				b.Fatal(err)
			}
			for _, p := range r.ports {
				p.Port = &sink{}
			}
			const flows, headers = 64, packet.EthernetLen + 20
			var frames [flows]*packet.Frame
			var saved [flows][headers]byte
			for i := range frames {
				p := udpTo("203.0.113.5", 64, 18)
				p.SetSrcPort(uint16(20000 + i))
				frames[i], saved[i] = p.Frame, [headers]byte(p.Frame.Bytes())
			}
			w, wan := r.ports[0].workers[0], r.state.Load().faces[1]
			before := wan.TxPackets.Load()
			for b.Loop() {
				for i, f := range frames {
					copy(f.Bytes(), saved[i][:])
					w.input(f)
				}
				w.done()
			}
			if sent := wan.TxPackets.Load() - before; sent != uint64(b.N)*flows {
				b.Errorf("%d packets came through of %d", sent, b.N*flows)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/flows, "ns/packet")
		})
	}
}
