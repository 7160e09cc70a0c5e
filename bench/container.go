package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
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
	i := &containerInstance{lab: l, place: place, console: new(transcript), done: make(chan struct{})}
	if err := i.start(t, s); err != nil {
		return nil, errors.Join(err, i.tidy(ctx))
	}
	return i, nil
}

type containerInstance struct {
	running machine.Running
	lab     *lab.Lab
	place   lab.Place
	dir     string
	console *transcript
	started time.Time
	done    chan struct{}
}

func (i *containerInstance) start(t *Container, s Shape) (err error) {
	if i.dir, err = os.MkdirTemp("", "pith-bench-"); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	link := pith.Link{
		Network: "bridge:" + i.place.Bridge, MAC: i.place.MAC,
		Addrs: []netip.Prefix{i.place.Addr}, Gateway: []netip.Addr{i.place.Gateway},
	}
	spec := machine.Spec{
		Machine: pith.Machine{
			Name: fmt.Sprintf("bench%d", i.place.Addr.Addr().As4()[3]), Image: t.image, CPUs: s.CPUs, Memory: s.Memory,
			Args: t.Args, Env: t.Env, Files: t.Files, Links: []pith.Link{link},
		},
		Type: machine.TypeMicroVM, Kind: machine.KindContainer, Created: time.Now(),
	}
	driver := container.New(host.This())
	if err := driver.Check(spec); err != nil {
		return err
	}
	i.started = time.Now()
	i.running, err = driver.Start(machine.Launch{
		Spec:    spec,
		Cards:   []machine.Card{{Link: link, Wire: machine.Wire{Bridge: i.place.Bridge}}},
		Dir:     i.dir,
		Console: i.console,
		Notify:  func(machine.Message) {},
	})
	if err != nil {
		return err
	}
	go func() {
		if exit := i.running.Wait(); exit.Err != nil {
			fmt.Fprintf(i.console, "\n%v\n", exit.Err)
		}
		close(i.done)
	}()
	return nil
}

func (i *containerInstance) Addr() netip.Addr        { return i.place.Addr.Addr() }
func (i *containerInstance) Started() time.Time      { return i.started }
func (i *containerInstance) PID() int                { return i.running.Process().PID }
func (i *containerInstance) Done() <-chan struct{}   { return i.done }
func (i *containerInstance) Console() string         { return i.console.String() }
func (i *containerInstance) Facts() (Facts, error)   { return Facts{"none", "host"}, nil }
func (i *containerInstance) Threads() ([]int, error) { return threads(i.PID()) }

// Stop kills the container and takes away what was made for it.
func (i *containerInstance) Stop(ctx context.Context) error {
	if err := i.running.Kill(); err != nil {
		return errors.Join(err, i.tidy(ctx))
	}
	<-i.done
	return i.tidy(ctx)
}

func (i *containerInstance) tidy(ctx context.Context) error {
	return errors.Join(i.lab.Remove(ctx, i.place), os.RemoveAll(i.dir))
}
