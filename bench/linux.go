package bench

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"pith/bench/lab"
	"pith/cache"
	"pith/machine/linuxvm"
)

// Linux is the tuned Linux guest: what the others are compared with.
type Linux struct {
	Label string        // what the report calls it; "" is "linux"
	Build linuxvm.Build // Program is the measured one
	Accel string        // QEMU's -accel; "" is the driver's default
	CPU   string        // QEMU's -cpu; "" is what suits the guest best
	Words []string      // further words of the kernel command line
	Args  []string      // of the program; no spaces or quotes
	Env   []string      // KEY=VALUE; no spaces or quotes

	guest *linuxvm.Guest
	hold  cache.Hold // of what the guest is made of, as long as this process lives
}

// Name is the label.
func (t *Linux) Name() string {
	if t.Label == "" {
		return "linux"
	}
	return t.Label
}

// Machine is true.
func (t *Linux) Machine() bool { return true }

// Prepare unpacks the kernel and makes the RAM disk.
func (t *Linux) Prepare(ctx context.Context) error {
	build := t.Build
	build.Hold = &t.hold
	guest, err := linuxvm.Prepare(ctx, build)
	t.guest = guest
	return err
}

// Shipped are the kernel, as the distribution ships it, and the RAM disk.
func (t *Linux) Shipped() []string { return []string{t.guest.Packed, t.guest.RAMDisk} }

// Start boots the guest on a tap device of its own.
func (t *Linux) Start(ctx context.Context, l *lab.Lab, s Shape) (Instance, error) {
	place, err := l.Tap(ctx, shortQueue)
	if err != nil {
		return nil, err
	}
	cpu := t.cpu()
	console := newTranscript(s, initStamp, programStamp, runtimeMark, servesMark)
	m, err := t.guest.Start(ctx, linuxvm.Options{
		Accel: t.Accel, CPU: cpu, CPUs: s.CPUs, Memory: s.Memory, Kernel: t.Words, Console: console, Args: t.Args, Env: traced(s, t.Env), Trace: s.Trace,
		Tap: place.Link, MAC: place.MAC, Addr: place.Addr, Gateway: place.Gateway,
	})
	if err != nil {
		return nil, errors.Join(err, l.Remove(ctx, place))
	}
	return &linuxInstance{Machine: m, lab: l, place: place, cpu: cpu, console: console}, nil
}

// cpu is the model that suits the guest best: a real CPU runs all of its
// instructions fast, the emulated one must be lean.
func (t *Linux) cpu() string {
	switch {
	case t.CPU != "":
		return t.CPU
	case t.Accel == "kvm":
		return "host"
	default:
		return linuxvm.DefaultCPU
	}
}

type linuxInstance struct {
	*linuxvm.Machine
	lab     *lab.Lab
	place   lab.Place
	cpu     string
	console *transcript
}

func (i *linuxInstance) Addr() netip.Addr   { return i.place.Addr.Addr() }
func (i *linuxInstance) Started() time.Time { return i.Machine.Started }
func (i *linuxInstance) Console() string    { return i.console.String() }

// Stages are by what init and the program print.
func (i *linuxInstance) Stages() []Stage {
	return i.console.stages(func(m *marks) []Stage { return linuxStages(m, i.Started()) })
}

func (i *linuxInstance) Facts() (Facts, error) {
	accel, err := i.Accelerator()
	return Facts{accel, i.cpu}, err
}

func (i *linuxInstance) Ready(ctx context.Context) error {
	return i.lab.Queue(ctx, i.place, serveQueue)
}

func (i *linuxInstance) Stop(ctx context.Context) error {
	return errors.Join(i.Machine.Stop(), i.lab.Remove(ctx, i.place))
}
