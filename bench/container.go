package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pith"
	"pith/bench/lab"
	"pith/image"
	"pith/machine"
	"pith/machine/container"
	"pith/machine/host"
)

// Container is the same executable in a container, as "pith run --machine
// container" starts it.
type Container struct {
	Label     string // what the report calls it; "" is "container"
	Program   string
	Args, Env []string
	Files     []pith.File

	image *pith.Image
}

// Name is the label.
func (t *Container) Name() string {
	if t.Label == "" {
		return machine.KindContainer
	}
	return t.Label
}

// Machine is false: it takes what it takes, as a process does.
func (t *Container) Machine() bool { return false }

// Prepare looks whether the program and the OCI runtime are there.
func (t *Container) Prepare(context.Context) (err error) {
	if t.image, err = image.OpenHosted(t.Program); err != nil {
		return err
	}
	_, err = container.New(host.This()).Find()
	return err
}

// Shipped is the program: the container's base is empty.
func (t *Container) Shipped() []string { return []string{t.Program} }

// Start starts the container on the lab's bridge.
func (t *Container) Start(ctx context.Context, l *lab.Lab, s Shape) (Instance, error) {
	place, err := l.Reserve(ctx)
	if err != nil {
		return nil, err
	}
	i := &containerInstance{driven: newDriven(l, place, s)}
	if err := i.start(t, s); err != nil {
		return nil, errors.Join(err, i.tidy(ctx))
	}
	return i, nil
}

type containerInstance struct {
	*driven
	begun time.Time // when runc had started the program
}

func (i *containerInstance) start(t *Container, s Shape) error {
	link := i.link("bridge:" + i.place.Bridge)
	spec := machine.Spec{
		Machine: pith.Machine{
			Name: fmt.Sprintf("bench%d", i.place.Addr.Addr().As4()[3]), Image: t.image, CPUs: s.CPUs, Memory: s.Memory,
			Args: t.Args, Env: traced(s, t.Env), Files: t.Files, Links: []pith.Link{link},
		},
		Type: machine.TypeMicroVM, Kind: machine.KindContainer, Created: time.Now(),
	}
	err := i.driven.start(container.New(host.This()), machine.Launch{
		Spec:  spec,
		Cards: []machine.Card{{Link: link, Wire: machine.Wire{Bridge: i.place.Bridge}}},
	})
	i.begun = time.Now()
	return err
}

// Stages are runc's part, then the program's lines.
func (i *containerInstance) Stages() []Stage {
	return append([]Stage{{StageVMM, i.begun.Sub(i.started)}}, i.driven.Stages()...)
}

func (i *containerInstance) Facts() (Facts, error)   { return Facts{"none", "host"}, nil }
func (i *containerInstance) Threads() ([]int, error) { return threads(i.PID()) }
