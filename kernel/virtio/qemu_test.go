package virtio_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pith/kernel/link"
	"pith/kernel/virtio"
	"pith/kernel/virtio/console"
	"pith/kernel/virtio/mmio"
	vnet "pith/kernel/virtio/net"
	"pith/kernel/virtio/pci"
	"pith/kernel/virtio/rng"
)

// These tests run the drivers, in this process, against the devices of a real
// QEMU whose CPU halts at its first instruction: registers are reached by QEMU's
// qtest protocol, memory is a file that both map. They are skipped where there is
// no QEMU.

const qemuRAM = 32 << 20

// qemu is a machine whose CPU does nothing.
type qemu struct {
	t   *testing.T
	ram []byte

	mu    sync.Mutex
	in    io.Writer
	out   *bufio.Reader
	freed int // first byte of RAM that is not in use
	bars  uint64

	messages int // MSI-X vectors given out
}

func startQEMU(t *testing.T, machine string, args ...string) *qemu {
	t.Helper()
	path, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		t.Skip("no qemu-system-x86_64")
	}
	firmware := make([]byte, 64<<10)
	copy(firmware[len(firmware)-16:], "\xfa\xf4\xeb\xfd") // reset vector: cli; hlt; and again
	bios, file := filepath.Join(t.TempDir(), "bios"), filepath.Join(t.TempDir(), "ram")
	if err := errors.Join(os.WriteFile(bios, firmware, 0o600), os.WriteFile(file, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, qemuRAM); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	q := &qemu{t: t, freed: 1 << 20, bars: 0xe0000000}
	q.ram, err = syscall.Mmap(int(f.Fd()), 0, qemuRAM, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	args = append([]string{
		"-accel", "tcg", "-bios", bios, "-qtest", "stdio", "-qtest-log", "none", "-display", "none", "-nodefaults", "-no-user-config",
		"-m", "32M", "-object", "memory-backend-file,id=ram,size=32M,share=on,mem-path=" + file,
		"-M", machine + ",memory-backend=ram",
	}, args...)
	cmd := exec.Command(path, args...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, _ := cmd.StdoutPipe()
	q.in, _ = cmd.StdinPipe()
	q.out = bufio.NewReader(out)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if s := complaints.String(); strings.Contains(s, "virtio") {
			t.Errorf("QEMU complains: %s", s)
		}
	})
	if _, err := q.try("readl 0"); err != nil {
		cmd.Wait()
		t.Fatalf("QEMU does not start: %v: %s", err, complaints.String())
	}
	return q
}

// try sends one command and returns the answer's value.
func (q *qemu) try(format string, args ...any) (uint64, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, err := fmt.Fprintf(q.in, format+"\n", args...); err != nil {
		return 0, err
	}
	for {
		line, err := q.out.ReadString('\n')
		if err != nil {
			return 0, err
		}
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "IRQ" {
			continue
		}
		if words[0] != "OK" {
			return 0, errors.New(line)
		}
		if len(words) == 1 {
			return 0, nil
		}
		return strconv.ParseUint(words[1], 0, 64)
	}
}

func (q *qemu) command(format string, args ...any) uint64 {
	v, err := q.try(format, args...)
	if err != nil {
		// The machine is gone, and so is what this goroutine works for.
		select {}
	}
	return v
}

// Alloc implements virtio.Memory.
func (q *qemu) Alloc(size int) ([]byte, uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	size = (size + 4095) &^ 4095
	if q.freed+size > qemuRAM {
		return nil, 0
	}
	at := q.freed
	q.freed += size
	return q.ram[at : at+size : at+size], uint64(at)
}

// space is registers at a physical address, or ports for configuration space.
type space struct {
	q    *qemu
	base uint64
}

func (s space) Read8(o uint32) uint8       { return uint8(s.q.command("readb %#x", s.base+uint64(o))) }
func (s space) Read16(o uint32) uint16     { return uint16(s.q.command("readw %#x", s.base+uint64(o))) }
func (s space) Read32(o uint32) uint32     { return uint32(s.q.command("readl %#x", s.base+uint64(o))) }
func (s space) Write8(o uint32, v uint8)   { s.q.command("writeb %#x %#x", s.base+uint64(o), v) }
func (s space) Write16(o uint32, v uint16) { s.q.command("writew %#x %#x", s.base+uint64(o), v) }
func (s space) Write32(o uint32, v uint32) { s.q.command("writel %#x %#x", s.base+uint64(o), v) }

// function is a PCI function's configuration space behind ports.
type function struct {
	q     *qemu
	where uint32
}

func (f function) port(o uint32) uint32 {
	f.q.command("outl 0xcf8 %#x", f.where|o&0xfc)
	return 0xcfc + o&3
}
func (f function) Read8(o uint32) uint8       { return uint8(f.q.command("inb %#x", f.port(o))) }
func (f function) Read16(o uint32) uint16     { return uint16(f.q.command("inw %#x", f.port(o))) }
func (f function) Read32(o uint32) uint32     { return uint32(f.q.command("inl %#x", f.port(o))) }
func (f function) Write8(o uint32, v uint8)   { f.q.command("outb %#x %#x", f.port(o), v) }
func (f function) Write16(o uint32, v uint16) { f.q.command("outw %#x %#x", f.port(o), v) }
func (f function) Write32(o uint32, v uint32) { f.q.command("outl %#x %#x", f.port(o), v) }

// Map implements pci.Platform.
func (q *qemu) Map(phys uint64, size uint32) (virtio.Registers, error) {
	return virtio.Window(space{q, phys}, 0, size), nil
}

// Place implements pci.Platform: no firmware has run.
func (q *qemu) Place(size uint64) (uint64, error) {
	at := (q.bars + size - 1) &^ (size - 1)
	q.bars = at + size
	return at, nil
}

// message is an interrupt: a word of memory that MSI-X writes to.
type message struct{ word *uint32 }

// MSIX implements pci.Platform.
func (q *qemu) MSIX(int) (uint64, uint32, virtio.Waiter, error) {
	virt, phys := q.Alloc(4)
	q.messages++
	return phys, 1, message{word32(virt)}, nil
}

func (m message) Wait() {
	for !atomic.CompareAndSwapUint32(m.word, 1, 0) {
		time.Sleep(50 * time.Microsecond)
	}
}

// line is a device's interrupt on MMIO: its status register, looked at often.
type line struct{ regs virtio.Registers }

func (l line) Wait() {
	for {
		if s := l.regs.Read32(mmio.InterruptStatus); s != 0 {
			l.regs.Write32(mmio.InterruptACK, s)
			return
		}
		time.Sleep(50 * time.Microsecond)
	}
}

// find returns the machine's device of a type.
func (q *qemu) find(typ uint32) virtio.Transport {
	q.t.Helper()
	for i := range 24 {
		regs := space{q, 0xfeb00000 + uint64(i)*mmio.Size}
		t, err := mmio.New(regs, line{regs})
		if err == nil && t.Type() == typ {
			return t
		}
		if err != nil && !errors.Is(err, mmio.ErrEmpty) && !errors.Is(err, mmio.ErrNotVirtio) {
			q.t.Fatal(err)
		}
	}
	var found virtio.Transport
	pci.Scan(func(bus, device, fn uint8) virtio.Registers {
		return function{q, 1<<31 | uint32(bus)<<16 | uint32(device)<<11 | uint32(fn)<<8}
	}, func(_, _, _ uint8, cfg virtio.Registers) {
		if pci.Type(cfg) != typ {
			return
		}
		t, err := pci.New(cfg, q)
		if err != nil {
			q.t.Fatal(err)
		}
		found = t
	})
	if found == nil {
		q.t.Fatalf("no device of type %d", typ)
	}
	return found
}

// onQEMU runs a test on both machines; suffix ends the names of devices.
func onQEMU(t *testing.T, devices func(suffix string) []string, run func(t *testing.T, q *qemu)) {
	t.Run("microvm", func(t *testing.T) {
		args := append([]string{"-global", "virtio-mmio.force-legacy=false"}, devices("device")...)
		run(t, startQEMU(t, "microvm", args...))
	})
	t.Run("q35", func(t *testing.T) { run(t, startQEMU(t, "q35", devices("pci")...)) })
}

func TestQEMULegacy(t *testing.T) {
	q := startQEMU(t, "microvm", "-device", "virtio-rng-device")
	legacy := 0
	for i := range 24 {
		regs := space{q, 0xfeb00000 + uint64(i)*mmio.Size}
		if _, err := mmio.New(regs, line{regs}); errors.Is(err, virtio.ErrLegacy) {
			legacy++
		}
	}
	if legacy == 0 {
		t.Error("no legacy device was refused")
	}
}

func TestQEMUEntropy(t *testing.T) {
	onQEMU(t, func(suffix string) []string { return []string{"-device", "virtio-rng-" + suffix} }, func(t *testing.T, q *qemu) {
		d, err := rng.New(q.find(virtio.TypeEntropy), q, func(err error) { t.Error(err) })
		if err != nil {
			t.Fatal(err)
		}
		var last []byte
		for _, n := range []int{1, 16, 600, 3000} {
			p := make([]byte, n)
			if got, err := d.Read(p); got != n || err != nil {
				t.Fatalf("read %d: %v", got, err)
			}
			if n >= 16 && (bytes.Equal(p[:16], last) || bytes.Equal(p[n-8:], make([]byte, 8))) {
				t.Errorf("not random: % x", p[:16])
			}
			last = p[:min(n, 16)]
		}
	})
}

func TestQEMUConsole(t *testing.T) {
	var dir string
	onQEMU(t, func(suffix string) []string {
		dir = t.TempDir()
		return []string{
			"-device", "virtio-serial-" + suffix,
			"-chardev", "socket,id=a,server=on,wait=off,path=" + filepath.Join(dir, "a"),
			"-chardev", "socket,id=b,server=on,wait=off,path=" + filepath.Join(dir, "b"),
			"-device", "virtconsole,chardev=a", "-device", "virtserialport,chardev=b,name=pith.control",
		}
	}, func(t *testing.T, q *qemu) {
		dial := func(name string) net.Conn {
			c, err := net.Dial("unix", filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			c.SetDeadline(time.Now().Add(20 * time.Second))
			t.Cleanup(func() { c.Close() })
			return c
		}
		a, b := dial("a"), dial("b")
		d, err := console.New(q.find(virtio.TypeConsole), q, console.Options{Report: func(err error) { t.Error(err) }})
		if err != nil {
			t.Fatal(err)
		}
		port := d.AwaitPort("pith.control")
		for _, x := range []struct {
			guest *console.Port
			host  net.Conn
			lines int
		}{
			// QEMU drops a virtconsole's output, but not a virtserialport's, when
			// its reader is slow: what fits in a socket must do for the former.
			{d.Console(), a, 500},
			{port, b, 5000},
		} {
			all := bytes.Repeat([]byte("all work and no play makes a dull boy\n"), x.lines)
			go x.host.Write(all)
			got := make([]byte, 0, len(all))
			for buf := make([]byte, 777); len(got) < len(all); {
				n, err := x.guest.Read(buf)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, buf[:n]...)
			}
			if !bytes.Equal(got, all) {
				t.Error("input is garbled")
			}
			go x.guest.Write(all)
			got = got[:len(all)]
			clear(got)
			if _, err := io.ReadFull(x.host, got); err != nil || !bytes.Equal(got, all) {
				t.Errorf("output is garbled: %v", err)
			}
		}
	})
}

// TestQEMUNet sends frames of all sizes both ways through a datagram socket.
func TestQEMUNet(t *testing.T) {
	var dir string
	for _, without := range []uint64{0, virtio.FeatureEventIdx, vnet.Mergeable | virtio.FeatureIndirect} {
		onQEMU(t, func(suffix string) []string {
			dir = t.TempDir()
			return []string{
				"-netdev", "dgram,id=n,local.type=unix,local.path=" + filepath.Join(dir, "card") +
					",remote.type=unix,remote.path=" + filepath.Join(dir, "wire"),
				"-device", "virtio-net-" + suffix + ",netdev=n,mac=52:54:00:12:34:56,host_mtu=1400",
			}
		}, func(t *testing.T, q *qemu) {
			wire, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "wire"), Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			defer wire.Close()
			wire.SetDeadline(time.Now().Add(30 * time.Second))
			d, err := vnet.New(q.find(virtio.TypeNet), q, vnet.Options{Without: without, Report: func(err error) { t.Error(err) }})
			if err != nil {
				t.Fatal(err)
			}
			if d.HardwareAddr() != [6]byte{0x52, 0x54, 0, 0x12, 0x34, 0x56} || d.MTU() != 1400 {
				t.Errorf("address %x, MTU %d", d.HardwareAddr(), d.MTU())
			}
			card := &net.UnixAddr{Name: filepath.Join(dir, "card"), Net: "unixgram"}
			most := 9000
			if without&vnet.Mergeable != 0 {
				most = 1500
			}
			exchange(t, d, wire, card, most)
			if err := d.Err(0); err != nil {
				t.Error(err)
			}
		})
	}
}

// exchange has each side send frames in bursts, which the other checks.
func exchange(t *testing.T, d *vnet.Device, wire *net.UnixConn, card *net.UnixAddr, most int) {
	const bursts, burst = 100, 8
	size := func(i int) int { return 60 + i*97%(most-60) }
	make1 := func(i int) []byte {
		b := bytes.Repeat([]byte{byte(i), byte(i >> 8)}, size(i)/2+1)[:size(i)]
		copy(b, "\x52\x54\x00\x12\x34\x56\x52\x54\x00\x12\x34\x57\x08\x00")
		return b
	}
	buf := make([]byte, 1<<16)
	sent, received := 0, 0
	for range bursts {
		for i := range burst {
			if !d.Transmit(0, chainOf(t, d, make1(sent+i)), link.Offload{}) {
				t.Fatalf("frame %d dropped: %+v", sent+i, d.Stats(0))
			}
		}
		d.Flush(0)
		for range burst {
			n, err := wire.Read(buf)
			if err != nil || !bytes.Equal(buf[:n], make1(sent)) {
				t.Fatalf("frame %d out: %d bytes, %v", sent, n, err)
			}
			sent++
		}
		for i := range burst {
			if _, err := wire.WriteToUnix(make1(received+i), card); err != nil {
				t.Fatal(err)
			}
		}
		for end := received + burst; received < end; {
			n := d.Poll(0, 64, func(f *link.Buffer, o link.Offload) {
				var got []byte
				for b := f; b != nil; b = b.Next {
					got = append(got, b.Bytes()...)
				}
				if !bytes.Equal(got, make1(received)) {
					t.Fatalf("frame %d in: %d bytes of %d", received, len(got), size(received))
				}
				received++
				f.Free()
			})
			if n == 0 {
				d.Wait(0)
			}
		}
	}
}

// chainOf copies a frame into buffers.
func chainOf(t *testing.T, d *vnet.Device, frame []byte) *link.Buffer {
	var head, last *link.Buffer
	for len(frame) > 0 {
		b := d.Alloc()
		if b == nil {
			t.Fatal("no buffer")
		}
		b.Len = copy(b.Data[b.Off:], frame)
		frame = frame[b.Len:]
		if head == nil {
			head = b
		} else {
			last.Next = b
		}
		last = b
	}
	return head
}
