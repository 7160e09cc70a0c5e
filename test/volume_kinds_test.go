package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pith/machine"
	"pith/machine/process"
)

// TestFolderOfKinds: machines on the host's own kernel share a folder of it that nobody
// may use; what one writes is there on the host and for the next one, and no mount is
// left.
func TestFolderOfKinds(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("containers take root, and the folder is given to user nobody")
	}
	for _, kind := range []string{machine.KindProcess, machine.KindContainer} {
		t.Run(kind, func(t *testing.T) {
			newDeployment(t, "none", kind) // skips where the kind can't be had
			dir := filepath.Join(t.TempDir(), "shared")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			run(t, "--machine", kind, "-v", dir+":/data", "./guest").expect(t, 2, "who may not read "+dir)
			run(t, "--machine", kind, "-v", "data:/data", "./guest").expect(t, 2, "volume data is a disk, which a "+kind+" can't mount")
			if err := os.Chown(dir, process.Nobody, -1); err != nil {
				t.Fatal(err)
			}
			use := []string{"--machine", kind, "--net", "none", "-v"}
			runWithin(t, kindPatience, append(use, dir+":/data", "./guest", "--", "volume")...).expect(t, 0, `found "", missing true`, "read-only false")
			text, err := os.ReadFile(filepath.Join(dir, "dir/file"))
			if err != nil || string(text) != "WORD " {
				t.Errorf("on the host: %q, %v", text, err)
			}
			runWithin(t, kindPatience, append(use, dir+":/data:ro", "./guest", "--", "volume", "look")...).expect(t, 0, `found "WORD "`, "read-only true")
			mounts, err := os.ReadFile("/proc/self/mountinfo")
			if err != nil || strings.Contains(string(mounts), dir) {
				t.Errorf("a mount is left on the host: %v\n%s", err, mounts)
			}
		})
	}
}

// TestVolumeOfLinuxVM: a Linux machine mounts the same volumes as a unikernel.
func TestVolumeOfLinuxVM(t *testing.T) {
	newDeployment(t, "none", machine.KindLinuxVM) // skips where the kind can't be had
	tool(t, "volume", "create", "linux", "--size", "64M")
	runWithin(t, kindPatience, "--machine", machine.KindLinuxVM, "--net", "none", "-v", "linux:/data", "./guest", "--", "volume").expect(t, 0, `found "", missing true`, "read-only false", "type 0xef53")
	run(t, "-v", "linux:/data", guest, "--", "volume", "look").expect(t, 0, `found "WORD "`)
	if out := tool(t, "volume", "check", "linux"); !strings.Contains(out, "linux is sound") {
		t.Error(out)
	}
}
