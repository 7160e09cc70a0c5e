package inet

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"pith/kernel/link/linktest"
)

// pump sends n pseudo-random bytes and then FIN; it gives their hash.
func pump(s *sock, n int, seed int64) ([]byte, error) {
	r := rand.New(rand.NewSource(seed))
	h := sha256.New()
	buf := make([]byte, 100_000)
	for n > 0 {
		k := min(n, 1+r.Intn(len(buf)))
		r.Read(buf[:k])
		h.Write(buf[:k])
		if _, err := s.Write(buf[:k]); err != nil {
			return nil, fmt.Errorf("write: %w", err)
		}
		n -= k
	}
	if errno := s.ep.Shutdown(syscall.SHUT_WR); errno != 0 {
		return nil, errno
	}
	return h.Sum(nil), nil
}

// drain reads to the end, in uneven pieces, and gives count and hash.
func drain(s *sock) (int64, []byte, error) {
	h := sha256.New()
	r := rand.New(rand.NewSource(1))
	total := int64(0)
	buf := make([]byte, 64<<10)
	for {
		n, err := s.Read(buf[:1+r.Intn(len(buf))])
		h.Write(buf[:n])
		total += int64(n)
		if err == io.EOF {
			return total, h.Sum(nil), nil
		}
		if err != nil {
			return total, nil, fmt.Errorf("read: %w", err)
		}
	}
}

// exchange sends n bytes each way at once and compares.
func exchange(t *testing.T, a, b *sock, n int) {
	t.Helper()
	type result struct {
		sent, got []byte
		err       error
	}
	run := func(from, to *sock, seed int64, out *result, wg *sync.WaitGroup) {
		wg.Add(2)
		go func() {
			defer wg.Done()
			sum, err := pump(from, n, seed)
			out.sent = sum
			if err != nil {
				out.err = err
			}
		}()
		go func() {
			defer wg.Done()
			total, sum, err := drain(to)
			out.got = sum
			if err == nil && total != int64(n) {
				err = fmt.Errorf("%d bytes of %d", total, n)
			}
			if err != nil {
				t.Error(err)
			}
		}()
	}
	var wg sync.WaitGroup
	var ab, ba result
	run(a, b, 11, &ab, &wg)
	run(b, a, 22, &ba, &wg)
	wg.Wait()
	for i, r := range []result{ab, ba} {
		if r.err != nil {
			t.Fatalf("direction %d: %v", i, r.err)
		}
		if !bytes.Equal(r.sent, r.got) {
			t.Fatalf("direction %d: the bytes differ", i)
		}
	}
}

func TestTCPBulk(t *testing.T) {
	bad := linktest.Conditions{Loss: 0.02, Duplicate: 0.01, Reorder: 0.02, Corrupt: 0.005}
	for _, c := range []struct {
		name string
		o    linktest.Options
		n    int
		to   netip.Addr
	}{
		{"plain", linktest.Options{}, 8 << 20, addrB},
		{"offload", linktest.Options{Features: full, Buffers: 16384}, 16 << 20, addrB},
		{"merged", linktest.Options{Features: full, Merge: true, Buffers: 16384}, 16 << 20, addrB},
		{"ipv6", linktest.Options{Features: full}, 8 << 20, addrB6},
		{"ipv6 plain", linktest.Options{}, 8 << 20, addrB6},
		{"small MTU", linktest.Options{MTU: 576}, 2 << 20, addrB},
		{"jumbo", linktest.Options{MTU: 9000}, 8 << 20, addrB},
		{"delay", linktest.Options{AtoB: linktest.Conditions{Delay: 5 * time.Millisecond}, Ring: 4096, Buffers: 16384}, 4 << 20, addrB},
		{"loss", linktest.Options{AtoB: linktest.Conditions{Loss: 0.01}, BtoA: linktest.Conditions{Loss: 0.01}}, 2 << 20, addrB},
		{"bad", linktest.Options{AtoB: bad, BtoA: bad}, 1 << 20, addrB},
		{"bad offload", linktest.Options{AtoB: bad, BtoA: bad, Features: full}, 1 << 20, addrB6},
		{"tiny ring", linktest.Options{Ring: 8}, 1 << 20, addrB},
		{"few buffers", linktest.Options{Buffers: 300, Features: full}, 2 << 20, addrB},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.o)
			client, server := w.tcpPair(t, c.to)
			exchange(t, client, server, c.n)
			client.ep.Close()
			server.ep.Close()
			for _, s := range []*Stack{w.a, w.b} {
				eventually(t, "all memory is given back", func() bool { return s.memory.Load() == 0 })
			}
			t.Logf("a: %d retransmits, %d time-outs (%d spurious), %d probes, %d ACKs",
				w.a.stats.Retransmits.Load(), w.a.stats.Timeouts.Load(), w.a.stats.SpuriousRepairs.Load(),
				w.a.stats.Probes.Load(), w.a.stats.PureAcks.Load())
		})
	}
}

func TestTCPLoopback(t *testing.T) {
	for _, a := range []string{"127.0.0.1", "::1", "10.9.0.1", "127.1.2.3"} {
		t.Run(a, func(t *testing.T) {
			w := newWorld(t, linktest.Options{})
			l := listen(t, w.a, netip.AddrPortFrom(netip.MustParseAddr(a), 0), 4)
			client := dial(t, w.a, l.ep.LocalAddr())
			server, err := l.accept()
			if err != nil {
				t.Fatal(err)
			}
			exchange(t, client, server, 8<<20)
		})
	}
}
