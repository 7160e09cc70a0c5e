package programs

import (
	"context"
	"os/exec"
	"strings"
	"testing"
)

// TestFigures: two well-known libraries find in /proc and /sys what the program
// knows of the machine from elsewhere.
func TestFigures(t *testing.T) {
	image := build(t, "./figures")
	for _, cpus := range []string{"1", "2"} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		out, err := exec.CommandContext(ctx, command, "run", "-m", "256", "--cpus", cpus, "-e", "FIGURE=1", image, "--", "an argument").CombinedOutput()
		if err != nil {
			t.Fatalf("with %s CPUs: %v\n%s", cpus, err, out)
		}
		if n := strings.Count(string(out), "\nok "); n < 50 || !strings.Contains(string(out), "\n0 wrong answers") {
			t.Errorf("with %s CPUs: %d right answers:\n%s", cpus, n, out)
		}
	}
}
