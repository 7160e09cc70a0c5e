package inet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pith/kernel/link"
)

// A link.Device over Linux's TAP, whose other end is in a network namespace of the test's own:
// there the stack meets Linux's.

const (
	tunSetIff     = 0x400454ca
	tunSetOffload = 0x400454d0
	tunHeaderSize = 0x400454d8
	vnetHeader    = 10
)

type tap struct {
	file     *os.File
	mac      [6]byte
	features link.Features
	pool     *link.Pool
	weather  weather

	mu     sync.Mutex
	random *rand.Rand
	held   *func() // lets a frame go that waits to be overtaken
	rx     []looped
	ready  chan struct{}
	closed chan struct{}
}

// weather is what happens to frames on their way, in both directions.
type weather struct {
	loss, duplicate, reorder, corrupt float64
	delay                             time.Duration
}

// namespace makes a network namespace with a TAP at 10.8.0.1/24 and fd08::1/64, and gives the
// other end of it. It skips the test where that isn't allowed.
func namespace(t testing.TB, features link.Features) (*tap, string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root for a network namespace")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs ip (iproute2)")
	}
	ns := fmt.Sprintf("pith-inet-%d-%d", os.Getpid(), time.Now().UnixNano()%1e6)
	if out, err := exec.Command("ip", "netns", "add", ns).CombinedOutput(); err != nil {
		t.Skipf("no network namespace: %v: %s", err, out)
	}
	t.Cleanup(func() { exec.Command("ip", "netns", "del", ns).Run() })
	d, err := openTap(fmt.Sprintf("pit%d", time.Now().UnixNano()%1e9), ns, features)
	if err != nil {
		t.Skipf("no TAP device: %v", err)
	}
	t.Cleanup(d.close)
	return d, ns
}

func openTap(name, ns string, features link.Features) (*tap, error) {
	fd, err := syscall.Open("/dev/net/tun", syscall.O_RDWR|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	const iffTap, iffNoPI, iffVnetHdr = 2, 0x1000, 0x4000
	var req [40]byte
	copy(req[:15], name)
	binary.LittleEndian.PutUint16(req[16:], iffTap|iffNoPI|iffVnetHdr)
	if err := ioctl(fd, tunSetIff, req[:]); err != nil {
		return nil, err
	}
	if err := ioctl(fd, tunHeaderSize, []byte{vnetHeader, 0, 0, 0}); err != nil {
		return nil, err
	}
	offload := uintptr(0)
	if features.RxChecksum {
		offload |= 1
	}
	if features.TSO4 {
		offload |= 2 | 4
	}
	if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), tunSetOffload, offload); e != 0 {
		return nil, e
	}
	if err := configureTap(name, ns); err != nil {
		return nil, err
	}
	d := &tap{
		file: os.NewFile(uintptr(fd), "tun"), mac: [6]byte{2, 0, 0, 0, 8, 2}, features: features,
		pool: link.NewPool(growHeap), random: rand.New(rand.NewSource(1)),
		ready: make(chan struct{}, 1), closed: make(chan struct{}),
	}
	go d.read()
	return d, nil
}

func configureTap(name, ns string) error {
	for _, line := range []string{
		"ip link set " + name + " netns " + ns,
		"ip -n " + ns + " link set lo up",
		"ip -n " + ns + " link set " + name + " name tap0",
		"ip -n " + ns + " addr add 10.8.0.1/24 dev tap0",
		"ip -n " + ns + " addr add fd08::1/64 dev tap0 nodad",
		"ip -n " + ns + " link set tap0 up",
	} {
		f := strings.Fields(line)
		if out, err := exec.Command(f[0], f[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", line, err, out)
		}
	}
	return nil
}

func (d *tap) close() {
	close(d.closed)
	d.file.Close()
}

// read moves frames from the descriptor to the queue.
func (d *tap) read() {
	buf := make([]byte, 70000)
	for {
		n, err := d.file.Read(buf)
		if err != nil {
			if errors.Is(err, os.ErrClosed) {
				return
			}
			return
		}
		f, o := d.decode(buf[:n])
		if f == nil {
			continue
		}
		d.through(looped{f, o}, d.arrive)
	}
}

// arrive queues a frame for the stack.
func (d *tap) arrive(p looped) {
	d.mu.Lock()
	if len(d.rx) < 4096 {
		d.rx = append(d.rx, p)
	} else {
		p.frame.Free()
	}
	d.mu.Unlock()
	post(d.ready)
}

// through lets the weather happen to a frame, and hands on what is left of it.
func (d *tap) through(p looped, on func(looped)) {
	w := &d.weather
	d.mu.Lock()
	chance := func(p float64) bool { return p > 0 && d.random.Float64() < p }
	lost, twice, hold, corrupt := chance(w.loss), chance(w.duplicate), chance(w.reorder), chance(w.corrupt)
	at := d.random.Intn(max(p.frame.Len-ethernetLen, 1))
	if corrupt && !p.offload.NeedsChecksum {
		p.frame.Bytes()[ethernetLen+at] ^= 4
		p.offload.ChecksumValid = false
	}
	late := d.held
	d.held = nil
	if hold && late == nil && !lost {
		release := func() { on(p) }
		d.held = &release
	}
	mine := d.held
	d.mu.Unlock()
	send := func(p looped) {
		if w.delay > 0 {
			time.AfterFunc(w.delay, func() { on(p) })
			return
		}
		on(p)
	}
	switch {
	case lost:
		p.frame.Free()
	case mine != nil:
		// Until the next one has passed, or for a while.
		time.AfterFunc(10*time.Millisecond, func() {
			d.mu.Lock()
			still := d.held == mine
			if still {
				d.held = nil
			}
			d.mu.Unlock()
			if still {
				(*mine)()
			}
		})
		return
	case twice:
		c := looped{d.copyOf(p.frame), p.offload}
		send(p)
		send(c)
	default:
		send(p)
	}
	if late != nil {
		(*late)()
	}
}

func (d *tap) copyOf(f *link.Buffer) *link.Buffer {
	c := d.pool.Get()
	copyChain(d, c, f, 0, chainLen(f))
	return c
}

func (d *tap) decode(b []byte) (*link.Buffer, link.Offload) {
	var o link.Offload
	if len(b) < vnetHeader+ethernetLen {
		return nil, o
	}
	h := b[:vnetHeader]
	o.NeedsChecksum = h[0]&1 != 0
	o.ChecksumValid = h[0]&2 != 0
	switch h[1] &^ 0x80 {
	case 1:
		o.Segmentation = link.SegmentTCP4
	case 4:
		o.Segmentation = link.SegmentTCP6
	}
	o.HeaderLen, o.SegmentSize = binary.LittleEndian.Uint16(h[2:]), binary.LittleEndian.Uint16(h[4:])
	o.ChecksumStart, o.ChecksumOffset = binary.LittleEndian.Uint16(h[6:]), binary.LittleEndian.Uint16(h[8:])
	f := d.pool.Get()
	appendBytes(d, f, b[vnetHeader:])
	return f, o
}

func (d *tap) HardwareAddr() [6]byte   { return d.mac }
func (d *tap) MTU() int                { return 1500 }
func (d *tap) Features() link.Features { return d.features }
func (d *tap) Queues() int             { return 1 }
func (d *tap) Alloc() *link.Buffer     { return d.pool.Get() }
func (d *tap) Flush(int)               {}

func (d *tap) Transmit(_ int, f *link.Buffer, o link.Offload) bool {
	d.through(looped{f, o}, d.write)
	return true
}

// write gives a frame to Linux.
func (d *tap) write(p looped) {
	f, o := p.frame, p.offload
	defer f.Free()
	var h [vnetHeader]byte
	if o.NeedsChecksum {
		h[0] = 1
	}
	switch o.Segmentation {
	case link.SegmentTCP4:
		h[1] = 1
	case link.SegmentTCP6:
		h[1] = 4
	}
	binary.LittleEndian.PutUint16(h[2:], o.HeaderLen)
	binary.LittleEndian.PutUint16(h[4:], o.SegmentSize)
	binary.LittleEndian.PutUint16(h[6:], o.ChecksumStart)
	binary.LittleEndian.PutUint16(h[8:], o.ChecksumOffset)
	out := bytes.NewBuffer(h[:])
	for b := f; b != nil; b = b.Next {
		out.Write(b.Bytes())
	}
	d.file.Write(out.Bytes()) // what Linux has no room for is lost
}

func (d *tap) Poll(_, budget int, deliver func(*link.Buffer, link.Offload)) int {
	d.mu.Lock()
	n := min(budget, len(d.rx))
	batch := d.rx[:n:n]
	d.rx = d.rx[n:]
	d.mu.Unlock()
	for _, p := range batch {
		deliver(p.frame, p.offload)
	}
	return n
}

func (d *tap) Wait(int) {
	select {
	case <-d.ready:
	case <-d.closed:
	}
}
