package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"pith"
	"pith/machine"
	"pith/machine/host"
	"pith/machine/qemu"
)

func (a *app) devCommand() *cobra.Command {
	var flags runFlags
	c := &cobra.Command{
		Use:   "dev [flags] WHAT [-- ARGS]",
		Short: "Run a program, and replace it each time its sources are saved",
		Long: `Dev builds WHAT and runs it. When a file of its module is saved, it builds again: a
compile error is shown and the old machine stays; a new one takes over the
published ports once it listens at one of them, and the old one is asked to end
(SIGTERM) and killed when it has not ended after ten seconds. Connections that
the old machine still has are its own until then. One with a volume that it writes
to is ended before the new one starts. Only tcp ports can be published. Ctrl-C ends
it all.`,
		Example: `  pith dev -p 8080:80 ./examples/hello
  pith dev -p 8080:80 -v ./templates:/templates:ro ./cmd/shop   # edited without a rebuild`,
		Args: oneWhat,
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := interruptible(c.Context())
			defer stop()
			return a.develop(ctx, args, flags)
		},
	}
	flags.add(c.Flags())
	c.SetFlagErrorFunc(ownFlag)
	return c
}

// grace is how long a machine that was replaced may take to end.
const grace = 10 * time.Second

func (a *app) develop(ctx context.Context, args []string, flags runFlags) error {
	flags.remove = true
	spec, err := flags.spec(args)
	if err != nil {
		return err
	}
	folder, err := sourceFolder(args[0])
	if err != nil {
		return err
	}
	if spec.Ports, err = machine.FreePorts(spec.Ports); err != nil {
		return err
	}
	d := &developer{app: a, args: args, flags: flags}
	defer d.close()
	flags.ports = nil
	for _, port := range spec.Ports {
		f, err := openFront(port)
		if err != nil {
			return err
		}
		d.fronts = append(d.fronts, f)
		flags.ports = append(flags.ports, fmt.Sprintf("127.0.0.1:0:%d", port.Guest))
	}
	d.flags.ports = flags.ports
	saved, err := watch(ctx, folder)
	if err != nil {
		return err
	}
	for {
		if err := d.replace(ctx, saved); err != nil && ctx.Err() == nil {
			fmt.Fprintf(a.err, "%s %v\n", a.err.red("pith:"), err)
		}
		if _, more := <-saved; !more || ctx.Err() != nil {
			return nil
		}
	}
}

// developer is the machine that answers, and what takes its place.
type developer struct {
	app    *app
	args   []string
	flags  runFlags
	fronts []*front

	serial  int
	image   [sha256.Size]byte // of the newest machine
	current *generation
	ending  sync.WaitGroup
}

// generation is one machine.
type generation struct {
	supervisor *machine.Supervisor
	ended      chan struct{}
}

// replace builds, and starts a new machine if the image is another one. It returns
// when the new machine has taken over; one that has not when the next file is saved
// gives way to the next.
func (d *developer) replace(ctx context.Context, saved <-chan struct{}) error {
	img, err := d.app.resolve(ctx, d.args[0], d.flags.build)
	if err != nil {
		return err
	}
	hash, err := hashFile(img.Path)
	if err != nil || hash == d.image {
		return err
	}
	next, ready, err := d.start(ctx)
	if err != nil {
		return err
	}
	select {
	case <-ready:
		d.image = hash
	case <-saved: // also at the end
		d.ending.Go(next.end)
		if ctx.Err() != nil {
			return nil
		}
		return d.replace(ctx, saved)
	case <-next.ended:
		// It says itself why; the old one goes on where there is one.
		return errors.New("the new machine ended before it listened; the next save starts another")
	}
	old := d.current
	d.current = next
	if old != nil {
		d.ending.Go(old.end)
	}
	return nil
}

// start starts a machine. ready is closed when the fronts lead to it.
func (d *developer) start(ctx context.Context) (g *generation, ready chan struct{}, err error) {
	flags := d.flags
	d.serial++
	if flags.name != "" {
		flags.name = fmt.Sprintf("%s-%d", flags.name, d.serial)
	}
	entry, err := d.app.create(ctx, d.args, flags)
	if err != nil {
		return nil, nil, err
	}
	cards, unplug, err := plug(entry.Spec)
	if err != nil {
		return nil, nil, errors.Join(err, entry.Discard())
	}
	if ownsVolume(entry.Spec) {
		d.free()
	}
	disks, unlock, err := openVolumes(entry)
	if err != nil {
		unplug()
		return nil, nil, errors.Join(err, entry.Discard())
	}
	ready = make(chan struct{})
	takeOver := sync.OnceFunc(func() {
		for i, f := range d.fronts {
			f.lead(entry.Spec.Ports[i].Host)
		}
		close(ready)
	})
	g = &generation{ended: make(chan struct{})}
	g.supervisor = &machine.Supervisor{
		Entry: entry, Driver: qemu.New(host.This()), Cards: cards, Disks: disks, Output: d.app.out,
		Started: func() {
			unplug()
			if len(d.fronts) == 0 {
				takeOver()
			}
		},
		Ready: func(pith.Port) {
			takeOver()
			for _, f := range d.fronts {
				fmt.Fprintf(d.app.err, "%s: %s\n", d.app.err.bold(entry.Spec.Name), machine.URL(f.port))
			}
		},
	}
	go func() {
		defer close(g.ended)
		defer unlock()
		exit, err := g.supervisor.Run()
		if err == nil {
			err = exit.Err
		}
		if err != nil {
			fmt.Fprintf(d.app.err, "%s %v\n", d.app.err.red("pith:"), err)
		}
	}()
	return g, ready, nil
}

// ownsVolume reports whether a machine has a volume to itself.
func ownsVolume(s machine.Spec) bool {
	return slices.ContainsFunc(s.Mounts, func(m pith.Mount) bool { return m.Volume != "" && !m.ReadOnly })
}

// free ends all machines that there are, so that the next one can have their volumes.
func (d *developer) free() {
	if d.current != nil {
		d.current.end()
		d.current = nil
	}
	d.ending.Wait()
}

// end asks a machine to end, and kills it after the grace time.
func (g *generation) end() {
	g.supervisor.Signal(int(syscall.SIGTERM)) // one that has ended needs none
	select {
	case <-g.ended:
	case <-time.After(grace):
		g.supervisor.Kill()
		<-g.ended
	}
}

// close ends everything.
func (d *developer) close() {
	for _, f := range d.fronts {
		f.close()
	}
	if d.current != nil {
		d.current.end()
	}
	d.ending.Wait()
}

func hashFile(path string) (sum [sha256.Size]byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return sum, err
	}
	return [sha256.Size]byte(slices.Clone(h.Sum(nil))), nil
}
