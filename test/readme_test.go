package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pith/machine"
)

// notRun is what TestReadme leaves out, and what tests it instead.
var notRun = map[string]string{
	"pith top":   "wants a terminal",
	"pith debug": "wants somebody at gdb: TestBreakpoint",
	"pith up":    "makes namespaces that outlive a test that fails: TestDMZ, TestUp",
	"pith down":  "the same",
	"pith bench": "takes half an hour: TestBenchWeb",
	"pith test":  "is for modules of others: TestGoTest",
}

// TestReadme runs what README.md shows under "What you can do", as it stands there, in a
// folder that looks like the checkout. What stays in the foreground is ended by Ctrl-C.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "## What you can do\n")
	section, _, closed := strings.Cut(section, "\n## ")
	if !ok || !closed {
		t.Fatal("README.md has no section What you can do")
	}
	dir := likeCheckout(t)
	ran := 0
	for line := range strings.Lines(section) {
		code, indented := strings.CutPrefix(line, "    ")
		if !indented {
			continue
		}
		code, _, _ = strings.Cut(code, " #")
		for one := range strings.SplitSeq(code, " ; ") {
			words := strings.Fields(one)
			if notRun[strings.Join(words[:2], " ")] == "" {
				ran++
				t.Run(strings.TrimSpace(one), func(t *testing.T) { readmeCommand(t, dir, strings.TrimSpace(one)) })
			}
		}
	}
	if ran < 15 {
		t.Errorf("only %d commands were found", ran)
	}
}

// likeCheckout is a folder with links to all that the checkout has.
func likeCheckout(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, e := range entries {
		if err := os.Symlink(filepath.Join(root, e.Name()), filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// readmeCommand runs one, with a port that is free instead of 8080 and a shorter profile.
func readmeCommand(t *testing.T, dir, line string) {
	for _, kind := range []string{machine.KindContainer, machine.KindProcess} {
		if strings.Contains(line, "--machine "+kind) {
			canRun(t, kind)
		}
	}
	foreground := !strings.Contains(line, " -d ") && (strings.HasPrefix(line, "pith run ") || strings.HasPrefix(line, "pith dev "))
	said, err := os.Create(filepath.Join(t.TempDir(), "said"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	cmd := exec.Command("sh", "-c", "exec "+strings.NewReplacer("8080:80", "80", "10s", "1s").Replace(line))
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, said, said
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(command)+":"+os.Getenv("PATH"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	serves := func() bool {
		text, err := os.ReadFile(said.Name())
		return err == nil && strings.Contains(string(text), "hello serves on port")
	}
	interrupted := false
	for end := time.Now().Add(5 * patience); ; time.Sleep(50 * time.Millisecond) {
		select {
		case err := <-ended:
			if interrupted != foreground || err != nil && !foreground {
				text, _ := os.ReadFile(said.Name())
				t.Errorf("it ended with %v:\n%s", err, text)
			}
			return
		default:
		}
		if foreground && !interrupted && serves() {
			interrupted = true
			cmd.Process.Signal(os.Interrupt)
		}
		if time.Now().After(end) {
			cmd.Process.Kill()
			text, _ := os.ReadFile(said.Name())
			t.Fatalf("it doesn't end:\n%s", text)
		}
	}
}
