package router

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"pith/service/firewall/nft"
	"pith/service/packet"
)

// delivered is a stack that keeps what it gets.
type delivered struct{ packets [][]byte }

func (d *delivered) Deliver(ip []byte) { d.packets = append(d.packets, append([]byte(nil), ip...)) }

// udpPorts are the ports of a UDP packet without options.
func udpPorts(ip []byte) (src, dst uint16) {
	return binary.BigEndian.Uint16(ip[20:]), binary.BigEndian.Uint16(ip[22:])
}

// TestRedirectClash: two destinations that are redirected to one port from the same
// source port are two connections there, and each gets its answers from whom it asked.
func TestRedirectClash(t *testing.T) {
	b := newBench(t)
	rules, err := nft.Load("rules.nft", []byte("table ip n {\n\tchain c {\n\t\ttype nat hook prerouting priority dstnat\n\t\tudp dport 53 redirect to :5300\n\t}\n}\n"), nft.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Apply(b.Config(), rules); err != nil {
		t.Fatal(err)
	}
	local := &delivered{}
	b.SetLocal(local)
	asked := []string{"203.0.113.5", "203.0.113.6", "203.0.113.5", "203.0.113.6"}
	for _, a := range asked {
		b.lan.Deliver(udpTo(a, 9, 10).Frame.Bytes())
	}
	if len(local.packets) != len(asked) {
		t.Fatalf("%d packets of %d arrived", len(local.packets), len(asked))
	}
	from := make([]uint16, len(asked))
	for i, ip := range local.packets {
		src, dst := udpPorts(ip)
		if dst != 5300 || netip.AddrFrom4([4]byte(ip[12:])) != host {
			t.Errorf("packet %d is from %v to port %d", i, ip[12:16], dst)
		}
		from[i] = src
		answer, body := packet.NewIP(packet.IPHeader{Src: netip.AddrFrom4([4]byte(ip[16:])), Dst: host, Protocol: packet.UDP, TTL: 64}, 8)
		binary.BigEndian.PutUint16(body, dst)
		binary.BigEndian.PutUint16(body[2:], src)
		binary.BigEndian.PutUint16(body[4:], 8)
		answer.SumTransport()
		b.Send(answer.Bytes())
		sent := b.lan.Sent()
		if len(sent) != 1 {
			t.Fatalf("answer %d: %d frames", i, len(sent))
		}
		if p := read(t, sent[0]); p.Src.String() != asked[i] || p.SrcPort != 53 || p.Dst != host || p.DstPort != 4000 || !p.ChecksumOK() {
			t.Errorf("answer %d is from %v port %d to port %d, want %s port 53 to port 4000", i, p.Src, p.SrcPort, p.DstPort, asked[i])
		}
	}
	if from[0] != 4000 || from[1] == 4000 || from[2] != from[0] || from[3] != from[1] {
		t.Errorf("they come from ports %d", from)
	}
}
