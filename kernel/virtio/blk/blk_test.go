package blk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"pith/kernel/virtio"
	"pith/kernel/virtio/mmio"
	"pith/kernel/virtio/mmio/mmiotest"
	"pith/kernel/virtio/virtiotest"
)

var le = binary.LittleEndian

// disk is a block device in memory.
type disk struct {
	t       testing.TB
	q       *virtiotest.Queue
	mu      sync.Mutex
	data    []byte
	flushes int
	largest int
	status  byte // given instead of 0
	forge   func(c *virtiotest.Chain) (id, n uint32)
}

func (d *disk) serve() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		for c := d.q.Pop(); c != nil; c = d.q.Pop() {
			n := d.answer(c)
			id := uint32(c.ID)
			if d.forge != nil {
				id, n = d.forge(c)
			}
			d.q.Push(id, n)
		}
		d.q.Publish()
		if d.q.Idle() {
			return
		}
	}
}

// answer does what section 5.2.6 says.
func (d *disk) answer(c *virtiotest.Chain) uint32 {
	out := c.Bytes()
	if len(out) < 16 || c.Room() < 1 {
		d.t.Errorf("a request of %d and %d bytes", len(out), c.Room())
		return 0
	}
	at, n := le.Uint64(out[8:])*512, c.Room()-1
	in := make([]byte, n+1)
	in[n] = d.status
	switch kind := le.Uint32(out); kind {
	case 0:
		copy(in, d.data[at:at+uint64(n)])
		d.largest = max(d.largest, n)
	case 1:
		copy(d.data[at:], out[16:])
		d.largest = max(d.largest, len(out)-16)
	case 4:
		d.flushes++
	case 8:
		copy(in, "the-serial")
	default:
		d.t.Errorf("request %d", kind)
	}
	c.Write(in)
	return uint32(n + 1)
}

func config(size int, sizeMax uint32) []byte {
	b := make([]byte, 60)
	le.PutUint64(b, uint64(size/512))
	le.PutUint32(b[8:], sizeMax)
	return b
}

func newDisk(t testing.TB, size int, features uint64, sizeMax uint32) (*Device, *disk) {
	t.Helper()
	mem := virtiotest.NewMemory(t.Errorf)
	raw := virtiotest.NewDevice(mem, virtio.TypeBlock, virtio.FeatureVersion1|features, config(size, sizeMax), 128)
	disk := &disk{t: t, q: raw.Queue(0), data: make([]byte, size)}
	async := 0
	raw.Notify = func(int) {
		if async++; async%3 == 0 {
			disk.serve()
			return
		}
		go disk.serve()
	}
	tr := mmiotest.Open(t, raw)
	d, err := New(tr, mem, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d, disk
}

func TestReadWrite(t *testing.T) {
	const size = 4 << 20
	for _, features := range []uint64{0, virtio.FeatureEventIdx | featureFlush, featureSizeMax | virtio.FeatureIndirect} {
		d, disk := newDisk(t, size, features, 4096+100)
		if d.Size() != size || d.ReadOnly() {
			t.Fatalf("size %d, read-only %v", d.Size(), d.ReadOnly())
		}
		shadow := make([]byte, size)
		for range 300 {
			off := rand.IntN(size/512) * 512
			n := min(1+rand.IntN(600), (size-off)/512) * 512
			p := make([]byte, n)
			if rand.IntN(2) == 0 {
				if err := d.Read(int64(off), pieces(p)...); err != nil || !bytes.Equal(p, shadow[off:off+n]) {
					t.Fatalf("read %d at %d: %v", n, off, err)
				}
				continue
			}
			for i := range p {
				p[i] = byte(rand.Uint32())
			}
			copy(shadow[off:], p)
			if err := d.Write(int64(off), pieces(p)...); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.Flush(); err != nil || (disk.flushes == 1) != (features&featureFlush != 0) {
			t.Errorf("%d flushes, %v", disk.flushes, err)
		}
		if !bytes.Equal(disk.data, shadow) {
			t.Error("the disk has something else")
		}
		if name, err := d.Serial(); name != "the-serial" || err != nil {
			t.Errorf("serial %q, %v", name, err)
		}
		if want := slotSize; features&featureSizeMax == 0 && disk.largest != want || features&featureSizeMax != 0 && disk.largest != 4096 {
			t.Errorf("largest request %d", disk.largest)
		}
	}
}

// pieces cuts p into some pieces.
func pieces(p []byte) (list [][]byte) {
	for len(p) > 0 {
		n := min(1+rand.IntN(9000), len(p))
		list, p = append(list, p[:n]), p[n:]
	}
	return list
}

func TestManyAtOnce(t *testing.T) {
	d, _ := newDisk(t, 1<<20, virtio.FeatureEventIdx|featureFlush, 0)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			p, got := bytes.Repeat([]byte{byte(i)}, 1<<16), make([]byte, 1<<16)
			for range 50 {
				err := errors.Join(d.Write(int64(i)<<16, p), d.Flush(), d.Read(int64(i)<<16, got))
				if err != nil || !bytes.Equal(p, got) {
					t.Error("wrong data", err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestSlotComesFree: whoever has no slot goes on when another gives one back, also if the
// device has nothing left to do then.
func TestSlotComesFree(t *testing.T) {
	d, _ := newDisk(t, 1<<20, virtio.FeatureEventIdx, 0)
	d.requests.Lock()
	kept := d.free
	d.free, d.unmade = nil, 0
	d.requests.Unlock()
	done := make(chan error, 1)
	go func() { done <- d.Read(0, make([]byte, 512)) }()
	time.Sleep(50 * time.Millisecond) // so that it waits, in all likelihood
	d.requests.Lock()
	d.free = kept
	d.requests.Changed()
	d.requests.Unlock()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it waits for the device, which has nothing to do")
	}
}

func TestRefused(t *testing.T) {
	d, disk := newDisk(t, 1<<20, featureReadOnly, 0)
	if err := d.Write(0, make([]byte, 512)); err == nil || !d.ReadOnly() {
		t.Error("a read-only device is written to")
	}
	for _, x := range []struct{ off, n int64 }{{-512, 512}, {0, 100}, {100, 512}, {1 << 20, 512}, {1<<20 - 512, 1024}, {1 << 62, 512}} {
		if err := d.Read(x.off, make([]byte, x.n)); err == nil {
			t.Errorf("reads %d at %d", x.n, x.off)
		}
	}
	for _, status := range []byte{1, 2} {
		disk.status = status
		if err := d.Read(0, make([]byte, 200<<10)); err == nil {
			t.Error("an error is not seen")
		}
	}
	disk.status = 0
	if err := d.Read(0, make([]byte, 200<<10)); err != nil {
		t.Errorf("it does not work after an error: %v", err)
	}
}

func TestHostile(t *testing.T) {
	for _, x := range []struct {
		name, want string
		attack     func(d *disk, c *virtiotest.Chain) (uint32, uint32)
	}{
		{"short", "bytes of 513", func(d *disk, c *virtiotest.Chain) (uint32, uint32) { return uint32(c.ID), 100 }},
		{"long", "where 513 fit", func(d *disk, c *virtiotest.Chain) (uint32, uint32) { return uint32(c.ID), 600 }},
		{"another id", "which it was not given", func(d *disk, c *virtiotest.Chain) (uint32, uint32) { return uint32(c.ID) + 1, 513 }},
		{"no status", "status 255", func(d *disk, c *virtiotest.Chain) (uint32, uint32) {
			c.In[len(c.In)-1][0] = 0xff
			return uint32(c.ID), 513
		}},
		{"odd status", "status 7", func(d *disk, c *virtiotest.Chain) (uint32, uint32) {
			c.In[len(c.In)-1][0] = 7
			return uint32(c.ID), 513
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			d, disk := newDisk(t, 1<<20, virtio.FeatureEventIdx|featureFlush, 0)
			disk.forge = func(c *virtiotest.Chain) (uint32, uint32) { return x.attack(disk, c) }
			for range 2 { // and for good
				err := d.Read(0, make([]byte, 512))
				var qe *virtio.QueueError
				if !errors.As(err, &qe) || !strings.Contains(err.Error(), x.want) {
					t.Errorf("error %v, want %q", err, x.want)
				}
			}
			if d.Flush() == nil || d.Write(0, make([]byte, 512)) == nil {
				t.Error("a dead device works")
			}
		})
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
	good := virtio.FeatureVersion1
	if try(virtio.TypeNet, good, config(1<<20, 0), 8) == nil {
		t.Error("a network card is a disk")
	}
	if err := try(virtio.TypeBlock, 0, config(1<<20, 0), 8); !errors.Is(err, virtio.ErrLegacy) {
		t.Errorf("legacy device: %v", err)
	}
	if try(virtio.TypeBlock, good|featureSizeMax, config(1<<20, 100), 8) == nil {
		t.Error("less than a sector at once")
	}
	if try(virtio.TypeBlock, good, config(1<<20, 0), 2) == nil {
		t.Error("a queue of two")
	}
	huge := config(0, 0)
	le.PutUint64(huge, 1<<60)
	if try(virtio.TypeBlock, good, huge, 8) == nil {
		t.Error("an impossible size")
	}
	mem.Limit(10)
	if try(virtio.TypeBlock, good, config(1<<20, 0), 8) == nil {
		t.Error("works without memory")
	}
}

// FuzzDevice lets the device answer with whatever the fuzzer likes: the driver may
// fail, but must neither hang nor crash, nor hand out more than was read.
func FuzzDevice(f *testing.F) {
	f.Add([]byte{0, 0, 1, 2, 0, 1, 0, 2})
	f.Add([]byte{1, 0, 2, 1, 0, 0, 255, 3, 3})
	f.Fuzz(func(t *testing.T, script []byte) {
		mem := virtiotest.NewMemory(t.Errorf)
		raw := virtiotest.NewDevice(mem, virtio.TypeBlock, virtio.FeatureVersion1|virtio.FeatureEventIdx|featureFlush, config(1<<20, 0), 16)
		disk := &disk{t: t, q: raw.Queue(0), data: make([]byte, 1<<20)}
		next := func() byte {
			if len(script) == 0 {
				return 0
			}
			b := script[0]
			script = script[1:]
			return b
		}
		disk.forge = func(c *virtiotest.Chain) (uint32, uint32) {
			status := &c.In[len(c.In)-1][0]
			switch next() % 6 {
			case 1:
				*status = next()
			case 2:
				return uint32(next()), uint32(c.Room())
			case 3:
				return uint32(c.ID), uint32(next()) << 8
			case 4:
				disk.q.Push(uint32(c.ID), uint32(c.Room())) // twice
			}
			return uint32(c.ID), uint32(c.Room())
		}
		raw.Notify = func(int) { disk.serve() }
		tr := mmiotest.Open(t, raw)
		d, err := New(tr, mem, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 8 {
			d.Write(0, make([]byte, 100<<10))
			d.Read(512, make([]byte, 100*512))
			d.Flush()
		}
	})
}
