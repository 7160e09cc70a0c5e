package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"pith"
	"pith/bench/lab"
	"pith/image"
	"pith/machine"
	"pith/machine/host"
	"pith/machine/qemu"
	"pith/network"
)

// Unikernel is the measured program as an image of Pith in QEMU.
type Unikernel struct {
	Label   string // what the report calls it; "" is "pith"
	Options image.Options
	Image   string // a file that was built before; "" builds Options
	Type    string // the board; "" is machine.TypeMicroVM
	Args    []string
	Env     []string
	Files   []pith.File

	image *pith.Image
}

// Name is the label.
func (t *Unikernel) Name() string {
	if t.Label == "" {
		return "pith"
	}
	return t.Label
}

// Machine is true.
func (t *Unikernel) Machine() bool { return true }

// Prepare builds the image, or opens it.
func (t *Unikernel) Prepare(ctx context.Context) error {
	if t.Type == "" {
		t.Type = machine.TypeMicroVM
	}
	var err error
	if t.Image != "" {
		t.image, err = image.Open(t.Image)
	} else {
		t.image, err = image.Build(ctx, t.Options)
	}
	return err
}

// Shipped is the image.
func (t *Unikernel) Shipped() []string { return []string{t.image.Path} }

// Start boots the image on a tap device of its own.
func (t *Unikernel) Start(ctx context.Context, l *lab.Lab, s Shape) (Instance, error) {
	place, err := l.Tap(ctx, shortQueue)
	if err != nil {
		return nil, err
	}
	i := &unikernelInstance{driven: newDriven(l, place, s)}
	if err := i.start(t, s); err != nil {
		return nil, errors.Join(err, i.tidy(ctx))
	}
	return i, nil
}

type unikernelInstance struct {
	*driven
	stamps stamps
}

func (i *unikernelInstance) start(t *Unikernel, s Shape) error {
	wire, err := network.Attach(network.Mode{Kind: network.Tap, Name: i.place.Link})
	if err != nil {
		return err
	}
	defer wire.Close()
	spec := machine.Spec{
		Machine: pith.Machine{
			Name: "bench", Image: t.image, CPUs: s.CPUs, Memory: s.Memory,
			Args: t.Args, Env: traced(s, t.Env), Files: t.Files,
		},
		Type: t.Type, Created: time.Now(), Trace: s.Trace,
	}
	if err := spec.Check(); err != nil {
		return err
	}
	return i.driven.start(qemu.New(host.This()), machine.Launch{
		Spec:   spec,
		Cards:  []machine.Card{{Link: i.link("lab"), Wire: machine.Wire{Tap: wire.Tap}}},
		Notify: i.stamps.notify,
	})
}

// Stages are the kernel's stamps, then the program's lines.
func (i *unikernelInstance) Stages() []Stage {
	kernel := i.stamps.stages(i.started)
	return append(kernel, i.driven.Stages()...)
}

func (i *unikernelInstance) Ready(ctx context.Context) error {
	return i.lab.Queue(ctx, i.place, serveQueue)
}

// inspector is what the QEMU driver offers beyond a machine.Running.
type inspector interface {
	Accelerator() (string, error)
	Threads() ([]int, error)
}

var errNoInspector = errors.New("bench: the driver can't be asked for its accelerator and threads")

func (i *unikernelInstance) Threads() ([]int, error) {
	q, ok := i.running.(inspector)
	if !ok {
		return nil, errNoInspector
	}
	return q.Threads()
}

func (i *unikernelInstance) Facts() (Facts, error) {
	q, ok := i.running.(inspector)
	if !ok {
		return Facts{}, errNoInspector
	}
	accel, err := q.Accelerator()
	if err != nil {
		return Facts{}, err
	}
	cpu, err := argument(i.PID(), "-cpu")
	return Facts{accel, cpu}, err
}

// argument is the value behind a flag on a process's command line.
func argument(pid int, flag string) (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return "", fmt.Errorf("bench: %w", err)
	}
	words := strings.Split(string(text), "\x00")
	for i, word := range words[:len(words)-1] {
		if word == flag {
			return words[i+1], nil
		}
	}
	return "", fmt.Errorf("bench: no %s on the command line of process %d", flag, pid)
}
