package machinetest

import (
	"errors"
	"testing"

	"pith"
	"pith/ext4"
	"pith/machine"
	"pith/machine/volume"
)

// volume: what a program has synced on a volume is there for the next machine, also when
// the first one was killed. Nobody else gets the volume meanwhile, all do afterwards, and
// its file system is sound.
func (s Suite) volume(t *testing.T) {
	mount := pith.Mount{Volume: "kept", Target: "/data"}
	if err := s.Driver.Check(machine.Spec{Machine: pith.Machine{
		CPUs: s.CPUs, Memory: machine.DefaultMemory, Mounts: []pith.Mount{mount},
	}}); err != nil {
		t.Skip(err)
	}
	store := volume.OpenStore(t.TempDir())
	if err := store.Create(mount.Volume, ext4.MinSize); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ before, line string }{{"", "one "}, {"one ", "two "}} {
		use(t, store, mount, func(disk machine.Disk) {
			m := s.startOn(t, disk, mount, "keep", "/data/file", x.line)
			m.says("kept " + `"` + x.before + `"`)
			m.says("own: true")
			m.says("deaf")
			if _, err := store.Open(mount.Volume, true); err == nil {
				t.Error("another machine may have the volume at the same time")
			}
			if err := m.entry.Remote().Kill(); err != nil {
				t.Error(err)
			}
			m.wait()
		})
	}
	mount.ReadOnly = true
	use(t, store, mount, func(disk machine.Disk) {
		m := s.startOn(t, disk, mount, "spoil", "/data/file")
		if exit := m.wait(); exit.Code != 0 || exit.Err != nil {
			t.Errorf("exit = %+v", exit)
		}
		m.says(`found "one two ", spoiling: true`)
	})
}

// startOn starts the guest with a volume.
func (s Suite) startOn(t *testing.T, disk machine.Disk, mount pith.Mount, args ...string) *trial {
	t.Helper()
	set := func(spec *machine.Spec) { spec.Mounts = []pith.Mount{mount} }
	return s.startAll(t, nil, []machine.Disk{disk}, set, nil, args...)
}

// use locks a volume as pith does while f runs, and checks it afterwards.
func use(t *testing.T, store *volume.Store, mount pith.Mount, f func(machine.Disk)) {
	t.Helper()
	v, err := store.Use(mount)
	if err != nil {
		t.Fatal(err)
	}
	f(machine.Disk{Path: v.Path, File: v.File(), Serial: "pith-0", ReadOnly: mount.ReadOnly})
	v.Close()
	if v, err = store.Use(pith.Mount{Volume: mount.Volume, ReadOnly: true}); err != nil {
		t.Fatalf("the volume after the machine's end: %v", err) // this one replays the journal
	}
	problems, err := v.Check()
	for _, p := range problems {
		t.Error(p)
	}
	if err := errors.Join(err, v.Close()); err != nil {
		t.Error(err)
	}
}
