package inet

import (
	"net/netip"
	"syscall"
	"testing"

	"pith/kernel/link/linktest"
)

// TestQueueForSpreads: flows use all queues, also those of a client whose ports are all
// even or follow each other.
func TestQueueForSpreads(t *testing.T) {
	for queues := 2; queues <= 8; queues++ {
		w := newWorld(t, linktest.Options{Queues: queues, Buffers: 64})
		n := w.a.snapshot.Load().nics[1]
		for _, step := range []uint32{1, 2, 4, 16} {
			const flows = 400
			counts := make([]int, queues)
			for i := range uint32(flows) {
				counts[n.queueFor(80+32768+i*step).index]++
			}
			for q, got := range counts {
				if got < flows/queues/2 {
					t.Errorf("ports %d apart: queue %d of %d carries %d of %d flows", step, q, queues, got, flows)
				}
			}
		}
	}
}

// TestFullQueueLeavesOthers: what a full transmit ring makes wait is not what goes by
// another one.
func TestFullQueueLeavesOthers(t *testing.T) {
	w := newWorld(t, linktest.Options{Queues: 2, Ring: 4, Buffers: 64})
	n := w.a.snapshot.Load().nics[1]
	b := w.a.begin()
	n.neighbors.get(fromNetip(addrB)).resolved(&b, 0x525400000002)
	c := open(t, w.a, syscall.AF_INET, syscall.SOCK_DGRAM).ep.(*udpEndpoint)
	if errno := c.Bind(netip.AddrPortFrom(addrA, 0)); errno != 0 {
		t.Fatal(errno)
	}
	var ports [2]uint16 // one for each queue
	for p := uint16(1000); ports[0] == 0 || ports[1] == 0; p++ {
		ports[n.queueFor(uint32(c.lport)+uint32(p)).index] = p
	}
	send := func(port uint16) syscall.Errno { // without a flush the ring only fills
		b := w.a.begin()
		c.mu.Lock()
		defer c.mu.Unlock()
		_, errno := c.send(&b, []byte("x"), nil, netip.AddrPortFrom(addrB, port))
		return errno
	}
	errno := syscall.Errno(0)
	for range 20 {
		if errno = send(ports[0]); errno != 0 {
			break
		}
	}
	if errno != syscall.EAGAIN {
		t.Fatalf("the first ring never filled: %v", errno)
	}
	if errno := send(ports[1]); errno != 0 {
		t.Errorf("the second ring: %v", errno)
	}
}
