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
	"pith/machine"
)

// driven is an instance that a machine driver runs.
type driven struct {
	lab     *lab.Lab
	place   lab.Place
	console *transcript
	running machine.Running
	dir     string
	started time.Time
	done    chan struct{}
}

func newDriven(l *lab.Lab, place lab.Place, s Shape) *driven {
	return &driven{lab: l, place: place, console: newTranscript(s, runtimeMark, servesMark), done: make(chan struct{})}
}

// link is the instance's card.
func (i *driven) link(network string) pith.Link {
	return pith.Link{
		Network: network, MAC: i.place.MAC,
		Addrs: []netip.Prefix{i.place.Addr}, Gateway: []netip.Addr{i.place.Gateway},
	}
}

// start starts what l describes, with the clock running from just before.
func (i *driven) start(driver machine.Driver, l machine.Launch) (err error) {
	if i.dir, err = os.MkdirTemp("", "pith-bench-"); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	defer func() {
		if err != nil {
			os.RemoveAll(i.dir)
		}
	}()
	l.Dir, l.Console = i.dir, i.console
	if l.Notify == nil {
		l.Notify = func(machine.Message) {}
	}
	if err := driver.Check(l.Spec); err != nil {
		return err
	}
	i.started = time.Now()
	if i.running, err = driver.Start(l); err != nil {
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

func (i *driven) Addr() netip.Addr      { return i.place.Addr.Addr() }
func (i *driven) Started() time.Time    { return i.started }
func (i *driven) PID() int              { return i.running.Process().PID }
func (i *driven) Done() <-chan struct{} { return i.done }
func (i *driven) Console() string       { return i.console.String() }

// Stages are those that the program's lines tell.
func (i *driven) Stages() []Stage {
	return i.console.stages(func(m *marks) []Stage { return m.stages(i.started, StageRuntime, StageMain) })
}

// Stop kills the instance and takes away what was made for it.
func (i *driven) Stop(ctx context.Context) error {
	if err := i.running.Kill(); err != nil {
		return errors.Join(err, i.tidy(ctx))
	}
	<-i.done
	return i.tidy(ctx)
}

func (i *driven) tidy(ctx context.Context) error {
	return errors.Join(i.lab.Remove(ctx, i.place), os.RemoveAll(i.dir))
}
