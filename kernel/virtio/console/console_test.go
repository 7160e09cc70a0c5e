package console

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"pith/kernel/virtio"
	"pith/kernel/virtio/mmio"
	"pith/kernel/virtio/pci"
	"pith/kernel/virtio/virtiotest"
)

var (
	le               = binary.LittleEndian
	_  io.ReadWriter = (*Port)(nil)
)

const everything = virtio.FeatureVersion1 | virtio.FeatureEventIdx | featureSize | featureMultiport | 1<<2

// host is a console device in software with six ports, and one goroutine that
// does its work.
type host struct {
	t     *testing.T
	mem   *virtiotest.Memory
	raw   *virtiotest.Device
	kick  chan struct{}
	queue map[int]func() // work for each queue

	mu       sync.Mutex
	messages []string // from the driver: "id event value"
	changed  sync.Cond
	written  map[int]*bytes.Buffer // by port
	stalled  bool                  // takes no output
	pending  [][]byte              // control messages to the driver
	input    map[int][]byte        // for the driver, by port
	reports  []error
}

func newHost(t *testing.T, features uint64) *host {
	h := &host{t: t, mem: virtiotest.NewMemory(t.Errorf), kick: make(chan struct{}, 1),
		written: map[int]*bytes.Buffer{}, input: map[int][]byte{}}
	h.changed.L = &h.mu
	config := make([]byte, 8)
	le.PutUint16(config[0:], 80)
	le.PutUint16(config[2:], 25)
	le.PutUint32(config[4:], 6)
	sizes := make([]int, 14)
	for i := range sizes {
		sizes[i] = 64
	}
	h.raw = virtiotest.NewDevice(h.mem, virtio.TypeConsole, features, config, sizes...)
	h.raw.Notify = func(int) { h.wake() }
	return h
}

func (h *host) wake() {
	select {
	case h.kick <- struct{}{}:
	default:
	}
}

// do changes the host's state and has it work on.
func (h *host) do(f func()) {
	h.mu.Lock()
	f()
	h.mu.Unlock()
	h.wake()
}

// await waits for a state.
func (h *host) await(f func() bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for !f() {
		h.changed.Wait()
	}
}

func (h *host) start(onPCI bool, o Options) *Device {
	h.t.Helper()
	var tr virtio.Transport
	var err error
	if onPCI {
		p := virtiotest.NewPCI(h.raw, true)
		h.t.Cleanup(func() {
			for _, l := range p.Lines {
				l.Close()
			}
		})
		tr, err = pci.New(p, p)
	} else {
		m := virtiotest.NewMMIO(h.raw)
		h.t.Cleanup(m.Line.Close)
		tr, err = mmio.New(m, m.Line)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	o.Report = func(err error) { h.do(func() { h.reports = append(h.reports, err); h.changed.Broadcast() }) }
	d, err := New(tr, h.mem, o)
	if err != nil {
		h.t.Fatal(err)
	}
	stop := make(chan struct{})
	stopped := make(chan struct{})
	h.t.Cleanup(func() { close(stop); <-stopped })
	go func() {
		defer close(stopped)
		for {
			h.work()
			select {
			case <-h.kick:
			case <-stop:
				return
			}
		}
	}()
	return d
}

// work goes round all queues once.
func (h *host) work() {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer h.changed.Broadcast()
	for id := range 6 {
		rx, tx := h.raw.Queue(portQueue(id)), h.raw.Queue(portQueue(id)+1)
		if !rx.Ready() {
			continue
		}
		for len(h.input[id]) > 0 {
			c := rx.Pop()
			if c == nil {
				break
			}
			n := c.Write(h.input[id])
			h.input[id] = h.input[id][n:]
			rx.Push(uint32(c.ID), uint32(n))
		}
		h.sleep(rx, len(h.input[id]) > 0)
		rx.Publish()
		for !h.stalled {
			c := tx.Pop()
			if c == nil {
				break
			}
			if h.written[id] == nil {
				h.written[id] = &bytes.Buffer{}
			}
			h.written[id].Write(c.Bytes())
			tx.Push(uint32(c.ID), 0)
		}
		h.sleep(tx, !h.stalled)
		tx.Publish()
	}
	if h.raw.Queue(2).Ready() {
		h.control(h.raw.Queue(2), h.raw.Queue(3))
	}
}

// sleep asks the driver for a notification. If there is something already, which
// the host wants, it goes round again.
func (h *host) sleep(q *virtiotest.Queue, wants bool) {
	if !q.Idle() && wants {
		h.wake()
	}
}

func (h *host) control(to, from *virtiotest.Queue) {
	for c := from.Pop(); c != nil; c = from.Pop() {
		b := c.Bytes()
		h.messages = append(h.messages, fmt.Sprint(le.Uint32(b), le.Uint16(b[4:]), le.Uint16(b[6:])))
		from.Push(uint32(c.ID), 0)
	}
	h.sleep(from, true)
	from.Publish()
	for len(h.pending) > 0 {
		c := to.Pop()
		if c == nil {
			break
		}
		to.Push(uint32(c.ID), uint32(c.Write(h.pending[0])))
		h.pending = h.pending[1:]
	}
	h.sleep(to, len(h.pending) > 0)
	to.Publish()
}

func message(id uint32, event, value uint16, payload ...byte) []byte {
	b := le.AppendUint32(nil, id)
	b = le.AppendUint16(b, event)
	b = le.AppendUint16(b, value)
	return append(b, payload...)
}

func buses(t *testing.T, run func(t *testing.T, onPCI bool)) {
	t.Run("mmio", func(t *testing.T) { run(t, false) })
	t.Run("pci", func(t *testing.T) { run(t, true) })
}

func TestPorts(t *testing.T) {
	buses(t, func(t *testing.T, onPCI bool) {
		h := newHost(t, everything)
		d := h.start(onPCI, Options{})
		h.await(func() bool { return len(h.messages) > 0 })
		if d.Port("pith.control") != nil {
			t.Error("a port before it was announced")
		}
		found := make(chan *Port)
		go func() { found <- d.AwaitPort("pith.control") }()
		h.do(func() {
			h.pending = [][]byte{
				message(0, 1, 0), message(0, 4, 1),
				message(2, 1, 0), message(2, 7, 1, []byte("pith.control")...), message(2, 6, 1),
				message(3, 1, 0), message(3, 7, 1, []byte("other\x00")...),
				message(4, 1, 0),          // beyond DefaultPorts
				message(0xffffffff, 1, 0), // far beyond
				message(1, 99, 0), {1, 2}, // nonsense
				message(0xfffffff0, 7, 1, 'x'), // name for nobody
			}
		})
		p := <-found
		h.await(func() bool { return len(h.messages) == 10 })
		want := "0 0 1; 0 3 1; 0 6 1; 0 6 1; 2 3 1; 2 6 1; 3 3 1; 3 6 1; 4 3 0; 4294967295 3 0"
		if got := strings.Join(h.messages, "; "); got != want {
			t.Errorf("driver says %s,\nwant %s", got, want)
		}
		if p.ID() != 2 || p.Name() != "pith.control" || d.AwaitPort("other").ID() != 3 || d.Console().ID() != 0 {
			t.Errorf("port %d, %q", p.ID(), p.Name())
		}
		h.do(func() { h.input[2] = []byte("signal 15\n") })
		b := make([]byte, 100)
		if n, err := p.Read(b); string(b[:n]) != "signal 15\n" || err != nil {
			t.Errorf("read %q, %v", b[:n], err)
		}
		if n, err := p.Write([]byte("answer")); n != 6 || err != nil {
			t.Errorf("wrote %d, %v", n, err)
		}
		h.await(func() bool { return h.written[2] != nil && h.written[2].String() == "answer" })
		h.do(func() { h.pending = [][]byte{message(2, 2, 0), message(9, 2, 0)} })
		h.await(func() bool { return len(h.pending) == 0 })
		d.mu.Lock()
		for d.find("pith.control") != nil {
			d.changed.Wait()
		}
		d.mu.Unlock()
		if _, err := p.Read(b); err != io.EOF {
			t.Errorf("read from a port that is gone: %v", err)
		}
	})
}

// TestReadWhileAnnounced: a reader that is parked does not hold up the control
// messages of its port.
func TestReadWhileAnnounced(t *testing.T) {
	h := newHost(t, everything)
	d := h.start(false, Options{})
	got := make(chan string)
	go func() {
		b := make([]byte, 10)
		n, _ := d.Console().Read(b)
		got <- string(b[:n])
	}()
	h.do(func() { h.pending = [][]byte{message(0, 1, 0), message(0, 4, 1), message(0, 7, 1, 'c')} })
	d.AwaitPort("c")
	h.do(func() { h.input[0] = []byte("hello") })
	if s := <-got; s != "hello" {
		t.Errorf("read %q", s)
	}
}

// TestStreams: bytes come through in order, whatever the sizes of reads and
// writes and however often the rings go round.
func TestStreams(t *testing.T) {
	buses(t, func(t *testing.T, onPCI bool) {
		for _, features := range []uint64{everything, everything &^ virtio.FeatureEventIdx, virtio.FeatureVersion1} {
			h := newHost(t, features)
			d := h.start(onPCI, Options{})
			all := make([]byte, 300_000)
			for i := range all {
				all[i] = byte(i ^ i>>8)
			}
			go h.do(func() { h.input[0] = bytes.Clone(all) })
			go func() {
				for rest, n := all, 1; len(rest) > 0; n = n*3%7001 + 1 {
					n = min(n, len(rest))
					if got, err := d.Console().Write(rest[:n]); got != n || err != nil {
						t.Errorf("wrote %d of %d: %v", got, n, err)
						return
					}
					rest = rest[n:]
				}
			}()
			got := make([]byte, 0, len(all))
			for n := 1; len(got) < len(all); n = n*5%601 + 1 {
				b := make([]byte, n)
				k, err := d.Console().Read(b)
				if k == 0 || err != nil {
					t.Fatalf("read %d: %v", k, err)
				}
				got = append(got, b[:k]...)
			}
			if !bytes.Equal(got, all) {
				t.Error("input is garbled")
			}
			h.await(func() bool { return h.written[0] != nil && h.written[0].Len() == len(all) })
			if !bytes.Equal(h.written[0].Bytes(), all) {
				t.Error("output is garbled")
			}
		}
	})
}

// TestWriteDoesNotWait: output that fits in the buffers is taken while the
// device does nothing; what is more waits, and is not lost.
func TestWriteDoesNotWait(t *testing.T) {
	h := newHost(t, everything)
	h.stalled = true
	d := h.start(false, Options{})
	fits := bytes.Repeat([]byte("x"), transmitSlots*transmitSize)
	if n, err := d.Console().Write(fits); n != len(fits) || err != nil {
		t.Fatalf("wrote %d: %v", n, err)
	}
	done := make(chan struct{})
	go func() { d.Console().Write([]byte("y")); close(done) }()
	select {
	case <-done:
		t.Error("a full ring takes more")
	default:
	}
	h.do(func() { h.stalled = false })
	<-done
	h.await(func() bool { return h.written[0] != nil && h.written[0].Len() == len(fits)+1 })
}

func TestResize(t *testing.T) {
	buses(t, func(t *testing.T, onPCI bool) {
		h := newHost(t, everything)
		sizes := make(chan [2]int, 10)
		h.start(onPCI, Options{Resize: func(columns, rows int) { sizes <- [2]int{columns, rows} }})
		if got := <-sizes; got != [2]int{80, 25} {
			t.Errorf("size at the start %v", got)
		}
		h.raw.SetConfig(func(c []byte) { le.PutUint16(c, 132) })
		if got := <-sizes; got != [2]int{132, 25} {
			t.Errorf("size by configuration %v", got)
		}
		h.do(func() {
			h.pending = [][]byte{message(0, 1, 0), message(1, 5, 0, 1, 0, 1, 0), message(0, 5, 0, 1), message(0, 5, 0, 100, 0, 44, 1)}
		})
		if got := <-sizes; got != [2]int{100, 300} {
			t.Errorf("size by message %v", got)
		}
	})
}

func TestHostile(t *testing.T) {
	h := newHost(t, everything)
	d := h.start(false, Options{})
	h.await(func() bool { return len(h.messages) > 0 })
	h.do(func() {
		q := h.raw.Queue(0)
		q.Push(77, 1)
		q.Publish()
		q = h.raw.Queue(2)
		q.Push(0, controlSlotSize+1)
		q.Publish()
	})
	var qe *virtio.QueueError
	if _, err := d.Console().Read(make([]byte, 1)); !errors.As(err, &qe) || qe.Queue != "virtio-console receive queue 0" {
		t.Errorf("read: %v", err)
	}
	h.await(func() bool { return len(h.reports) == 2 })
	h.do(func() {
		q := h.raw.Queue(1)
		q.Push(77, 1)
		q.Publish()
	})
	if _, err := d.Console().Write([]byte("x")); err == nil || !strings.Contains(err.Error(), "transmit queue 0") {
		t.Errorf("write: %v", err)
	}
}

func TestStartFailures(t *testing.T) {
	try := func(mem *virtiotest.Memory, kind uint32, features uint64, sizes ...int) error {
		m := virtiotest.NewMMIO(virtiotest.NewDevice(mem, kind, features, make([]byte, 8), sizes...))
		tr, err := mmio.New(m, m.Line)
		if err != nil {
			t.Fatal(err)
		}
		_, err = New(tr, mem, Options{})
		return err
	}
	mem := virtiotest.NewMemory(t.Errorf)
	if err := try(mem, virtio.TypeNet, everything, 8, 8, 8, 8); err == nil || !strings.Contains(err.Error(), "type 1") {
		t.Errorf("network card: %v", err)
	}
	if err := try(mem, virtio.TypeConsole, featureMultiport, 8, 8, 8, 8); !errors.Is(err, virtio.ErrLegacy) {
		t.Errorf("legacy device: %v", err)
	}
	if err := try(mem, virtio.TypeConsole, everything, 8, 8); err == nil || !strings.Contains(err.Error(), "no such queue") {
		t.Errorf("too few queues: %v", err)
	}
	for limit := range 4 {
		mem := virtiotest.NewMemory(t.Errorf)
		mem.Limit(limit * 4096)
		err := try(mem, virtio.TypeConsole, everything, 64, 64, 64, 64)
		if limit < 2 && err == nil {
			t.Errorf("works with %d pages", limit)
		}
	}
}

// FuzzControl sends any control messages.
func FuzzControl(f *testing.F) {
	f.Add(message(0, 1, 0), message(0, 7, 1, 'a'))
	f.Add(message(5, 5, 0), message(0, 5, 0, 1, 2, 3))
	f.Add([]byte{}, message(0xffffffff, 0xffff, 0xffff))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		h := newHost(t, everything)
		d := h.start(false, Options{Resize: func(int, int) {}})
		h.do(func() {
			h.pending = [][]byte{a, b, message(2, 2, 0), message(2, 1, 0), message(2, 7, 0, []byte("the end")...)}
		})
		if p := d.AwaitPort("the end"); p.ID() != 2 && string(a) != string(p.Name()) && string(b) != string(p.Name()) {
			t.Errorf("port %d has the name", p.ID())
		}
	})
}
