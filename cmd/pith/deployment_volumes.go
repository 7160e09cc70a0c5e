package main

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"pith"
	"pith/deploy"
	"pith/machine"
	"pith/machine/volume"
)

// sizeOf is a volume's size in bytes.
func sizeOf(v pith.Disk) int64 { return cmp.Or(v.Size, volume.DefaultSize) }

// missingVolumes are those that are not there yet.
func (d *deployment) missingVolumes(all []pith.Disk) (missing []pith.Disk) {
	store := volume.OpenStore(d.home)
	for _, v := range all {
		if _, err := store.Inspect(v.Name); err != nil {
			missing = append(missing, v)
		}
	}
	return missing
}

// makeVolumes makes those that are not there, and tells which.
func (d *deployment) makeVolumes(all []pith.Disk) (made []pith.Disk, err error) {
	store := volume.OpenStore(d.home)
	for _, v := range d.missingVolumes(all) {
		if v.Path != "" {
			err = store.Place(v.Name, v.Path, sizeOf(v))
		} else {
			err = store.Create(v.Name, sizeOf(v))
		}
		if err != nil {
			return made, err
		}
		made = append(made, v)
	}
	return made, nil
}

// removeVolumes removes volumes with all that is on them.
func (d *deployment) removeVolumes(list []pith.Disk) error {
	var errs []error
	for _, v := range list {
		errs = append(errs, volume.OpenStore(d.home).Remove(v.Name))
	}
	return errors.Join(errs...)
}

// downVolumes removes all volumes of the deployment if that is asked for.
func (d *deployment) downVolumes(asked bool) error {
	if !asked {
		return nil
	}
	list, err := volume.OpenStore(d.home).List()
	if err != nil {
		return err
	}
	var ours []pith.Disk
	for _, v := range list {
		if strings.HasPrefix(v.Name, deploy.VolumeName(d.name, "")) {
			ours = append(ours, pith.Disk{Name: v.Name})
		}
	}
	return d.removeVolumes(ours)
}

// checkVolumes refuses volumes that another machine uses, or that have another size
// than the file says, and host folders that can't be shared.
func (d *deployment) checkVolumes(t pith.Topology) error {
	store := volume.OpenStore(d.home)
	var errs []error
	for _, s := range t.Services {
		for _, m := range s.Mounts {
			errs = append(errs, volume.CheckFolder(m))
		}
	}
	for _, v := range t.Volumes {
		name := deploy.VolumeName(d.name, v.Name)
		if err := volume.CheckName(name); err != nil {
			errs = append(errs, err)
			continue
		}
		info, err := store.Inspect(name)
		if err != nil {
			continue // it is made
		}
		if v.Size != 0 && v.Size != info.Size {
			errs = append(errs, pith.Errorf("volume %s has %s, not %s: a volume keeps its size; copy what is on it into another one",
				name, machine.FormatMemory(info.Size), machine.FormatMemory(v.Size)))
		}
		if user := d.stranger(name); user != "" {
			errs = append(errs, pith.Errorf("volume %s is in use by machine %s: stop that first (`pith stop %[2]s`)", name, user))
		}
	}
	return errors.Join(errs...)
}

// stranger is a running machine, not of the deployment, that uses a volume; "" where
// there is none.
func (d *deployment) stranger(name string) string {
	all, err := d.store.List()
	if err != nil {
		return ""
	}
	for _, e := range all {
		uses := slices.ContainsFunc(e.Spec.Mounts, func(m pith.Mount) bool { return m.Volume == name })
		if uses && e.Spec.Deployment != d.name && e.State().Status == machine.StatusRunning {
			return e.Spec.Name
		}
	}
	return ""
}
