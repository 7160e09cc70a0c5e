package test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// needGDB skips where there is no debugger.
func needGDB(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("gdb"); err != nil {
		t.Skip("gdb is not installed")
	}
}

// TestBreakpoint: gdb stops at a line of the user's source.
func TestBreakpoint(t *testing.T) {
	needGDB(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, command, "debug", "-b", "main.terminate", guest, "--", "terminate")
	cmd.Stdin = strings.NewReader("backtrace\nkill\nquit\n")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "#0  main.terminate ()") || !strings.Contains(string(out), "terminate.go:") {
		t.Errorf("%v:\n%s", err, out)
	}
}

// TestEditor: pith writes the launch file, and gdb reaches the machine as the file
// says.
func TestEditor(t *testing.T) {
	needGDB(t)
	dir, address := t.TempDir(), free(t)
	cmd := exec.Command(command, "debug", "--vscode", "--serve", address, guest, "--", "terminate")
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	file := filepath.Join(dir, ".vscode/launch.json")
	eventually(t, "the launch file is there", func() bool { _, err := os.Stat(file); return err == nil })
	time.Sleep(100 * time.Millisecond)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var launch struct {
		Configurations []struct{ Program, MIDebuggerServerAddress string }
	}
	if err := json.Unmarshal(text, &launch); err != nil || len(launch.Configurations) != 1 || launch.Configurations[0].MIDebuggerServerAddress != address {
		t.Fatalf("%v: %s", err, text)
	}
	out, err := exec.Command("gdb", "-nx", "-batch", "-ex", "set auto-load python-scripts off",
		"-ex", "symbol-file "+launch.Configurations[0].Program, "-ex", "target remote "+address,
		"-ex", "hbreak main.terminate", "-ex", "continue", "-ex", "backtrace").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "#0  main.terminate ()") {
		t.Errorf("%v:\n%s", err, out)
	}
	select {
	case err := <-ended: // the debugger has left
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		cmd.Process.Kill()
		t.Error("pith waits although the debugger has left")
	}
}
