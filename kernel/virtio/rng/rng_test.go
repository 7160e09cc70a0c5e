package rng

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"pith/kernel/virtio"
	"pith/kernel/virtio/mmio"
	"pith/kernel/virtio/mmio/mmiotest"
	"pith/kernel/virtio/virtiotest"
)

// source is an entropy device that counts up, in answers of at most step bytes.
type source struct {
	q       *virtiotest.Queue
	step    int
	next    byte
	largest int
}

func (s *source) serve() {
	for c := s.q.Pop(); c != nil; c = s.q.Pop() {
		s.largest = max(s.largest, c.Room())
		b := make([]byte, min(c.Room(), s.step))
		for i := range b {
			b[i] = s.next
			s.next++
		}
		s.q.Push(uint32(c.ID), uint32(c.Write(b)))
	}
	s.q.Idle()
	s.q.Publish()
}

func newSource(t *testing.T, features uint64, notify func(s *source)) (*Device, *source) {
	t.Helper()
	mem := virtiotest.NewMemory(t.Errorf)
	raw := virtiotest.NewDevice(mem, virtio.TypeEntropy, virtio.FeatureVersion1|features, nil, 64)
	s := &source{q: raw.Queue(0), step: 100}
	raw.Notify = func(int) { notify(s) }
	tr := mmiotest.Open(t, raw)
	d, err := New(tr, mem, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d, s
}

func TestRead(t *testing.T) {
	for _, features := range []uint64{0, virtio.FeatureEventIdx} {
		// Some answers come at once, others while the reader is parked.
		async := false
		d, s := newSource(t, features, func(s *source) {
			if async = !async; async {
				go s.serve()
				return
			}
			s.serve()
		})
		want := byte(0)
		for _, n := range []int{0, 1, 32, 100, 101, 2000} {
			p := make([]byte, n)
			got, err := d.Read(p)
			if got != n || err != nil {
				t.Fatalf("read %d of %d: %v", got, n, err)
			}
			for i, b := range p {
				if b != want {
					t.Fatalf("byte %d of %d is %d, want %d", i, n, b, want)
				}
				want++
			}
		}
		if !bytes.Equal(d.virt, make([]byte, bufferSize)) {
			t.Error("entropy is left in the buffer")
		}
		if s.largest != bufferSize {
			t.Errorf("largest request %d", s.largest)
		}
	}
}

func TestHostile(t *testing.T) {
	for _, x := range []struct {
		name, want string
		attack     func(s *source)
	}{
		{"nothing", "with none", func(s *source) { s.q.Push(uint32(s.q.Pop().ID), 0) }},
		{"too much", "where 10 fit", func(s *source) { s.q.Push(uint32(s.q.Pop().ID), 11) }},
		{"another id", "which it was not given", func(s *source) { s.q.Push(1, 10) }},
	} {
		t.Run(x.name, func(t *testing.T) {
			d, _ := newSource(t, virtio.FeatureEventIdx, func(s *source) { x.attack(s); s.q.Publish() })
			for range 2 { // and for good
				n, err := d.Read(make([]byte, 10))
				var qe *virtio.QueueError
				if n != 0 || !errors.As(err, &qe) || !strings.Contains(err.Error(), x.want) {
					t.Errorf("read %d, error %v, want %q", n, err, x.want)
				}
			}
		})
	}
}

func TestStartFailures(t *testing.T) {
	mem := virtiotest.NewMemory(t.Errorf)
	try := func(kind uint32, features uint64) error {
		m := virtiotest.NewMMIO(virtiotest.NewDevice(mem, kind, features, nil, 8))
		tr, err := mmio.New(m, m.Line)
		if err != nil {
			t.Fatal(err)
		}
		_, err = New(tr, mem, nil)
		return err
	}
	if err := try(virtio.TypeNet, virtio.FeatureVersion1); err == nil {
		t.Error("a network card gives entropy")
	}
	if err := try(virtio.TypeEntropy, 0); !errors.Is(err, virtio.ErrLegacy) {
		t.Errorf("legacy device: %v", err)
	}
	mem.Limit(10)
	if err := try(virtio.TypeEntropy, virtio.FeatureVersion1); err == nil {
		t.Error("works without memory")
	}
}
