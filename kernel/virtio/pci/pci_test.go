package pci

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pith/kernel/virtio"
	"pith/kernel/virtio/virtiotest"
)

var le = binary.LittleEndian

func model(t *testing.T, assigned bool) (*virtiotest.Device, *virtiotest.PCI) {
	mem := virtiotest.NewMemory(t.Errorf)
	d := virtiotest.NewDevice(mem, virtio.TypeNet, virtio.FeatureVersion1|1<<3|1<<40, []byte{1, 2, 3, 4, 5, 6, 7, 8}, 256, 64, 16)
	return d, virtiotest.NewPCI(d, assigned)
}

func TestDevice(t *testing.T) {
	for _, assigned := range []bool{true, false} {
		t.Run(fmt.Sprintf("assigned=%v", assigned), func(t *testing.T) {
			d, p := model(t, assigned)
			tr, err := New(p, p)
			if err != nil {
				t.Fatal(err)
			}
			if tr.Type() != virtio.TypeNet || tr.Features() != d.Features {
				t.Errorf("type %d, features %#x", tr.Type(), tr.Features())
			}
			c := tr.Config()
			if c.Read8(1) != 2 || c.Read16(2) != 0x0403 || c.Read32(4) != 0x08070605 || c.Read32(8) != ^uint32(0) {
				t.Error("configuration space is elsewhere")
			}
			if tr.QueueLimit(0) != 256 || tr.QueueLimit(2) != 16 || tr.QueueLimit(3) != 0 || tr.QueueLimit(-1) != 0 {
				t.Error("queue limits are wrong")
			}
			if _, err := virtio.Negotiate(tr, 1<<3); err != nil || d.Accepted() != virtio.FeatureVersion1|1<<3 {
				t.Errorf("accepted %#x: %v", d.Accepted(), err)
			}
			if p.Space[cfgCommand]&(commandMemory|commandMaster) != commandMemory|commandMaster {
				t.Error("bus mastering is off")
			}
		})
	}
}

func TestQueuesAndVectors(t *testing.T) {
	d, p := model(t, true)
	p.Vectors = 2
	tr, err := New(p, p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := virtio.Negotiate(tr, 0); err != nil {
		t.Fatal(err)
	}
	var bells []virtio.Doorbell
	var waiters []virtio.Waiter
	for i := range 3 {
		s := virtio.QueueSetup{Index: i, Size: 16, Descriptors: 1<<40 | 4096, Available: 8192, Used: 12288, Interrupts: i != 1}
		bell, w, err := tr.StartQueue(s)
		if err != nil || (w != nil) != s.Interrupts {
			t.Fatalf("queue %d: %v, %v", i, w, err)
		}
		bells, waiters = append(bells, bell), append(waiters, w)
	}
	cw, err := tr.ConfigWaiter() // shares the second vector
	if err != nil {
		t.Fatal(err)
	}
	virtio.Ready(tr)
	for i := range bells {
		bells[i].Ring()
		if d.Queue(i).Rings() != 1 {
			t.Errorf("doorbell %d rings elsewhere", i)
		}
	}
	d.SetConfig(func(c []byte) { c[0] = 9 })
	cw.Wait()
	waiters[2].Wait()
	if p.Lines[0].Count() != 0 || p.Lines[1].Count() != 1 {
		t.Error("wrong vector fired")
	}
	if tr.Config().Read8(0) != 9 || tr.ConfigGeneration() != 1 {
		t.Error("configuration did not change")
	}
	if _, _, err := tr.StartQueue(virtio.QueueSetup{Size: 16, Descriptors: 4096}); err == nil {
		t.Error("a queue starts twice")
	}
}

// TestRefusals spoils one thing in a good function at a time.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name, want string
		spoil      func(s []byte)
	}{
		{"other vendor", "not a virtio device", func(s []byte) { s[0] = 0x86 }},
		{"other device", "not a virtio device", func(s []byte) { s[3] = 0x20 }},
		{"no capabilities", "legacy", func(s []byte) { s[6] = 0 }},
		{"empty list", "legacy", func(s []byte) { s[0x34] = 0 }},
		{"list into the header", "legacy", func(s []byte) { s[0x34] = 0x10 }},
		{"list loops", "no notification", func(s []byte) { s[0x55] = 0x40 }},
		{"short common", "only 55 bytes", func(s []byte) { s[0x40+12] = 55 }},
		{"no MSI-X", "MSI-X", func(s []byte) { s[0x69] = 0 }},
		{"reserved BAR", "only 0 bytes", func(s []byte) { s[0x44] = 6 }},
		{"I/O BAR", "I/O space", func(s []byte) { s[0x44] = 0; s[0x10] = 1 }},
		{"BAR that is not there", "no usable size", func(s []byte) { s[0x44] = 2 }},
		{"structure behind the BAR", "ends before", func(s []byte) { s[0x49] = 0x40 }},
		{"structure wraps", "ends before", func(s []byte) { le.PutUint32(s[0x48:], 0xfffffff0) }},
		{"endless structure", "ends before", func(s []byte) { le.PutUint32(s[0x68+12:], 0xffffffff) }},
		{"table elsewhere", "does not exist", func(s []byte) { s[0x80] = 7 }},
		{"table too long", "ends before", func(s []byte) { s[0x7f] |= 7 }},
		{"capability cut short", "legacy", func(s []byte) { s[0x42], s[0x6a] = 12, 12 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, p := model(t, true)
			c.spoil(p.Space[:])
			_, err := New(p, p)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestLegacyIsNamed(t *testing.T) {
	_, p := model(t, true)
	p.Space[6] = 0
	if _, err := New(p, p); !errors.Is(err, virtio.ErrLegacy) {
		t.Error(err)
	}
}

func TestType(t *testing.T) {
	for _, c := range []struct {
		device, subsystem uint16
		want              uint32
	}{{0x1041, 0, 1}, {0x1043, 7, 3}, {0x1000, 1, 1}, {0x1005, 4, 4}, {0x1080, 0, 0}, {0x0fff, 1, 0}} {
		_, p := model(t, true)
		le.PutUint16(p.Space[2:], c.device)
		le.PutUint16(p.Space[0x2e:], c.subsystem)
		if got := Type(p); got != c.want {
			t.Errorf("device %#x: type %d, want %d", c.device, got, c.want)
		}
	}
}

// TestDoorbellOutside: the device names a notification offset beyond what it
// has.
func TestDoorbellOutside(t *testing.T) {
	_, p := model(t, true)
	le.PutUint32(p.Space[0x68+16:], 0x80000000)
	tr, err := New(p, p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := virtio.Negotiate(tr, 0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := tr.StartQueue(virtio.QueueSetup{Index: 1, Size: 16}); err == nil {
		t.Error("the doorbell rings outside")
	}
}

// space is a configuration space in memory.
type space []byte

func (s space) Read8(o uint32) uint8       { return s[o&255] }
func (s space) Read16(o uint32) uint16     { return le.Uint16(s[o&254:]) }
func (s space) Read32(o uint32) uint32     { return le.Uint32(s[o&252:]) }
func (s space) Write8(o uint32, v uint8)   { s[o&255] = v }
func (s space) Write16(o uint32, v uint16) { le.PutUint16(s[o&254:], v) }
func (s space) Write32(o uint32, v uint32) { le.PutUint32(s[o&252:], v) }

// TestScan walks two buses with a bridge between them, and one that points back.
func TestScan(t *testing.T) {
	none := space(bytes.Repeat([]byte{0xff}, 256))
	function := func(header byte, secondary byte) space {
		s := make(space, 256)
		le.PutUint16(s, 0x1af4)
		s[cfgHeaderType], s[cfgSecondaryBus] = header, secondary
		return s
	}
	all := map[[3]uint8]space{
		{0, 0, 0}:  function(0, 0),
		{0, 0, 3}:  function(0, 0), // not looked for: function 0 is the only one
		{0, 2, 0}:  function(0x80, 0),
		{0, 2, 5}:  function(0, 0),
		{0, 9, 0}:  function(1, 4),
		{4, 31, 0}: function(0, 0),
		{4, 1, 0}:  function(1, 0), // back to the root
		{4, 3, 0}:  function(1, 4), // to itself
	}
	var got []string
	Scan(func(b, d, f uint8) virtio.Registers {
		if s, ok := all[[3]uint8{b, d, f}]; ok {
			return s
		}
		return none
	}, func(b, d, f uint8, cfg virtio.Registers) { got = append(got, fmt.Sprint(b, d, f)) })
	want := "[0 0 0 0 2 0 0 2 5 0 9 0 4 1 0 4 3 0 4 31 0]"
	if fmt.Sprint(got) != want {
		t.Errorf("found %v, want %v", got, want)
	}
}

// fuzzPlatform maps anything.
type fuzzPlatform struct{ memory space }

func (p fuzzPlatform) Map(phys uint64, size uint32) (virtio.Registers, error) {
	return virtio.Window(p.memory, 0, size), nil
}
func (p fuzzPlatform) Place(size uint64) (uint64, error) { return size, nil }
func (p fuzzPlatform) MSIX(vector int) (uint64, uint32, virtio.Waiter, error) {
	return 0xfee00000, uint32(vector), virtiotest.NewLine(), nil
}

// FuzzConfiguration reads any configuration space and any structures: no panic,
// no endless loop.
func FuzzConfiguration(f *testing.F) {
	mem := virtiotest.NewMemory(f.Errorf)
	p := virtiotest.NewPCI(virtiotest.NewDevice(mem, 1, virtio.FeatureVersion1, make([]byte, 8), 8), true)
	f.Add(p.Space[:], make([]byte, 256))
	f.Add(bytes.Repeat([]byte{0xff}, 256), bytes.Repeat([]byte{0xff}, 256))
	f.Add(bytes.Repeat([]byte{0x40}, 256), []byte{})
	f.Fuzz(func(t *testing.T, config, memory []byte) {
		cfg, bar := make(space, 256), make(space, 256)
		copy(cfg, config)
		copy(bar, memory)
		tr, err := New(cfg, fuzzPlatform{bar})
		if err != nil {
			return
		}
		tr.Features()
		tr.Config().Read32(0)
		for i := range 3 {
			if n := tr.QueueLimit(i); n < 0 || n > 0xffff {
				t.Fatalf("queue %d: limit %d", i, n)
			}
			if bell, _, err := tr.StartQueue(virtio.QueueSetup{Index: i, Size: 8, Interrupts: i > 0}); err == nil {
				bell.Ring()
			}
		}
	})
}
