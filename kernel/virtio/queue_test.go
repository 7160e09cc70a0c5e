package virtio_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"pith/kernel/virtio"
	"pith/kernel/virtio/mmio"
	"pith/kernel/virtio/virtiotest"
)

// rig is a queue with both of its sides, and a counter as payload.
type rig struct {
	t    testing.TB
	mem  *virtiotest.Memory
	line *virtiotest.Line
	q    *virtio.Queue
	dev  *virtiotest.Queue
	errs []error
}

func newRig(t testing.TB, size int, features uint64, tables int) *rig {
	t.Helper()
	r := &rig{t: t, mem: virtiotest.NewMemory(t.Errorf)}
	d := virtiotest.NewDevice(r.mem, virtio.TypeEntropy, features|virtio.FeatureVersion1, nil, size)
	regs := virtiotest.NewMMIO(d)
	r.line, r.dev = regs.Line, d.Queue(0)
	tr, err := mmio.New(regs, regs.Line)
	if err != nil {
		t.Fatal(err)
	}
	agreed, err := virtio.Negotiate(tr, ^uint64(0))
	if err != nil {
		t.Fatal(err)
	}
	r.q, err = virtio.NewQueue(tr, r.mem, virtio.QueueOptions{
		Name: "test queue", Size: size, Features: agreed, Interrupts: true, Tables: tables,
		Report: func(err error) { r.errs = append(r.errs, err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	virtio.Ready(tr)
	return r
}

func variants(t *testing.T, run func(t *testing.T, features uint64)) {
	for _, f := range []uint64{0, virtio.FeatureEventIdx, virtio.FeatureIndirect, virtio.FeatureEventIdx | virtio.FeatureIndirect} {
		t.Run(fmt.Sprintf("features=%#x", f), func(t *testing.T) { run(t, f) })
	}
}

// segments cuts a fresh piece of memory into n segments of 8 bytes.
func (r *rig) segments(n int) ([]byte, []virtio.Segment) {
	virt, phys := r.mem.Alloc(8 * n)
	s := make([]virtio.Segment, n)
	for i := range s {
		s[i] = virtio.Segment{Phys: phys + uint64(8*i), Len: 8}
	}
	return virt, s
}

// TestTraffic sends random chains round the ring until its indices have
// overflowed, completed out of order, and compares what arrives.
func TestTraffic(t *testing.T) {
	variants(t, func(t *testing.T, features uint64) {
		r := newRig(t, 16, features, 4)
		rnd := rand.New(rand.NewPCG(1, features))
		virt, segs := r.segments(16)
		type post struct{ out, in int }
		posted := map[uint16]post{}
		var held []*virtiotest.Chain
		serial, indirect := uint64(0), 0
		for range 100_000 {
			out, in := rnd.IntN(4), rnd.IntN(3)
			if out+in == 0 {
				out = 1
			}
			serial++
			binary.LittleEndian.PutUint64(virt, serial)
			var id uint16
			var ok bool
			if out+in == 1 {
				id, ok = r.q.AddOne(segs[0], in == 1)
			} else {
				id, ok = r.q.Add(segs[:out], segs[8:8+in])
			}
			if ok {
				if _, twice := posted[id]; twice {
					t.Fatalf("id %d given twice", id)
				}
				posted[id] = post{out, in}
			}
			if !ok || rnd.IntN(3) == 0 {
				r.q.Publish()
				for c := r.dev.Pop(); c != nil; c = r.dev.Pop() {
					if p := posted[c.ID]; len(c.Out) != p.out || len(c.In) != p.in {
						t.Fatalf("posted %+v, device sees %d and %d", p, len(c.Out), len(c.In))
					}
					if c.Indirect {
						indirect++
					}
					held = append(held, c)
				}
				rnd.Shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
				for len(held) > 2 {
					c := held[len(held)-1]
					held = held[:len(held)-1]
					r.dev.Push(uint32(c.ID), uint32(c.Room()))
				}
				r.dev.Publish()
			}
			if rnd.IntN(2) == 0 {
				continue
			}
			for id, n, ok := r.q.Take(); ok; id, n, ok = r.q.Take() {
				p, known := posted[id]
				if !known || int(n) != 8*p.in {
					t.Fatalf("took %d with %d bytes: %+v, %v", id, n, p, known)
				}
				delete(posted, id)
			}
			r.q.Mark()
			if r.q.Pending() {
				t.Fatal("pending after everything was taken")
			}
		}
		if err := r.q.Err(); err != nil {
			t.Fatal(err)
		}
		if (indirect > 0) != (features&virtio.FeatureIndirect != 0) {
			t.Errorf("%d indirect chains with features %#x", indirect, features)
		}
	})
}

// TestContents checks that bytes get through, in both directions, by chains and
// by tables.
func TestContents(t *testing.T) {
	variants(t, func(t *testing.T, features uint64) {
		r := newRig(t, 8, features, 2)
		virt, segs := r.segments(6)
		copy(virt, "aaaaaaaabbbbbbbbcccccccc")
		for range 3 {
			id, ok := r.q.Add(segs[:3], segs[3:])
			if !ok {
				t.Fatal("no room")
			}
			r.q.Publish()
			c := r.dev.Pop()
			if got := string(c.Bytes()); got != "aaaaaaaabbbbbbbbcccccccc" {
				t.Errorf("device reads %q", got)
			}
			c.Write([]byte("0123456789"))
			r.dev.Push(uint32(c.ID), 10)
			r.dev.Publish()
			got, n, ok := r.q.Take()
			if !ok || got != id || n != 10 || !bytes.Equal(virt[24:34], []byte("0123456789")) {
				t.Errorf("took %d, %d bytes, %v: %q", got, n, ok, virt[24:34])
			}
		}
	})
}

// TestFull fills the ring to the last descriptor.
func TestFull(t *testing.T) {
	r := newRig(t, 4, 0, 0)
	_, segs := r.segments(4)
	for i := range 4 {
		if _, ok := r.q.AddOne(segs[i], true); !ok {
			t.Fatalf("no room for descriptor %d", i)
		}
	}
	if _, ok := r.q.AddOne(segs[0], true); ok {
		t.Error("a fifth descriptor fits in a ring of four")
	}
	if _, ok := r.q.Add(segs[:2], nil); ok {
		t.Error("a chain fits in a full ring")
	}
	r.q.Publish()
	c := r.dev.Pop()
	r.dev.Push(uint32(c.ID), 0)
	r.dev.Publish()
	if _, _, ok := r.q.Take(); !ok || r.q.Free() != 1 {
		t.Errorf("one completed: ok=%v, free=%d", ok, r.q.Free())
	}
	if _, ok := r.q.Add(segs[:2], nil); ok {
		t.Error("a chain of two fits in one descriptor")
	}
}

// TestKicks: one doorbell a batch, none while the device is busy, one again
// when it asks for it.
func TestKicks(t *testing.T) {
	for _, features := range []uint64{0, virtio.FeatureEventIdx} {
		r := newRig(t, 8, features, 0)
		_, segs := r.segments(1)
		add := func(n int) {
			for range n {
				r.q.AddOne(segs[0], false)
			}
			r.q.Publish()
			r.q.Publish() // nothing new: nothing happens
		}
		finish := func() {
			for c := r.dev.Pop(); c != nil; c = r.dev.Pop() {
				r.dev.Push(uint32(c.ID), 0)
			}
			r.dev.Publish()
			for _, _, ok := r.q.Take(); ok; _, _, ok = r.q.Take() {
			}
		}
		add(3)
		if r.dev.Rings() != 1 {
			t.Errorf("features %#x: %d kicks for one batch", features, r.dev.Rings())
		}
		finish()
		r.dev.Busy()
		add(3)
		add(2)
		if r.dev.Rings() != 1 {
			t.Errorf("features %#x: %d kicks for a busy device", features, r.dev.Rings()-1)
		}
		if r.dev.Idle() {
			t.Errorf("features %#x: device sees nothing", features)
		}
		finish()
		r.dev.Idle()
		add(1)
		if r.dev.Rings() != 2 {
			t.Errorf("features %#x: %d kicks for an idle device", features, r.dev.Rings()-1)
		}
	}
}

// TestInterrupts: none outside Wait; Wait returns at once for what is there
// already, and is woken by what comes.
func TestInterrupts(t *testing.T) {
	for _, features := range []uint64{0, virtio.FeatureEventIdx} {
		r := newRig(t, 8, features, 0)
		_, segs := r.segments(1)
		complete := func() {
			r.q.AddOne(segs[0], true)
			r.q.Publish()
			c := r.dev.Pop()
			r.dev.Push(uint32(c.ID), 1)
			r.dev.Publish()
		}
		complete()
		complete()
		if r.line.Count() != 0 {
			t.Errorf("features %#x: %d interrupts without Wait", features, r.line.Count())
		}
		r.q.Wait() // must not park: nothing will fire
		for range 2 {
			if _, _, ok := r.q.Take(); !ok {
				t.Fatal("nothing to take")
			}
		}
		r.q.Mark()
		r.q.AddOne(segs[0], true)
		r.q.Publish()
		done := make(chan bool)
		go func() {
			for !r.q.Pending() {
				r.q.Wait()
			}
			_, _, ok := r.q.Take()
			done <- ok
		}()
		c := r.dev.Pop()
		r.dev.Push(uint32(c.ID), 1)
		r.dev.Publish()
		if !<-done {
			t.Errorf("features %#x: woken for nothing", features)
		}
		before := r.line.Count()
		complete()
		if n := r.line.Count() - before; features == 0 && n != 0 || n > 1 {
			t.Errorf("features %#x: %d interrupts after Wait", features, n)
		}
	}
}

// TestHostile does what no device may. Each time the queue must stop with an
// error that says what was wrong, once.
func TestHostile(t *testing.T) {
	cases := []struct {
		name, want string
		attack     func(q *virtiotest.Queue)
	}{
		{"id beyond the ring", "completed descriptor 4096 of 8", func(q *virtiotest.Queue) { q.Push(4096, 0); q.Publish() }},
		{"id with high bits", "completed descriptor 65536 of 8", func(q *virtiotest.Queue) { q.Push(1<<16, 0); q.Publish() }},
		{"id not posted", "completed descriptor 7, which it was not given", func(q *virtiotest.Queue) { q.Push(7, 0); q.Publish() }},
		{"same id twice", "which it was not given", func(q *virtiotest.Queue) { q.Push(0, 0); q.Push(0, 0); q.Publish() }},
		{"middle of a chain", "which it was not given", func(q *virtiotest.Queue) { q.Push(1, 0); q.Publish() }},
		{"too long", "wrote 9 bytes where 8 fit", func(q *virtiotest.Queue) { q.Push(0, 9); q.Publish() }},
		{"much too long", "wrote 4294967295 bytes where 8 fit", func(q *virtiotest.Queue) { q.Push(0, ^uint32(0)); q.Publish() }},
		{"index ahead", "moved its index by 3 with 2 chains posted", func(q *virtiotest.Queue) { q.Jump(3) }},
		{"index back", "moved its index by 65535 with 2 chains posted", func(q *virtiotest.Queue) { q.Jump(0xffff) }},
		{"index far", "moved its index by 32768 with 2 chains posted", func(q *virtiotest.Queue) { q.Jump(0x8000) }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, 8, virtio.FeatureEventIdx, 0)
			_, segs := r.segments(2)
			r.q.Add(segs[:1], segs[1:]) // descriptors 0 and 1
			r.q.AddOne(segs[0], true)   // descriptor 2
			r.q.Publish()
			c.attack(r.dev)
			for range 3 {
				for _, _, ok := r.q.Take(); ok; _, _, ok = r.q.Take() {
				}
			}
			r.dead(c.want)
			if _, ok := r.q.AddOne(segs[0], false); ok {
				t.Error("a dead queue takes buffers")
			}
			if used, seen := r.q.UsedIndexAddress(); virtio.Fresh(used, seen) || r.q.Pending() || r.q.Completed() != 0 {
				t.Error("a dead queue seems to have something")
			}
			r.line.Fire()
			r.q.Wait() // parks for an interrupt, no more
		})
	}
}

// dead checks that the queue was shut down for the reason.
func (r *rig) dead(want string) {
	r.t.Helper()
	var qe *virtio.QueueError
	if err := r.q.Err(); !errors.As(err, &qe) || qe.Queue != "test queue" || !strings.Contains(err.Error(), want) {
		r.t.Errorf("error %v, want %q", err, want)
	}
	if len(r.errs) != 1 {
		r.t.Errorf("%d reports, want 1: %v", len(r.errs), r.errs)
	}
}

// TestGarbageLengthWithoutRoom: some devices write a length for chains that they
// only read. That harms nobody.
func TestGarbageLengthWithoutRoom(t *testing.T) {
	r := newRig(t, 8, 0, 0)
	_, segs := r.segments(1)
	r.q.AddOne(segs[0], false)
	r.q.Publish()
	r.dev.Push(0, 12345)
	r.dev.Publish()
	if _, n, ok := r.q.Take(); !ok || n != 0 {
		t.Errorf("took %d bytes, %v", n, ok)
	}
}

func TestQueueSizes(t *testing.T) {
	for _, c := range []struct {
		limit, want, size int
		err               string
	}{
		{1024, 0, 256, ""}, {64, 0, 64, ""}, {100, 0, 64, ""}, {1024, 600, 512, ""},
		{65536, 65536, 32768, ""}, {2, 0, 2, ""}, {1, 0, 0, "single"}, {0, 0, 0, "no such queue"},
	} {
		mem := virtiotest.NewMemory(t.Errorf)
		regs := virtiotest.NewMMIO(virtiotest.NewDevice(mem, 4, virtio.FeatureVersion1, nil, c.limit))
		tr, _ := mmio.New(regs, regs.Line)
		if _, err := virtio.Negotiate(tr, 0); err != nil {
			t.Fatal(err)
		}
		q, err := virtio.NewQueue(tr, mem, virtio.QueueOptions{Name: "q", Size: c.want})
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%+v: error %v", c, err)
			}
			continue
		}
		if err != nil || q.Size() != c.size {
			t.Errorf("%+v: size %d, error %v", c, q.Size(), err)
		}
	}
}

func TestNoMemory(t *testing.T) {
	mem := virtiotest.NewMemory(t.Errorf)
	mem.Limit(100)
	regs := virtiotest.NewMMIO(virtiotest.NewDevice(mem, 4, virtio.FeatureVersion1, nil, 8))
	tr, _ := mmio.New(regs, regs.Line)
	if _, err := virtio.Negotiate(tr, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := virtio.NewQueue(tr, mem, virtio.QueueOptions{Name: "q"}); err == nil {
		t.Error("a queue without memory")
	}
}

func TestNegotiation(t *testing.T) {
	start := func(d *virtiotest.Device) (uint64, error) {
		regs := virtiotest.NewMMIO(d)
		tr, err := mmio.New(regs, regs.Line)
		if err != nil {
			t.Fatal(err)
		}
		return virtio.Negotiate(tr, virtio.FeatureEventIdx|1<<5)
	}
	mem := virtiotest.NewMemory(t.Errorf)
	d := virtiotest.NewDevice(mem, 4, virtio.FeatureVersion1|virtio.FeatureEventIdx|1<<40, nil)
	agreed, err := start(d)
	if want := virtio.FeatureVersion1 | virtio.FeatureEventIdx; err != nil || agreed != want || d.Accepted() != want {
		t.Errorf("agreed on %#x, device on %#x: %v", agreed, d.Accepted(), err)
	}
	if d.Status() != 1|2|8 {
		t.Errorf("status %#x", d.Status())
	}
	d = virtiotest.NewDevice(mem, 4, virtio.FeatureEventIdx, nil)
	if _, err = start(d); !errors.Is(err, virtio.ErrLegacy) || d.Status()&128 == 0 {
		t.Errorf("no VERSION_1: %v, status %#x", err, d.Status())
	}
	d = virtiotest.NewDevice(mem, 4, virtio.FeatureVersion1, nil)
	d.RefuseFeatures = true
	if _, err = start(d); err == nil || d.Status()&128 == 0 {
		t.Errorf("features refused: %v, status %#x", err, d.Status())
	}
}

// TestNoAllocation: what happens for each packet allocates nothing.
func TestNoAllocation(t *testing.T) {
	r := newRig(t, 8, virtio.FeatureEventIdx|virtio.FeatureIndirect, 4)
	_, segs := r.segments(8)
	n := testing.AllocsPerRun(100, func() {
		one, _ := r.q.AddOne(segs[0], true)
		many, _ := r.q.Add(segs[:2], segs[4:])
		r.q.Publish()
		r.dev.Push(uint32(many), 4)
		r.dev.Push(uint32(one), 8)
		r.dev.Publish()
		for _, _, ok := r.q.Take(); ok; _, _, ok = r.q.Take() {
		}
		r.q.Mark()
	})
	if n != 0 || r.q.Free() != 8 || r.q.Err() != nil {
		t.Errorf("%v allocations, %d free, error %v", n, r.q.Free(), r.q.Err())
	}
}

// FuzzUsedRing lets a hostile device write any completions and indices between
// any actions of a driver. Whatever it does: no panic, ids only once and only
// if posted, lengths within bounds, and nothing any more after the error.
func FuzzUsedRing(f *testing.F) {
	f.Add([]byte{0, 0, 1, 2, 0, 0, 8, 0, 3, 4})
	f.Add([]byte{0, 1, 0, 1, 1, 2, 9, 0, 0, 0, 3, 4, 4, 5, 0xff, 0xff, 4})
	f.Add([]byte{1, 0, 1, 2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 3, 4, 4})
	f.Fuzz(func(t *testing.T, script []byte) {
		r := newRig(t, 8, virtio.FeatureEventIdx|virtio.FeatureIndirect, 2)
		_, segs := r.segments(8)
		room := map[uint16]uint32{}
		next := func() byte {
			if len(script) == 0 {
				return 0
			}
			b := script[0]
			script = script[1:]
			return b
		}
		for len(script) > 0 {
			dead := r.q.Err() != nil
			switch op := next(); op % 6 {
			case 0, 1:
				n := int(next()%4) + 1
				id, ok := r.q.Add(segs[:n], segs[4:4+op%2])
				if !ok {
					break
				}
				if _, twice := room[id]; twice || dead {
					t.Fatalf("id %d handed out again, dead=%v", id, dead)
				}
				room[id] = 8 * uint32(op%2)
			case 2:
				r.dev.Push(uint32(next())|uint32(next())<<16, uint32(next())|uint32(next())<<24)
			case 3:
				r.q.Publish()
				r.dev.Publish()
			case 4:
				id, n, ok := r.q.Take()
				if !ok {
					break
				}
				limit, known := room[id]
				if dead || !known || n > limit {
					t.Fatalf("took %d with %d bytes of %d, known=%v, dead=%v", id, n, limit, known, dead)
				}
				delete(room, id)
				r.q.Mark()
			case 5:
				r.dev.Jump(uint16(next()) | uint16(next())<<8)
			}
		}
		if len(r.errs) > 1 {
			t.Errorf("%d reports", len(r.errs))
		}
	})
}
