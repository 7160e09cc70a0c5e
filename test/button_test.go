package test

import (
	"os/exec"
	"strings"
	"testing"
)

// pith runs a command that ends by itself and wants it to succeed.
func pith(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), command, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("pith %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// detached starts the guest in the background and removes it at the end.
func detached(t *testing.T, name string, args ...string) {
	t.Helper()
	pith(t, append([]string{"run", "-d", "--name", name}, args...)...)
	t.Cleanup(func() {
		if out, err := exec.Command(command, "rm", "-f", name).CombinedOutput(); err != nil {
			t.Errorf("rm %s: %v\n%s", name, err, out)
		}
	})
}

// TestPowerButton: the ACPI power button is SIGTERM, which a program may take.
func TestPowerButton(t *testing.T) {
	detached(t, "button", "--machine-type", "q35", guest, "--", "terminate")
	eventually(t, "the program waits", func() bool { return strings.Contains(pith(t, "logs", "button"), "waiting") })
	pith(t, "stop", "--button", "-t", "60", "button")
	if log := pith(t, "logs", "button"); !strings.Contains(log, "goodbye: terminated") {
		t.Errorf("it said:\n%s", log)
	}
}

// TestNoPowerButton: a board without one says so.
func TestNoPowerButton(t *testing.T) {
	detached(t, "nobutton", guest, "--", "terminate")
	out, err := exec.Command(command, "stop", "--button", "nobutton").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "has no power button: use --machine-type q35") {
		t.Errorf("%v: %s", err, out)
	}
}
