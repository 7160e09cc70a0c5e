package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"pith"
	"pith/deploy"
	"pith/machine"
	"pith/manifest"
)

func (a *app) planCommand() *cobra.Command {
	var flags deploymentFlags
	var format string
	c := &cobra.Command{
		Use:   "plan [FILE|FOLDER]",
		Short: "Say what pith up would change",
		Long: `Plan builds the services' images and compares the manifest with what runs. It
changes nothing.`,
		Example: `  pith plan
  pith plan -o json ./examples/dmz`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			m, err := flags.readWith(args, check)
			if err != nil {
				return err
			}
			ctx, stop := interruptible(c.Context())
			defer stop()
			changes, err := a.plan(ctx, m)
			if err != nil {
				return err
			}
			if format == "json" {
				return a.out.json(append([]deploy.Change{}, changes...))
			}
			if len(changes) == 0 {
				fmt.Fprintf(a.out, "%s is as the manifest says\n", m.Name)
			}
			for _, change := range changes {
				fmt.Fprintln(a.out, change)
			}
			return nil
		},
	}
	flags.add(c)
	flags.addKind(c)
	flags.addName(c)
	c.Flags().StringVarP(&format, "output", "o", "text", "text or json")
	return c
}

func (a *app) plan(ctx context.Context, m *manifest.Manifest) ([]deploy.Change, error) {
	d, err := openDeployment(m.Name)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pith-plan-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	w, err := a.wants(ctx, m, d, dir, dir)
	if err != nil {
		return nil, err
	}
	return d.plan(w), nil
}

func (d *deployment) plan(w *deploy.Wanted) []deploy.Change {
	var changes []deploy.Change
	for _, v := range d.missingVolumes(w.Volumes) {
		changes = append(changes, deploy.Change{Action: deploy.Create, Kind: "volume", Name: v.Name, Detail: machine.FormatMemory(sizeOf(v))})
	}
	changes = append(changes, deploy.Plan(d.wanted, w, d.runs)...)
	if d.wanted != nil && len(changes) == 0 && !d.state.Keeper.Alive() {
		changes = append(changes, deploy.Change{Action: deploy.Start, Kind: "keeper", Name: d.name, Detail: "it doesn't run"})
	}
	return changes
}

func (a *app) upCommand() *cobra.Command {
	var flags deploymentFlags
	var limit time.Duration
	c := &cobra.Command{
		Use:   "up [FILE|FOLDER]",
		Short: "Start the services of a manifest, or bring them to what it says now",
		Long: `Up builds the services, makes their networks, starts the instances in the order
of what they need, and waits until all are healthy. What is right already is left
alone. When something fails, what it began is undone: a new deployment is gone
again, another one is as it was. The services run on in the background until pith
down; instances that end are started again as their restart policy says.

Networks of driver bridge are in a network namespace of the deployment's own, which
takes root.`,
		Example: `  pith up
  pith up ./examples/dmz
  pith up -f other.yaml --timeout 5m`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			m, err := flags.readWith(args, check)
			if err != nil {
				return err
			}
			ctx, stop := interruptible(c.Context())
			defer stop()
			return a.up(ctx, m, limit)
		},
	}
	flags.add(c)
	flags.addKind(c)
	flags.addName(c)
	c.Flags().DurationVar(&limit, "timeout", 2*time.Minute, "how long the services may take to be healthy")
	return c
}

func (a *app) up(ctx context.Context, m *manifest.Manifest, limit time.Duration) error {
	if limit <= 0 {
		return pith.Errorf("--timeout %s: the services need more time than none", limit)
	}
	d, err := openDeployment(m.Name)
	if err != nil {
		return err
	}
	unlock, err := d.folder.Lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := d.load(); err != nil {
		return err
	}
	before := d.wanted
	made, err := a.change(ctx, d, m, limit)
	if err == nil {
		return nil
	}
	return errors.Join(err, a.undo(d, before), d.removeVolumes(made))
}

// change brings a deployment to what the manifest says. It tells which volumes it
// made.
func (a *app) change(ctx context.Context, d *deployment, m *manifest.Manifest, limit time.Duration) (made []pith.Disk, err error) {
	if err := d.folder.Make(); err != nil {
		return nil, err
	}
	w, err := a.wants(ctx, m, d, d.folder.Images(), d.folder.Files())
	if err != nil {
		return nil, err
	}
	changes := d.plan(w)
	if len(changes) == 0 {
		d.prune()
		fmt.Fprintf(a.out, "%s is up: nothing to do\n", d.name)
		return nil, nil
	}
	for _, change := range changes {
		fmt.Fprintln(a.out, change)
	}
	if made, err = d.makeVolumes(w.Volumes); err != nil {
		return made, err
	}
	if err := d.aim(w); err != nil {
		return made, err
	}
	if err := a.awaitSettled(ctx, d, limit); err != nil {
		return made, err
	}
	d.prune()
	return made, nil
}

// awaitSettled waits until all instances are healthy, and tells of each.
func (a *app) awaitSettled(ctx context.Context, d *deployment, limit time.Duration) error {
	began, told := time.Now(), map[string]bool{}
	for {
		if err := d.load(); err != nil {
			return err
		}
		done, err := d.state.Settled(d.wanted)
		a.tell(d, told, began)
		switch {
		case err != nil || done:
			return err
		case !d.state.Keeper.Alive():
			return fmt.Errorf("the keeper of %s ended; its last words are in %s", d.name, d.folder.Log())
		case time.Since(began) > limit:
			return fmt.Errorf("%s is not healthy within %s: %s", d.name, limit, d.laggards())
		}
		select {
		case <-ctx.Done():
			return pith.Errorf("interrupted")
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// tell prints each instance that has become healthy.
func (a *app) tell(d *deployment, told map[string]bool, began time.Time) {
	if d.state.Generation != d.wanted.Generation {
		return
	}
	for _, i := range d.wanted.Instances {
		s := d.state.Instances[i.Name()]
		if told[i.Name()] || s.Status != deploy.Healthy && s.Status != deploy.Completed {
			continue
		}
		told[i.Name()] = true
		fmt.Fprintf(a.out, "%s %s", i.Name(), s.Status)
		if s.Since.After(began) {
			fmt.Fprintf(a.out, " after %.1f s", s.Since.Sub(began).Seconds())
		}
		for _, p := range s.Ports {
			fmt.Fprintf(a.out, ", %s", machine.URL(p))
		}
		fmt.Fprintln(a.out)
	}
}

// laggards names the instances that are not healthy.
func (d *deployment) laggards() string {
	text := ""
	for _, i := range d.wanted.Instances {
		s := d.state.Instances[i.Name()]
		if s.Status == deploy.Healthy || s.Status == deploy.Completed {
			continue
		}
		if text != "" {
			text += "; "
		}
		text += (&deploy.InstanceError{Name: i.Name(), State: s}).Error()
	}
	return text
}

// undoTime bounds how long it takes to be as before.
const undoTime = 2 * time.Minute

// undo brings the deployment back to what it was: gone, if it wasn't there.
func (a *app) undo(d *deployment, before *deploy.Wanted) error {
	ctx, cancel := context.WithTimeout(context.Background(), undoTime)
	defer cancel()
	if before == nil {
		return d.remove(ctx)
	}
	if d.wanted == nil || d.wanted.Generation == before.Generation {
		d.prune()
		return nil // nothing was begun
	}
	fmt.Fprintf(a.err, "%s goes back to what it was\n", d.name)
	if err := d.aim(before); err != nil {
		return err
	}
	if err := a.awaitSettled(ctx, d, undoTime); err != nil {
		return fmt.Errorf("go back to what was: %w", err)
	}
	d.prune()
	return nil
}
