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

// TestVolumeOfKinds: machines of all kinds mount the same volumes as a unikernel.
func TestVolumeOfKinds(t *testing.T) {
	for _, kind := range []string{machine.KindProcess, machine.KindContainer, machine.KindLinuxVM} {
		t.Run(kind, func(t *testing.T) {
			newDeployment(t, "none", kind) // skips where the kind can't be had
			if kind != machine.KindLinuxVM && os.Geteuid() != 0 {
				t.Skip("only root can mount a volume for a machine on the host's own kernel")
			}
			name := "of-" + kind
			tool(t, "volume", "create", name, "--size", "64M")
			defer tool(t, "volume", "rm", name)
			use := []string{"--machine", kind, "--net", "none", "-v"}
			runWithin(t, kindPatience, append(use, name+":/data", "./guest", "--", "volume")...).expect(t, 0, `found "", missing true`, "read-only false", "type 0xef53")
			run(t, "-v", name+":/data", guest, "--", "volume", "look").expect(t, 0, `found "WORD "`)
			run(t, "-v", name+":/data", guest, "--", "volume").expect(t, 0, `found "WORD "`)
			runWithin(t, kindPatience, append(use, name+":/data:ro", "./guest", "--", "volume", "look")...).expect(t, 0, `found "WORD word "`, "read-only true")
			if out := tool(t, "volume", "check", name); !strings.Contains(out, name+" is sound") {
				t.Error(out)
			}
		})
	}
}
