package inet

import (
	"net/netip"
	"syscall"
	"testing"

	"pith/kernel/link"
	"pith/kernel/socket"
)

// The benchmarks measure the stack itself: frames go from one stack's ring to the other's on
// the calling goroutine, so that no switch of goroutines is counted.

// wire is a link.Device whose frames wait for the benchmark to Poll the other end.
type wire struct {
	mac      [6]byte
	features link.Features
	pool     *link.Pool
	peer     *wire
	rx       []looped
	frames   int
}

func (d *wire) HardwareAddr() [6]byte   { return d.mac }
func (d *wire) MTU() int                { return 1500 }
func (d *wire) Features() link.Features { return d.features }
func (d *wire) Queues() int             { return 1 }
func (d *wire) Alloc() *link.Buffer     { return d.pool.Get() }
func (d *wire) Flush(int)               {}
func (d *wire) Wait(int)                { select {} }

func (d *wire) Transmit(_ int, f *link.Buffer, o link.Offload) bool {
	d.frames++
	d.peer.rx = append(d.peer.rx, looped{f, o})
	return true
}

func (d *wire) Poll(_, budget int, deliver func(*link.Buffer, link.Offload)) int {
	n := min(budget, len(d.rx))
	for _, p := range d.rx[:n] {
		deliver(p.frame, p.offload)
	}
	d.rx = append(d.rx[:0], d.rx[n:]...)
	return n
}

// bench is two stacks that the benchmark drives.
type bench struct {
	a, b   *Stack
	da, db *wire
	qa, qb *queue
}

func newBench(b *testing.B, features link.Features) *bench {
	pool := link.NewPool(growHeap)
	w := &bench{a: newStack(b, Config{}), b: newStack(b, Config{})}
	w.da = &wire{mac: [6]byte{2, 0, 0, 0, 0, 1}, features: features, pool: pool}
	w.db = &wire{mac: [6]byte{2, 0, 0, 0, 0, 2}, features: features, pool: pool}
	w.da.peer, w.db.peer = w.db, w.da
	w.qa, w.qb = w.join(w.a, w.da, "10.9.0.1/24"), w.join(w.b, w.db, "10.9.0.2/24")
	return w
}

// join attaches a device without a receive goroutine.
func (w *bench) join(s *Stack, d *wire, addr string) *queue {
	n := newNIC(s, "eth0", d)
	s.update(func(c *config) {
		c.nics = append(c.nics, n)
		n.index = len(c.nics)
		n.configure(c, socket.InterfaceConfig{Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}})
	})
	return n.queues[0]
}

// turn moves frames until none is left.
func (w *bench) turn() {
	for w.qa.poll()+w.qb.poll() > 0 {
	}
}

func (w *bench) socket(b *testing.B, s *Stack, typ int) socket.Endpoint {
	ep, errno := s.Socket(syscall.AF_INET, typ, 0)
	if errno != 0 {
		b.Fatal(errno)
	}
	return ep
}

func BenchmarkUDPEcho(b *testing.B) {
	for _, offload := range []bool{true, false} {
		b.Run(name(offload), func(b *testing.B) {
			w := newBench(b, features(offload))
			client, server := w.socket(b, w.a, syscall.SOCK_DGRAM), w.socket(b, w.b, syscall.SOCK_DGRAM)
			to := netip.AddrPortFrom(addrB, 7)
			server.Bind(to)
			p := make([]byte, 64)
			client.Send(p, nil, to, 0)
			w.turn()
			server.Receive(p, nil, 0)
			b.ReportAllocs()
			for b.Loop() {
				client.Send(p, nil, to, 0)
				w.qb.poll()
				_, _, _, from, errno := server.Receive(p, nil, 0)
				if errno != 0 {
					b.Fatal(errno)
				}
				server.Send(p, nil, from, 0)
				w.qa.poll()
				if _, _, _, _, errno := client.Receive(p, nil, 0); errno != 0 {
					b.Fatal(errno)
				}
			}
		})
	}
}

func name(offload bool) string {
	if offload {
		return "offload"
	}
	return "plain"
}

func features(offload bool) link.Features {
	if offload {
		return full
	}
	return link.Features{}
}

// connect makes a TCP connection.
func (w *bench) connect(b *testing.B) (client, server socket.Endpoint) {
	l := w.socket(b, w.b, syscall.SOCK_STREAM)
	l.Bind(netip.AddrPortFrom(addrB, 80))
	l.Listen(16)
	client = w.socket(b, w.a, syscall.SOCK_STREAM)
	client.Connect(netip.AddrPortFrom(addrB, 80))
	w.turn()
	server, _, errno := l.Accept()
	if errno != 0 {
		b.Fatal(errno)
	}
	return client, server
}

// BenchmarkTCPRequest is one small request and one small answer.
func BenchmarkTCPRequest(b *testing.B) {
	for _, offload := range []bool{true, false} {
		b.Run(name(offload), func(b *testing.B) {
			w := newBench(b, features(offload))
			client, server := w.connect(b)
			p := make([]byte, 128)
			frames := w.da.frames + w.db.frames
			b.ReportAllocs()
			for b.Loop() {
				client.Send(p, nil, netip.AddrPort{}, 0)
				w.qb.poll()
				if n, _, _, _, errno := server.Receive(p, nil, 0); errno != 0 || n != 128 {
					b.Fatal(n, errno)
				}
				server.Send(p, nil, netip.AddrPort{}, 0)
				w.qa.poll()
				if n, _, _, _, errno := client.Receive(p, nil, 0); errno != 0 || n != 128 {
					b.Fatal(n, errno)
				}
			}
			b.ReportMetric(float64(w.da.frames+w.db.frames-frames)/float64(b.N), "frames/op")
		})
	}
}

// BenchmarkTCPBulk moves 64 KiB an operation one way.
func BenchmarkTCPBulk(b *testing.B) {
	for _, offload := range []bool{true, false} {
		b.Run(name(offload), func(b *testing.B) {
			w := newBench(b, features(offload))
			client, server := w.connect(b)
			p, q := make([]byte, 64<<10), make([]byte, 64<<10)
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			for b.Loop() {
				for sent, got := 0, 0; got < len(p); {
					if sent < len(p) {
						n, _ := client.Send(p[sent:], nil, netip.AddrPort{}, 0)
						sent += n
					}
					w.turn()
					n, _, _, _, _ := server.Receive(q, nil, 0)
					got += n
				}
			}
		})
	}
}

// BenchmarkTCPConnection opens and closes a connection.
func BenchmarkTCPConnection(b *testing.B) {
	w := newBench(b, full)
	l := w.socket(b, w.b, syscall.SOCK_STREAM)
	l.Bind(netip.AddrPortFrom(addrB, 80))
	l.Listen(16)
	b.ReportAllocs()
	for b.Loop() {
		client := w.socket(b, w.a, syscall.SOCK_STREAM)
		client.Connect(netip.AddrPortFrom(addrB, 80))
		w.turn()
		server, _, errno := l.Accept()
		if errno != 0 {
			b.Fatal(errno)
		}
		client.Close()
		w.turn()
		server.Close()
		w.turn()
	}
}
