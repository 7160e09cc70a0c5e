package inet

import (
	"io"
	"net/netip"
	"syscall"
	"testing"

	"pith/kernel/link"
)

// puppets are a card with two receive queues. It sends by the first.
type puppets struct {
	*puppet
	second *puppet
}

func (d *puppets) Queues() int { return 2 }

func (d *puppets) queue(q int) *puppet {
	if q == 0 {
		return d.puppet
	}
	return d.second
}

func (d *puppets) Poll(q, budget int, deliver func(*link.Buffer, link.Offload)) int {
	return d.queue(q).Poll(0, budget, deliver)
}

func (d *puppets) Wait(q int) { d.queue(q).Wait(0) }

// TestTCPHandshakeByTwoQueues: hosts move a flow to another queue when they like, so that
// the end of a handshake and the first data may be at work at the same time. No
// connection may be refused for that.
func TestTCPHandshakeByTwoQueues(t *testing.T) {
	d := &puppets{makePuppet(t), makePuppet(t)}
	s := newStack(t, Config{})
	if err := s.Attach("eth0", d, static("10.9.0.2/24")); err != nil {
		t.Fatal(err)
	}
	meet(t, s, d.puppet)
	l := listen(t, s, netip.AddrPortFrom(addrB, 80), 8)
	d.drop()
	const connections = 2000
	for port := uint16(1000); port < 1000+connections; port++ {
		d.sendTCP(tcpSegment{sport: port, dport: 80, seq: 999, flags: flagSYN, window: 65535})
		g := d.nextTCP()
		for g.flags != flagSYN|flagACK || g.dport != port { // what is left of the one before
			if g.flags&flagRST != 0 {
				t.Fatalf("connection %d was reset", port-1)
			}
			g = d.nextTCP()
		}
		ack := tcpSegment{sport: port, dport: 80, seq: 1000, ack: g.seq + 1, flags: flagACK, window: 65535}
		data := ack
		data.payload = []byte("first")
		d.sendTCP(ack)
		d.second.sendTCP(data)
		c, err := l.accept()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, len(data.payload))); err != nil {
			t.Fatalf("connection %d: %v", port, err)
		}
		over := data
		over.seq, over.payload, over.flags = 1000+uint32(len(data.payload)), nil, flagRST
		d.sendTCP(over) // and nothing is left of it
		if _, err := c.Read(make([]byte, 1)); err != syscall.ECONNRESET {
			t.Fatalf("connection %d ends with %v", port, err)
		}
		c.ep.Close()
	}
	if n := s.stats.AcceptFull.Load(); n > 0 {
		t.Errorf("%d were too many", n)
	}
}
