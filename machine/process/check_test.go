package process

import (
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"pith"
	"pith/machine"
	"pith/machine/host"
)

// TestFolders: a folder is refused that nobody may not use, where the program is nobody, and
// a volume where the host can't mount it.
func TestFolders(t *testing.T) {
	folder := func(mode fs.FileMode, uid, gid uint32) *fstest.MapFile {
		return &fstest.MapFile{Mode: fs.ModeDir | mode, Sys: &syscall.Stat_t{Uid: uid, Gid: gid}}
	}
	h := host.Host{OS: "linux", Root: true, Files: fstest.MapFS{
		"open":   folder(0o777, 0, 0),
		"roots":  folder(0o755, 0, 0),
		"nobody": folder(0o700, Nobody, 0),
		"group":  folder(0o070, 0, Nobody),
		"closed": folder(0o700, 0, 0),
	}}
	for _, c := range []struct {
		mount pith.Mount
		want  string // "" is taken
	}{
		{pith.Mount{Volume: "data", Target: "/data"}, "this host has no loop devices, by which volume data is mounted for a process: modprobe loop"},
		{pith.Mount{Source: "/open", Target: "/data"}, ""},
		{pith.Mount{Source: "/nobody", Target: "/data"}, ""},
		{pith.Mount{Source: "/group", Target: "/data"}, ""},
		{pith.Mount{Source: "/roots", Target: "/data", ReadOnly: true}, ""},
		{pith.Mount{Source: "/roots", Target: "/data"}, "who may not write to /roots: chown 65534 /roots, or share it read-only"},
		{pith.Mount{Source: "/closed", Target: "/data", ReadOnly: true}, "who may not read /closed: chown 65534 /closed"},
	} {
		s := machine.Spec{Machine: pith.Machine{CPUs: 1, Mounts: []pith.Mount{c.mount}}}
		err := CheckShared(h, s, "process")
		if c.want == "" && err != nil || c.want != "" && (pith.ExitCode(err) != 2 || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v, want %q", c.mount, err, c.want)
		}
	}
	h.Root = false // the program is the user who starts it
	s := machine.Spec{Machine: pith.Machine{CPUs: 1, Mounts: []pith.Mount{{Source: "/closed", Target: "/data"}}}}
	if err := CheckShared(h, s, "process"); err != nil {
		t.Errorf("without root: %v", err)
	}
	s.Mounts[0] = pith.Mount{Volume: "data", Target: "/data"}
	if err := CheckShared(h, s, "process"); pith.ExitCode(err) != 2 || !strings.Contains(err.Error(), "volume data is a disk, which only root can mount for a process: use sudo, share a folder of the host, as in -v ./data:/data,") {
		t.Errorf("a volume without root: %v", err)
	}
	h.Root, h.Files = true, fstest.MapFS{"dev/loop-control": &fstest.MapFile{}}
	if err := CheckShared(h, s, "process"); err != nil {
		t.Errorf("a volume: %v", err)
	}
}
