package conntrack

import (
	"net/netip"
	"sync"
	"testing"

	"pith/service/packet"
)

var (
	inside  = netip.MustParseAddr("10.0.0.5")
	outside = netip.MustParseAddr("192.0.2.7")
	own     = netip.MustParseAddr("203.0.113.1")
)

func segment(src, dst netip.Addr, sport, dport uint16, flags uint8) *packet.Packet {
	p, b := packet.NewIP(packet.IPHeader{Src: src, Dst: dst, Protocol: packet.TCP, TTL: 64}, 20)
	b[0], b[1], b[2], b[3] = byte(sport>>8), byte(sport), byte(dport>>8), byte(dport)
	b[12], b[13] = 5<<4, flags
	p.SumTransport()
	q := &packet.Packet{}
	q.Parse(p.Frame)
	return q
}

// TestMasquerade: a connection shows the router's address, its answers come back, an ICMP
// error about it too, and two hosts with the same port are told apart.
func TestMasquerade(t *testing.T) {
	table := NewTable(100)
	ports := map[uint16]bool{}
	for i := range 3 {
		src := inside
		for range i {
			src = src.Next()
		}
		p := segment(src, outside, 4000, 80, packet.SYN)
		v := table.Track(p, 1)
		if v.State != New || !table.SourceNAT(v.Conn, Range{From: own, To: own}, 1) {
			t.Fatalf("host %d: %+v", i, v)
		}
		v.TranslateSrc(p)
		if !table.Confirm(v.Conn, 1) || p.Src != own || ports[p.SrcPort] || !p.ChecksumOK() {
			t.Fatalf("host %d leaves as %s port %d", i, p.Src, p.SrcPort)
		}
		ports[p.SrcPort] = true
		e := packet.NewError(p, outside, packet.TimeExceeded, 0, 0)
		q := &packet.Packet{}
		q.Parse(e.Frame)
		r := table.Track(q, 2)
		r.TranslateDst(q)
		var in packet.Packet
		if r.State != Related || q.Dst != src || !q.ChecksumOK() || !q.Inner(&in) || in.Src != src || in.SrcPort != 4000 {
			t.Errorf("host %d: the error is %d for %s about %s port %d", i, r.State, q.Dst, in.Src, in.SrcPort)
		}
		a := segment(outside, own, 80, p.SrcPort, packet.SYN|packet.ACK)
		r = table.Track(a, 3)
		r.TranslateDst(a)
		if r.State != Established || !r.Reply || a.Dst != src || a.DstPort != 4000 || !a.ChecksumOK() {
			t.Errorf("host %d: the answer is %d for %s port %d", i, r.State, a.Dst, a.DstPort)
		}
	}
}

// TestLimits: a table full of connections that stand refuses, and makes room when they
// time out.
func TestLimits(t *testing.T) {
	table := NewTable(64)
	confirmed := 0
	for i := range 100 {
		port := uint16(2000 + i)
		v := table.Track(segment(inside, outside, port, 80, packet.SYN), 1)
		if !table.Confirm(v.Conn, 1) {
			continue
		}
		confirmed++
		table.Track(segment(outside, inside, 80, port, packet.SYN|packet.ACK), 1)
		table.Track(segment(inside, outside, port, 80, packet.ACK), 1)
	}
	if confirmed != 64 || table.Len() != 64 || table.Full.Load() != 36 {
		t.Errorf("%d connections, %d refused", confirmed, table.Full.Load())
	}
	for range 16 {
		table.Sweep(tcpTimes[tcpEstablished] + 10)
	}
	if table.Len() != 0 {
		t.Errorf("%d connections are left", table.Len())
	}
	if v := table.Track(segment(outside, inside, 80, 2000, packet.SYN|packet.ACK), 1e12); v.State != Invalid {
		t.Errorf("an answer to nothing is %d", v.State)
	}
}

// TestConcurrent: many goroutines begin, find and remove connections at once.
func TestConcurrent(t *testing.T) {
	table := NewTable(1000)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 2000 {
				p := segment(inside, outside, uint16(1024+i%300), uint16(80+g), packet.SYN)
				v := table.Track(p, int64(i))
				if v.Conn != nil && table.Confirm(v.Conn, int64(i)) && i%3 == 0 {
					table.remove(v.Conn)
				}
				if i%100 == 0 && g == 0 {
					table.Sweep(int64(i))
				}
			}
		}()
	}
	wg.Wait()
	n := 0
	table.Each(func(*Conn) bool { n++; return true })
	if n != table.Len() {
		t.Errorf("%d connections are found, %d counted", n, table.Len())
	}
}

// TestFloodLeavesConnections: what nobody answers, and handshakes that nobody ends, make
// place for new connections; those that stand stay.
func TestFloodLeavesConnections(t *testing.T) {
	table := NewTable(64)
	begin := func(port uint16, flags uint8) {
		t.Helper()
		if v := table.Track(segment(inside, outside, port, 80, flags), 1); !table.Confirm(v.Conn, 1) {
			t.Fatalf("port %d is refused", port)
		}
	}
	answer := func(port uint16) {
		t.Helper()
		if v := table.Track(segment(outside, inside, 80, port, packet.SYN|packet.ACK), 1); v.State != Established {
			t.Fatalf("the answer to port %d is %d", port, v.State)
		}
	}
	stands := func(port uint16) {
		t.Helper()
		if v := table.Track(segment(inside, outside, port, 80, packet.ACK), 1); v.State != Established {
			t.Errorf("port %d is %d", port, v.State)
		}
	}
	for port := range uint16(32) {
		begin(1024+port, packet.SYN)
		answer(1024 + port)
		stands(1024 + port)
	}
	for i := range uint16(1000) {
		begin(10000+i, packet.SYN)
		begin(20000+i, packet.SYN)
		answer(20000 + i)
		begin(30000+i, packet.ACK) // as if it went on from before
	}
	if table.Len() > 64 || table.Evicted.Load() < 2900 || table.Full.Load() != 0 {
		t.Errorf("%d connections, %d had to make place, %d were refused", table.Len(), table.Evicted.Load(), table.Full.Load())
	}
	for port := range uint16(32) {
		stands(1024 + port)
	}
}
