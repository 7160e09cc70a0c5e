package p9

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"pith/kernel/virtio"
	"pith/kernel/virtio/mmio"
	"pith/kernel/virtio/mmio/mmiotest"
	"pith/kernel/virtio/virtiotest"
)

// mirror is a 9P device whose reply is the request, backwards, as far as it fits.
type mirror struct {
	q     *virtiotest.Queue
	mu    sync.Mutex
	most  int // requests that it had at once
	forge func(c *virtiotest.Chain, n uint32) (id, written uint32)
}

func (m *mirror) serve() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for {
		var chains []*virtiotest.Chain
		for c := m.q.Pop(); c != nil; c = m.q.Pop() {
			chains = append(chains, c)
		}
		m.most = max(m.most, len(chains))
		rand.Shuffle(len(chains), func(i, j int) { chains[i], chains[j] = chains[j], chains[i] })
		for _, c := range chains {
			reply := backwards(c.Bytes())
			reply = reply[:min(len(reply), c.Room())]
			c.Write(reply)
			id, n := uint32(c.ID), uint32(len(reply))
			if m.forge != nil {
				id, n = m.forge(c, n)
			}
			m.q.Push(id, n)
		}
		m.q.Publish()
		if m.q.Idle() {
			return
		}
	}
}

func backwards(p []byte) []byte {
	b := make([]byte, len(p))
	for i, c := range p {
		b[len(p)-1-i] = c
	}
	return b
}

func config(tag string) []byte {
	return append(binary.LittleEndian.AppendUint16(nil, uint16(len(tag))), tag...)
}

func newMirror(t testing.TB, features uint64, queue int) (*Device, *mirror) {
	t.Helper()
	mem := virtiotest.NewMemory(t.Errorf)
	raw := virtiotest.NewDevice(mem, virtio.Type9P, virtio.FeatureVersion1|features, config("pith-0"), queue)
	m := &mirror{q: raw.Queue(0)}
	async := 0
	var mu sync.Mutex
	raw.Notify = func(int) {
		mu.Lock()
		async++
		here := async%3 == 0
		mu.Unlock()
		if here {
			m.serve()
			return
		}
		go m.serve()
	}
	tr := mmiotest.Open(t, raw)
	d, err := New(tr, mem, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d, m
}

func TestExchange(t *testing.T) {
	for _, features := range []uint64{0, featureTag | virtio.FeatureEventIdx, featureTag} {
		d, _ := newMirror(t, features, 128)
		if want := map[bool]string{true: "pith-0"}[features&featureTag != 0]; d.Tag() != want {
			t.Errorf("name %q, want %q", d.Tag(), want)
		}
		if d.Requests() != slots || d.MessageSize() != largeSize {
			t.Errorf("%d requests of %d bytes", d.Requests(), d.MessageSize())
		}
		var group sync.WaitGroup
		for slot := range d.Requests() {
			group.Go(func() {
				for range 100 {
					exchange(t, d, slot, 1+rand.IntN(2*smallSize))
				}
				exchange(t, d, slot, largeSize)
				exchange(t, d, slot, smallSize)
			})
		}
		group.Wait()
	}
}

// exchange sends n bytes in pieces and looks at the reply.
func exchange(t *testing.T, d *Device, slot, n int) {
	request := make([]byte, n)
	for i := range request {
		request[i] = byte(rand.Uint32())
	}
	cut := rand.IntN(n + 1)
	head, body := make([]byte, rand.IntN(20)), make([]byte, rand.IntN(2*n))
	got, err := d.Exchange(slot, [][]byte{request[:cut], request[cut:]}, [][]byte{head, body})
	want := backwards(request)
	if n > smallSize {
		want = want[:smallSize]
	}
	if err != nil || got != len(want) {
		t.Errorf("%d bytes: a reply of %d, %v", n, got, err)
		return
	}
	reply := append(head, body...)
	reply, want = reply[:min(got, len(reply))], want[:min(got, len(reply))]
	if !bytes.Equal(reply, want) {
		t.Errorf("%d bytes: another reply", n)
	}
}

func TestTooLong(t *testing.T) {
	d, _ := newMirror(t, 0, 16)
	for _, request := range [][][]byte{nil, {{}}, {make([]byte, largeSize), {0}}} {
		if _, err := d.Exchange(0, request, nil); err == nil || d.Err() != nil {
			t.Errorf("%v, then %v", err, d.Err())
		}
	}
	exchange(t, d, 0, 100)
}

func TestHostile(t *testing.T) {
	for want, attack := range map[string]func(c *virtiotest.Chain, n uint32) (uint32, uint32){
		"bytes where":            func(c *virtiotest.Chain, _ uint32) (uint32, uint32) { return uint32(c.ID), largeSize + 1 },
		"which it was not given": func(c *virtiotest.Chain, n uint32) (uint32, uint32) { return uint32(c.ID) ^ 1, n },
		"of 16":                  func(c *virtiotest.Chain, n uint32) (uint32, uint32) { return 16, n },
	} {
		d, m := newMirror(t, virtio.FeatureEventIdx, 64)
		m.forge = attack
		for slot := range 3 { // and for good
			_, err := d.Exchange(slot, [][]byte{{1, 2, 3}}, nil)
			var qe *virtio.QueueError
			if !errors.As(err, &qe) || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		}
	}
}

func TestStartFailures(t *testing.T) {
	mem := virtiotest.NewMemory(t.Errorf)
	try := func(kind uint32, features uint64, config []byte, queue int) error {
		m := virtiotest.NewMMIO(virtiotest.NewDevice(mem, kind, features, config, queue))
		tr, err := mmio.New(m, m.Line)
		if err != nil {
			t.Fatal(err)
		}
		_, err = New(tr, mem, nil)
		return err
	}
	good := virtio.FeatureVersion1 | featureTag
	if try(virtio.TypeBlock, good, config("x"), 8) == nil {
		t.Error("a disk is a 9P device")
	}
	if err := try(virtio.Type9P, featureTag, config("x"), 8); !errors.Is(err, virtio.ErrLegacy) {
		t.Errorf("legacy device: %v", err)
	}
	for _, bad := range [][]byte{{0, 0}, {0xff, 0xff, 'x'}} {
		if err := try(virtio.Type9P, good, bad, 8); err == nil || !strings.Contains(err.Error(), "a name of") {
			t.Errorf("name %q: %v", bad, err)
		}
	}
	if err := try(virtio.Type9P, good, config("x"), 2); err != nil {
		t.Errorf("a queue of two: %v", err)
	}
	mem.Limit(10)
	if try(virtio.Type9P, good, config("x"), 8) == nil {
		t.Error("works without memory")
	}
}

// TestLittleMemory: there are as many slots as there is memory for.
func TestLittleMemory(t *testing.T) {
	mem := virtiotest.NewMemory(t.Errorf)
	raw := virtiotest.NewDevice(mem, virtio.Type9P, virtio.FeatureVersion1, config("x"), 16)
	m := &mirror{q: raw.Queue(0)}
	raw.Notify = func(int) { m.serve() }
	tr := mmiotest.Open(t, raw)
	mem.Limit(3 * largeSize)
	d, err := New(tr, mem, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d.Requests() != 2 {
		t.Errorf("%d requests at once, want 2", d.Requests())
	}
	exchange(t, d, 1, 10)
}

// FuzzDevice lets the device answer with whatever the fuzzer likes: the driver may
// fail, but must neither hang nor crash, nor hand out more than was written.
func FuzzDevice(f *testing.F) {
	f.Add([]byte{0, 0, 1, 2, 0, 1, 0, 2})
	f.Add([]byte{1, 0, 2, 1, 0, 0, 255, 3, 3})
	f.Fuzz(func(t *testing.T, script []byte) {
		mem := virtiotest.NewMemory(t.Errorf)
		raw := virtiotest.NewDevice(mem, virtio.Type9P, virtio.FeatureVersion1|virtio.FeatureEventIdx|featureTag, config("x"), 16)
		m := &mirror{q: raw.Queue(0)}
		next := func() byte {
			if len(script) == 0 {
				return 0
			}
			b := script[0]
			script = script[1:]
			return b
		}
		m.forge = func(c *virtiotest.Chain, n uint32) (uint32, uint32) {
			switch next() % 5 {
			case 1:
				return uint32(c.ID), uint32(next()) << 10
			case 2:
				return uint32(next()), n
			case 3:
				return uint32(c.ID), 0
			case 4:
				m.q.Push(uint32(c.ID), n) // twice
			}
			return uint32(c.ID), n
		}
		raw.Notify = func(int) { m.serve() }
		tr := mmiotest.Open(t, raw)
		d, err := New(tr, mem, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 16 {
			n, err := d.Exchange(i%d.Requests(), [][]byte{make([]byte, 1+i*700)}, [][]byte{make([]byte, 50)})
			if n > largeSize || err != nil && n != 0 {
				t.Errorf("%d bytes, %v", n, err)
			}
		}
	})
}
