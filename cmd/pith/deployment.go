package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"pith"
	"pith/deploy"
	"pith/image"
	"pith/machine"
	"pith/machine/host"
	"pith/manifest"
	"pith/network"
)

// deploymentFlags say which deployment a command is about.
type deploymentFlags struct {
	file    string
	kind    string
	instead string // of the manifest's name
}

func (f *deploymentFlags) add(c *cobra.Command) {
	c.Flags().StringVarP(&f.file, "file", "f", "", "the manifest (default: pith.yaml in the current folder)")
}

func (f *deploymentFlags) addName(c *cobra.Command) {
	c.Flags().StringVar(&f.instead, "name", "", "the deployment's name (default: the manifest's)")
}

func (f *deploymentFlags) addKind(c *cobra.Command) {
	c.Flags().StringVar(&f.kind, "machine", "", "what all instances are, whatever the manifest says: unikernel, process, container or linuxvm")
}

// read reads the deployment's manifest.
func (f *deploymentFlags) read(args []string) (*manifest.Manifest, error) {
	return f.readWith(args, func(*manifest.Manifest) error { return nil })
}

// readWith is read with more checks, of which the mistakes stand in the same report.
func (f *deploymentFlags) readWith(args []string, more func(*manifest.Manifest) error) (*manifest.Manifest, error) {
	path := f.file
	if len(args) > 0 {
		if path != "" {
			return nil, pith.Errorf("-f %s and %s name two manifests: leave one out", path, args[0])
		}
		path = args[0]
	}
	if f.kind != "" && !slices.Contains(pith.MachineKinds, pith.MachineKind(f.kind)) {
		return nil, pith.Errorf("--machine %s: there are %v", f.kind, pith.MachineKinds)
	}
	return readManifestWith(cmp.Or(path, "."), func(m *manifest.Manifest) error {
		if m.Single {
			return pith.Errorf("%s describes one program, which `pith run` starts; a deployment has services", m.File)
		}
		m.Name = cmp.Or(f.instead, m.Name)
		if err := machine.CheckName(m.Name); err != nil {
			return err
		}
		for i := range m.Services {
			m.Services[i].Kind = cmp.Or(pith.MachineKind(f.kind), m.Services[i].Kind)
		}
		deploy.Assign(&m.Topology)
		return more(m)
	})
}

// deployment is one deployment on this host.
type deployment struct {
	name   string
	home   string // the folder of machines
	store  *machine.Store
	folder deploy.Folder
	wanted *deploy.Wanted // nil where it isn't up
	state  deploy.State
}

// openDeployment looks a deployment up, which need not be there.
func openDeployment(name string) (*deployment, error) {
	home, err := machine.DefaultDir(os.Getenv)
	if err != nil {
		return nil, err
	}
	d := &deployment{name: name, home: home, store: machine.OpenStore(home), folder: deploy.OpenFolder(home, name)}
	return d, d.load()
}

func (d *deployment) load() (err error) {
	if d.wanted, err = d.folder.Wanted(); err != nil {
		return err
	}
	d.state, err = d.folder.State()
	return err
}

// ours tells whether the deployment itself has a port of the host.
func (d *deployment) ours(p pith.Port) bool {
	if d.wanted == nil {
		return false
	}
	for _, i := range d.wanted.Instances {
		if slices.Contains(i.Ports, p) || slices.Contains(i.Spec.Ports, p) {
			return true
		}
	}
	return false
}

// runs tells whether an instance is as it should be, or will be by itself.
func (d *deployment) runs(i deploy.Instance) bool {
	status := d.state.Instances[i.Name()].Status
	if d.state.Keeper.Alive() || status == deploy.Completed {
		return status != deploy.Failed
	}
	e, err := d.store.Find(i.Name())
	return err == nil && e.State().Status == machine.StatusRunning
}

// wants makes what is wanted of a manifest, with images and files that are copied
// into folders under names that follow from their contents.
func (a *app) wants(ctx context.Context, m *manifest.Manifest, d *deployment, images, files string) (*deploy.Wanted, error) {
	r := deploy.Resolver{Order: m.Order(), Images: map[string]*pith.Image{}, UserLink: userLink, Files: files, Before: d.wanted}
	for _, s := range r.Order {
		img, err := a.serviceImage(ctx, m, s)
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", s.Name, err)
		}
		if r.Images[s.Name], err = keepImage(img, s.Name, images); err != nil {
			return nil, err
		}
	}
	w, err := r.Resolve(m.Topology)
	if err != nil {
		return nil, err
	}
	var refused []error
	for _, i := range w.Instances {
		if err := driverOf(i.Spec.Kind, host.This()).Check(i.Spec); err != nil {
			refused = append(refused, fmt.Errorf("service %s: %w", i.Service, err))
		}
	}
	return w, errors.Join(refused...)
}

// serviceImage builds a service's image, or opens the one that it names.
func (a *app) serviceImage(ctx context.Context, m *manifest.Manifest, s *pith.Service) (*pith.Image, error) {
	open, build := image.Open, image.Build
	if machine.Hosted(string(s.Kind)) {
		open, build = image.OpenHosted, image.BuildHosted
	}
	if s.Image != "" {
		return open(s.Image)
	}
	p := newProgress(a.err)
	defer p.done()
	return build(ctx, image.Options{
		Hold: &a.hold,
		Dir:  filepath.Dir(m.File), What: s.Build, Stack: s.Stack, Files: s.Files, Strip: true, Override: s.Override,
		Progress: func(step string) { p.update(s.Name + ": " + step) },
	})
}

// keepImage copies an image into a folder.
func keepImage(img *pith.Image, service, folder string) (*pith.Image, error) {
	data, err := os.ReadFile(img.Path)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	kept := *img
	kept.Path = filepath.Join(folder, service+"-"+hex.EncodeToString(sum[:8])+".img")
	if _, err := os.Stat(kept.Path); err == nil {
		return &kept, nil
	}
	if err := os.WriteFile(kept.Path+".tmp", data, 0o755); err != nil {
		os.Remove(kept.Path + ".tmp")
		return nil, err
	}
	return &kept, os.Rename(kept.Path+".tmp", kept.Path)
}

// prune removes the copies of images and files that nothing wanted uses.
func (d *deployment) prune() {
	used := map[string]bool{}
	for _, i := range d.wanted.Instances {
		used[i.Spec.Image.Path] = true
		for _, f := range i.Spec.Files {
			used[f.Source] = true
		}
	}
	for _, folder := range []string{d.folder.Images(), d.folder.Files()} {
		copies, _ := filepath.Glob(filepath.Join(folder, "*"))
		for _, c := range copies {
			if !used[c] {
				os.RemoveAll(c)
			}
		}
	}
}

// aim makes something wanted, and its networks; the keeper follows.
func (d *deployment) aim(w *deploy.Wanted) error {
	if d.wanted != nil {
		w.Generation = d.wanted.Generation + 1
	}
	if _, err := makeLab(w); err != nil {
		return err
	}
	if err := d.folder.SetWanted(w); err != nil {
		return err
	}
	d.wanted = w
	if d.state.Keeper.Alive() {
		return syscall.Kill(d.state.Keeper.PID, syscall.SIGHUP)
	}
	return d.startKeeper()
}

// makeLab makes a deployment's networks; none where it has none of its own.
func makeLab(w *deploy.Wanted) (*network.Lab, error) {
	if !slices.ContainsFunc(w.Instances, deploy.Instance.Lab) && network.FindLab(w.Name) == nil {
		return nil, nil
	}
	return network.MakeLab(w.Name, w.Networks)
}

func (d *deployment) startKeeper() error {
	log, err := os.OpenFile(d.folder.Log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	return background{
		name: "the keeper of " + d.name,
		args: []string{"keep", "--" + reportFlag, d.name},
		home: d.home, log: log,
	}.start()
}

// stopKeeper ends the keeper; the machines run on.
func (d *deployment) stopKeeper() error {
	keeper := d.state.Keeper
	if !keeper.Alive() {
		return nil
	}
	if err := syscall.Kill(keeper.PID, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("end the keeper of %s: %w", d.name, err)
	}
	for range 200 {
		if !keeper.Alive() {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return keeper.Kill()
}

// remove takes all of the deployment away, also what is left of one that failed.
func (d *deployment) remove(ctx context.Context) error {
	if err := d.load(); err != nil {
		return err
	}
	if err := d.stopKeeper(); err != nil {
		return err
	}
	if err := d.endMachines(ctx); err != nil {
		return err
	}
	if lab := network.FindLab(d.name); lab != nil {
		if err := lab.Remove(); err != nil {
			return err
		}
	}
	return d.folder.Remove()
}

// endMachines ends all machines, those that others need last.
func (d *deployment) endMachines(ctx context.Context) error {
	settle(d.store, host.This())
	machines, err := deploy.Machines(d.store, d.name)
	if err != nil {
		return err
	}
	place := func(e *machine.Entry) int {
		if d.wanted == nil {
			return -1
		}
		return slices.IndexFunc(d.wanted.Instances, func(i deploy.Instance) bool { return i.Name() == e.Spec.Name })
	}
	slices.SortStableFunc(machines, func(x, y *machine.Entry) int { return place(y) - place(x) })
	for _, e := range machines {
		if err := deploy.EndMachine(ctx, e); err != nil {
			return fmt.Errorf("end %s: %w", e.Spec.Name, err)
		}
	}
	return nil
}
