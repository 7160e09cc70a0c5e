package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func volumePath(name string) string {
	return filepath.Join(os.Getenv("PITH_STATE"), "_volumes", name+".img")
}

// TestVolume: what one machine writes the next one finds, on both boards.
func TestVolume(t *testing.T) {
	tool(t, "volume", "create", "kept", "--size", "64M")
	run(t, "-v", "kept:/data", guest, "--", "volume").expect(t, 0, `found "", missing true`, "read-only false", "type 0xef53, size 64 MiB")
	run(t, "-v", "kept:/data", "--machine-type", "q35", guest, "--", "volume").expect(t, 0, `found "WORD "`, "read-only false")
	run(t, "-v", "kept:/data:ro", guest, "--", "volume", "look").expect(t, 0, `found "WORD word "`, "read-only true")
	if out := tool(t, "volume", "check", "kept"); !strings.Contains(out, "kept is sound") {
		t.Error(out)
	}
	if path, err := exec.LookPath("e2fsck"); err == nil {
		if out, err := exec.Command(path, "-f", "-n", volumePath("kept")).CombinedOutput(); err != nil {
			t.Errorf("e2fsck: %v\n%s", err, out)
		}
	}
}

// TestVolumeRefused: each with its sentence, and exit code 2.
func TestVolumeRefused(t *testing.T) {
	run(t, "-v", "./x:/data", guest, "--", "volume").expect(t, 2, "is a folder of the host")
	run(t, "-v", "x", guest, "--", "volume").expect(t, 2, "write NAME:/FOLDER")
	tool(t, "volume", "create", "wrong", "--size", "64M")
	if err := os.WriteFile(volumePath("wrong"), make([]byte, 64<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "-v", "wrong:/data", guest, "--", "volume").expect(t, 2, "volume wrong can't be used: it holds no ext4 file system")

	writer := exec.Command(command, "run", "-d", "--name", "volume-writer", "-v", "busy:/data", guest, "--", "serve")
	if out, err := writer.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	defer tool(t, "rm", "-f", "volume-writer")
	run(t, "-v", "busy:/data", guest, "--", "volume").expect(t, 2, "volume busy is in use by another machine")
	out, err := exec.Command(command, "volume", "rm", "busy").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "in use") {
		t.Errorf("a volume in use is removed: %s", out)
	}
}
