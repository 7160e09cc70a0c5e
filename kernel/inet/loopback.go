package inet

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"pith/kernel/link"
	"pith/kernel/socket"
)

const (
	// loopbackMTU is Linux's, less what doesn't fit a 16-bit length together
	// with headers.
	loopbackMTU = 65535
	// loopbackLimit is how many packets the loopback's queue holds.
	loopbackLimit = 1024
	// drainBudget is how many packets one caller delivers before it leaves
	// the rest to the loopback's goroutine.
	drainBudget = 256
)

// loopbackBit is the loopback's bit in batch.dirty; no other queue has it.
const loopbackBit = 1 << 63

// loopback is the interface "lo": a link.Device that gives each frame back to
// its own stack. The goroutine that sent delivers too, as soon as it holds no
// lock (batch.flush), so a packet to oneself costs no switch of goroutines.
type loopback struct {
	nic  *nic
	pool *link.Pool

	draining atomic.Bool
	wake     chan struct{} // for the goroutine that takes over long queues
	once     sync.Once

	mu    sync.Mutex
	ring  []looped // a power of two
	first int
	count int
}

type looped struct {
	frame   *link.Buffer
	offload link.Offload
}

func newLoopback(s *Stack) *loopback {
	l := &loopback{
		pool: link.NewPool(growHeap),
		wake: make(chan struct{}, 1),
		ring: make([]looped, 16),
	}
	l.nic = newNIC(s, "lo", l)
	l.nic.loopback = true
	l.nic.queues[0].bit = loopbackBit
	s.update(func(c *config) {
		c.nics = append(c.nics, l.nic)
		l.nic.index = 1
		l.nic.configure(c, socket.InterfaceConfig{Addrs: []netip.Prefix{
			netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("::1/128"),
		}})
	})
	return l
}

// growHeap makes Buffers of ordinary memory.
func growHeap() []*link.Buffer {
	const count = 8
	storage := make([]byte, count*link.BufferSize)
	list := make([]*link.Buffer, count)
	for i := range list {
		list[i] = &link.Buffer{Data: storage[i*link.BufferSize : (i+1)*link.BufferSize : (i+1)*link.BufferSize]}
	}
	return list
}

func (l *loopback) HardwareAddr() [6]byte { return [6]byte{} }
func (l *loopback) MTU() int              { return loopbackMTU }
func (l *loopback) Queues() int           { return 1 }
func (l *loopback) Alloc() *link.Buffer   { return l.pool.Get() }
func (l *loopback) Flush(int)             {}
func (l *loopback) Wait(int)              {}

func (l *loopback) Features() link.Features {
	return link.Features{TxChecksum: true, RxChecksum: true}
}

// Transmit implements link.Device.
func (l *loopback) Transmit(_ int, f *link.Buffer, o link.Offload) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count == loopbackLimit {
		f.Free()
		return false
	}
	if l.count == len(l.ring) {
		l.grow()
	}
	l.ring[(l.first+l.count)&(len(l.ring)-1)] = looped{f, o}
	l.count++
	return true
}

// grow doubles the ring. Called with mu held.
func (l *loopback) grow() {
	bigger := make([]looped, 2*len(l.ring))
	n := copy(bigger, l.ring[l.first:])
	copy(bigger[n:], l.ring[:l.first])
	l.ring, l.first = bigger, 0
}

// take removes the oldest packet.
func (l *loopback) take() (looped, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count == 0 {
		return looped{}, false
	}
	p := l.ring[l.first]
	l.ring[l.first] = looped{}
	l.first = (l.first + 1) & (len(l.ring) - 1)
	l.count--
	return p, true
}

// Poll implements link.Device.
func (l *loopback) Poll(_, budget int, deliver func(*link.Buffer, link.Offload)) int {
	n := 0
	for ; n < budget; n++ {
		p, ok := l.take()
		if !ok {
			break
		}
		deliver(p.frame, p.offload)
	}
	return n
}

func (l *loopback) empty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count == 0
}

// drain delivers what is queued, unless someone else is at it already: he will
// see what came in the meantime. The caller holds no lock.
func (l *loopback) drain() {
	for !l.empty() && l.draining.CompareAndSwap(false, true) {
		n := l.drainSome(drainBudget)
		l.draining.Store(false)
		if n >= drainBudget {
			l.handOver()
			return
		}
	}
}

// drainSome delivers up to budget packets. draining is held.
func (l *loopback) drainSome(budget int) int {
	q := l.nic.queues[0]
	total := 0
	for total < budget {
		b := &q.batch
		b.now = b.s.conf.Now()
		n := l.Poll(0, pollBudget, q.deliver)
		b.acknowledge()
		// What came of it on the loopback itself, the next round takes.
		if b.dirty &^= loopbackBit; b.dirty != 0 {
			b.flush()
		}
		total += n
		if n == 0 {
			break
		}
	}
	return total
}

// handOver wakes the goroutine that goes on where a caller has done enough.
func (l *loopback) handOver() {
	l.once.Do(func() { go l.run() })
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *loopback) run() {
	for range l.wake {
		l.drain()
	}
}
