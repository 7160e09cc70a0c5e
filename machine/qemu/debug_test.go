package qemu

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pith"
	"pith/machine"
)

func TestGDBScript(t *testing.T) {
	s := machine.Spec{Machine: pith.Machine{Image: &pith.Image{Path: "/i.img", Symbols: `/a "b"/i.elf`}}, Paused: true}
	script := gdbScript(s, "/tmp/x/gdb.sock", "/tmp/x/pith.py", nil)
	for _, line := range []string{`symbol-file "/a \"b\"/i.elf"`, "source /tmp/x/pith.py", "target remote /tmp/x/gdb.sock"} {
		if !strings.Contains(script, line+"\n") {
			t.Errorf("%q is missing in:\n%s", line, script)
		}
	}
	s.Image.Symbols, s.Paused = "", false
	if script = gdbScript(s, "", "", nil); !strings.Contains(script, `symbol-file "/i.img"`) || strings.Contains(script, "hbreak") {
		t.Errorf("an image with symbols in itself:\n%s", script)
	}
}

// TestGDBLoadsTheCommands: gdb takes the start script's commands file.
func TestGDBLoadsTheCommands(t *testing.T) {
	gdb, err := exec.LookPath("gdb")
	if err != nil {
		t.Skip("gdb is not installed")
	}
	dir := t.TempDir()
	s := machine.Spec{Machine: pith.Machine{Image: &pith.Image{Path: os.Args[0]}}}
	if _, err := WriteGDB(dir, s, "/none", nil); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(gdb, "-q", "-nx", "-batch", "-ex", "source "+filepath.Join(dir, "pith.py"),
		"-ex", "help pith-threads", "-ex", "pith-stack x").CombinedOutput()
	for _, words := range []string{"List the kernel's threads", "pith-stack wants a thread's number"} {
		if !strings.Contains(string(out), words) {
			t.Errorf("gdb does not say %q: %v\n%s", words, err, out)
		}
	}
}
