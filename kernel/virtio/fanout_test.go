package virtio_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"pith/kernel/virtio"
	"pith/kernel/virtio/virtiotest"
)

// TestFanout: each firing reaches every subscriber, whoever waits for the line.
func TestFanout(t *testing.T) {
	const waiters, rounds = 5, 200
	line := virtiotest.NewLine()
	f := virtio.NewFanout(line)
	var want atomic.Int64 // the round that all shall see
	var wg sync.WaitGroup
	seen := make(chan int64, waiters)
	for range waiters {
		w := f.Subscribe()
		wg.Go(func() {
			last := int64(0)
			for last < rounds {
				for want.Load() == last {
					w.Wait()
				}
				last++
				seen <- last
			}
		})
	}
	for i := range int64(rounds) {
		want.Store(i + 1)
		line.Fire()
		for range waiters {
			if got := <-seen; got != i+1 {
				t.Fatalf("round %d: a waiter is in round %d", i+1, got)
			}
		}
	}
	wg.Wait()
}

// TestFanoutKeeps: what fires while a subscriber is not waiting is not lost to
// it, though another one saw it.
func TestFanoutKeeps(t *testing.T) {
	line := virtiotest.NewLine()
	f := virtio.NewFanout(line)
	a, b := f.Subscribe(), f.Subscribe()
	line.Fire()
	a.Wait()
	b.Wait() // must not park
	line.Fire()
	b.Wait()
	a.Wait()
}

func TestPack(t *testing.T) {
	mem := virtiotest.NewMemory(t.Errorf)
	mem.Limit(3 * 4096)
	p := virtio.Pack(mem)
	type piece struct {
		virt []byte
		phys uint64
	}
	var pieces []piece
	for i := 0; ; i++ {
		size := 1 + i*37%700
		virt, phys := p.Alloc(size)
		if virt == nil {
			break
		}
		if len(virt) != size || phys%64 != 0 || &mem.At(phys, size)[0] != &virt[0] {
			t.Fatalf("piece %d: %d bytes of %d at %#x", i, len(virt), size, phys)
		}
		pieces = append(pieces, piece{virt, phys})
	}
	if len(pieces) < 12 {
		t.Errorf("three pages give only %d pieces", len(pieces))
	}
	for i, a := range pieces {
		for _, b := range pieces[:i] {
			if a.phys < b.phys+uint64(len(b.virt)) && b.phys < a.phys+uint64(len(a.virt)) {
				t.Fatalf("pieces overlap: %#x and %#x", a.phys, b.phys)
			}
		}
	}
	mem.Limit(1 << 20)
	if virt, phys := p.Alloc(10000); len(virt) != 10000 || phys%4096 != 0 {
		t.Errorf("large piece: %d bytes at %#x", len(virt), phys)
	}
}
