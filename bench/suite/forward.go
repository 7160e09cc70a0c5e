package suite

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"pith"
	"pith/bench/forward"
	"pith/machine/host"
	"pith/machine/qemu"
)

// Forwards is how routers and firewalls are measured.
type Forwards struct {
	Services []string // of package forward
	Sizes    []int    // of packets, bytes
	Window   int      // packets under way while they are counted
	Time     time.Duration
	Repeat   int // how often; 0 is as often as everything
}

func (f Forwards) check() error {
	for _, name := range f.Services {
		if !slices.Contains(forward.Services, name) {
			return pith.Errorf("--service %s: there are %v", name, forward.Services)
		}
	}
	for _, size := range f.Sizes {
		if size < forward.LeastFrame || size > forward.LargestPacket {
			return pith.Errorf("--size %d: packets have %d to %d bytes", size, forward.LeastFrame, forward.LargestPacket)
		}
	}
	switch {
	case len(f.Services) == 0 || len(f.Sizes) == 0:
		return pith.Errorf("--service and --size: name at least one of each")
	case f.Window < 64 || f.Window > 4096:
		return pith.Errorf("--window %d: 64 to 4096 packets can be under way", f.Window)
	case f.Time < 200*time.Millisecond || f.Time > 10*time.Minute:
		return pith.Errorf("--time %v: it takes 200ms to 10m", f.Time)
	}
	return nil
}

// length is about how long one service takes.
func (f Forwards) length() time.Duration {
	return time.Duration(len(f.Sizes)) * f.Time * 22 / 10 // 1.2 for the rate, half for each delay
}

// forwards reports whether a kind is measured: a container forwards as a process
// does, by the host's kernel.
func (c *Config) forwards(machine string) bool {
	return machine != Container || !slices.Contains(c.Machines, Process)
}

// ForwardResult is what came through at one size.
type ForwardResult struct {
	Size, Window     int
	Sent, Through    int64
	Seconds, Rate    float64   // packets per second that came through
	Tenths           []float64 // the same, in each tenth of the time
	Timed, Lost      int64     // sent one by one
	P50, P99, Max    float64   // of how long they took, µs
	WireP50, WireP99 float64   // of the same without anything that forwards, µs
	Histogram        string    // HdrHistogram V2, compressed, nanoseconds
}

// Added is what the median packet takes longer because of what forwards, in µs.
func (r *ForwardResult) Added() float64 { return max(0, r.P50-r.WireP50) }

// forwarder is a way to forward.
type forwarder interface {
	Prepare(context.Context) error
	Start(context.Context, forward.Shape) (*forward.Path, error)
}

// forwarder is a service as a machine of a kind.
func (k *Kit) forwarder(service, kind string) (forwarder, error) {
	switch kind {
	case Unikernel:
		return &forward.Unikernel{Service: service, Image: k.path(service + ".img")}, nil
	case LinuxVM:
		accel, err := qemu.ChooseAccel(host.This())
		return &forward.Linux{Service: service, Program: k.path(guestProgram), Dir: k.Dir, Accel: accel.Kind}, err
	default:
		return forward.Host{Service: service}, nil
	}
}

// forward measures one service in one kind of machine.
func (s *suite) forward(ctx context.Context, j job) (end End, err error) {
	w, err := s.kit.forwarder(j.Part, j.Machine)
	if err != nil {
		return end, err
	}
	if err := w.Prepare(ctx); err != nil {
		return end, err
	}
	p, err := w.Start(ctx, forward.Shape{CPUs: s.CPUs, Memory: s.Memory})
	if err != nil {
		return end, err
	}
	defer func() { err = errors.Join(err, p.Stop(context.WithoutCancel(ctx))) }()
	end.Accelerator, end.CPU = p.Accelerator, p.CPU
	if err := s.meter(ctx, j, p); err != nil {
		return end, fmt.Errorf("%w%s", err, p.Said())
	}
	return end, nil
}

// meter measures all sizes, until what forwards ends.
func (s *suite) meter(ctx context.Context, j job, p *forward.Path) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-p.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	m, err := forward.NewMeter()
	if err != nil {
		return err
	}
	defer m.Close()
	patient, stop := context.WithTimeout(ctx, patience)
	defer stop()
	if err := m.Await(patient); err != nil {
		return err
	}
	for _, size := range s.Forward.Sizes {
		r, err := s.size(ctx, m, size)
		if err != nil {
			return err
		}
		if err := s.book.add(j, Record{Forward: r}); err != nil {
			return err
		}
		s.say("  %d bytes: %.0f packets/s, %.1f µs each (%.1f µs more than the wire)", size, r.Rate, r.P50, r.Added())
	}
	return nil
}

func (s *suite) size(ctx context.Context, m *forward.Meter, size int) (*ForwardResult, error) {
	f, err := m.Rate(ctx, size, s.Forward.Window, s.Forward.Time)
	if err != nil {
		return nil, err
	}
	d, err := m.Delay(ctx, size, s.Forward.Time/2)
	if err != nil {
		return nil, err
	}
	wire, err := forward.Wire(ctx, size, s.Forward.Time/2)
	if err != nil {
		return nil, err
	}
	packed, err := d.Latency.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return nil, err
	}
	return &ForwardResult{
		Size: size, Window: s.Forward.Window, Sent: f.Sent, Through: f.Through, Seconds: f.Length.Seconds(), Rate: f.Rate(), Tenths: f.Tenths,
		Timed: d.Sent, Lost: d.Lost, P50: d.Microseconds(50), P99: d.Microseconds(99), Max: d.Microseconds(100),
		WireP50: wire.Microseconds(50), WireP99: wire.Microseconds(99), Histogram: base64.StdEncoding.EncodeToString(packed),
	}, nil
}

// Quantities of forwarding.
func forwardRate(part string, size int) Quantity {
	return Quantity{fmt.Sprintf("%s, %d bytes, forwarded", part, size), "packets/s", true}
}

func forwardAdded(part string, size int) Quantity {
	return Quantity{fmt.Sprintf("%s, %d bytes, added latency p50", part, size), "µs", false}
}
