package mmio

import (
	"errors"
	"strings"
	"testing"

	"pith/kernel/virtio"
	"pith/kernel/virtio/virtiotest"
)

func model(t *testing.T) (*virtiotest.Device, *virtiotest.MMIO) {
	mem := virtiotest.NewMemory(t.Errorf)
	d := virtiotest.NewDevice(mem, virtio.TypeNet, virtio.FeatureVersion1|1<<3|1<<40, []byte{1, 2, 3, 4, 5, 6, 7, 8}, 256, 64)
	return d, virtiotest.NewMMIO(d)
}

func TestRefusals(t *testing.T) {
	d, m := model(t)
	m.Version = 1
	if _, err := New(m, m.Line); !errors.Is(err, virtio.ErrLegacy) || !strings.Contains(err.Error(), "force-legacy=false") {
		t.Errorf("legacy device: %v", err)
	}
	m.Version = 3
	if _, err := New(m, m.Line); err == nil || !strings.Contains(err.Error(), "version 3") {
		t.Errorf("version 3: %v", err)
	}
	m.Version, d.Kind = 2, 0
	if _, err := New(m, m.Line); !errors.Is(err, ErrEmpty) {
		t.Errorf("empty place: %v", err)
	}
	m.Magic = 0xffffffff
	if _, err := New(m, m.Line); !errors.Is(err, ErrNotVirtio) {
		t.Errorf("no magic: %v", err)
	}
}

func TestRegisters(t *testing.T) {
	d, m := model(t)
	tr, err := New(m, m.Line)
	if err != nil {
		t.Fatal(err)
	}
	if tr.Type() != virtio.TypeNet || tr.Features() != d.Features {
		t.Errorf("type %d, features %#x", tr.Type(), tr.Features())
	}
	tr.SetFeatures(1<<40 | 1<<3)
	if d.Accepted() != 1<<40|1<<3 {
		t.Errorf("accepted %#x", d.Accepted())
	}
	tr.SetStatus(3)
	if tr.Status() != 3 {
		t.Errorf("status %d", tr.Status())
	}
	c := tr.Config()
	if c.Read8(1) != 2 || c.Read16(2) != 0x0403 || c.Read32(4) != 0x08070605 {
		t.Error("configuration space is elsewhere")
	}
	if tr.QueueLimit(0) != 256 || tr.QueueLimit(1) != 64 || tr.QueueLimit(2) != 0 || tr.QueueLimit(-1) != 0 || tr.QueueLimit(1<<16) != 0 {
		t.Error("queue limits are wrong")
	}
}

func TestStartQueue(t *testing.T) {
	d, m := model(t)
	tr, _ := New(m, m.Line)
	if _, err := virtio.Negotiate(tr, 0); err != nil {
		t.Fatal(err)
	}
	s := virtio.QueueSetup{Index: 1, Size: 32, Descriptors: 1<<40 | 4096, Available: 2<<40 | 8192, Used: 3<<40 | 12288, Interrupts: true}
	bell, w, err := tr.StartQueue(s)
	if err != nil || w == nil || !d.Queue(1).Ready() || d.Queue(1).Size() != 32 {
		t.Fatalf("queue is not ready: %v", err)
	}
	if _, _, err := tr.StartQueue(s); err == nil {
		t.Error("a queue starts twice")
	}
	if _, w, err := tr.StartQueue(virtio.QueueSetup{Size: 2}); err != nil || w != nil {
		t.Errorf("without interrupts: %v, %v", w, err)
	}
	virtio.Ready(tr)
	bell.Ring()
	if d.Queue(1).Rings() != 1 {
		t.Error("doorbell does not ring")
	}
	cw, err := tr.ConfigWaiter()
	if err != nil {
		t.Fatal(err)
	}
	d.SetConfig(func(c []byte) { c[0] = 9 })
	cw.Wait()
	if tr.Config().Read8(0) != 9 || tr.ConfigGeneration() != 1 {
		t.Error("configuration did not change")
	}
}

// unstable changes its generation with each read.
type unstable struct {
	virtio.Registers
	reads uint32
}

func (u *unstable) Read32(offset uint32) uint32 {
	if offset == regConfigGeneration {
		u.reads++
		return u.reads
	}
	return u.Registers.Read32(offset)
}

// TestReadConfig: a device that changes its configuration all the time holds
// nobody up.
func TestReadConfig(t *testing.T) {
	_, m := model(t)
	u := &unstable{Registers: m}
	tr, _ := New(u, m.Line)
	n := 0
	virtio.ReadConfig(tr, func(r virtio.Registers) { n++ })
	if n < 2 || n > 1000 {
		t.Errorf("%d reads", n)
	}
	n = 0
	tr, _ = New(m, m.Line)
	virtio.ReadConfig(tr, func(r virtio.Registers) { n++ })
	if n != 1 {
		t.Errorf("%d reads of a stable device", n)
	}
}
