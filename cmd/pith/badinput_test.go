package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pith/machine"
)

// TestBadPrograms: each program that can't be built gets its clear sentence.
func TestBadPrograms(t *testing.T) {
	for name, c := range map[string]struct{ source, words string }{
		"no main package": {"package lib\n", "main"},
		"compile error":   {"package main\n\nfunc main() { undefinedThing() }\n", "main.go:3:15: undefined: undefinedThing"},
		"missing module":  {"package main\n\nimport _ \"example.com/nowhere\"\n\nfunc main() {}\n", "example.com/nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			u := newCLI(t)
			u.save("go.mod", "module bad\n\ngo 1.26\n")
			u.save("main.go", c.source)
			// What the builder does may be shown before.
			r := u.pith("run", ".")
			if r.code != 2 || !strings.Contains(r.err, "pith: ") || !strings.Contains(r.err, c.words) || strings.Contains(r.err, "Usage:") {
				t.Errorf("exit code %d, want 2 with %q in:\n%s", r.code, c.words, r.err)
			}
		})
	}
}

// TestMissingFile: a file that the manifest names must be there, before anything is
// built or started; the sentence names the place.
func TestMissingFile(t *testing.T) {
	u := newCLI(t)
	u.save("main.go", "package main\n\nfunc main() {}\n")
	u.save("pith.yaml", "name: bad\nfiles:\n  - main.go:/srv/main.go\n  - Corefile:/etc/Corefile\n")
	for _, verb := range []string{"run", "config"} {
		u.fails(2, "pith.yaml:4:5: there is no file Corefile", verb, ".")
	}
}

// TestBadImages: an image that is cut short, or of another version, is refused,
// and so is memory below the least, which the sentence names.
func TestBadImages(t *testing.T) {
	if testing.Short() {
		t.Skip("builds an image")
	}
	u := newCLI(t)
	u.save("go.mod", "module good\n\ngo 1.26\n")
	u.save("main.go", "package main\n\nfunc main() { println(1) }\n")
	if r := u.pith("build", "-o", "good.img", "."); r.code != 0 {
		t.Fatal(r.err)
	}
	image, err := os.ReadFile(filepath.Join(u.dir, "good.img"))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []int{2, 3, 100} {
		u.save("cut.img", string(image[:len(image)-len(image)/part]))
		u.fails(2, "cut.img", "run", "cut.img")
	}
	other := strings.Replace(string(image), `"abi":1`, `"abi":9`, 1)
	if other == string(image) {
		t.Fatal("the image names no ABI where the test looks for it")
	}
	u.save("other.img", other)
	u.fails(2, "another version of Pith", "run", "other.img")
	u.fails(2, "the least that works is -m", "run", "-m", "4", "good.img")
	if left, err := machine.OpenStore(stateOf(u)).List(); err != nil || len(left) > 0 {
		t.Errorf("refused machines are kept: %v, %v", left, err)
	}
}

// TestInterruptedBuild: Ctrl-C ends a build at once, in words of a user's, and leaves no
// image.
func TestInterruptedBuild(t *testing.T) {
	u := newCLI(t)
	empty, err := os.MkdirTemp("", "pith-test") // so that it takes a while
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(empty) }) // a compiler may still write there
	u.env = append(u.env, "PITH_CACHE="+t.TempDir(), "GOCACHE="+empty)
	u.save("go.mod", "module good\n\ngo 1.26\n")
	u.save("main.go", "package main\n\nfunc main() { println(1) }\n")
	command := exec.CommandContext(t.Context(), pithBinary, "build", "-o", "good.img", ".")
	command.Env, command.Dir = u.env, u.dir
	output, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	for lines := bufio.NewScanner(output); lines.Scan(); {
		if said.Len() == 0 { // it has begun
			command.Process.Signal(os.Interrupt)
		}
		said.WriteString(lines.Text() + "\n")
	}
	command.Wait()
	if code := command.ProcessState.ExitCode(); code != 1 || !strings.HasSuffix(said.String(), "pith: interrupted\n") {
		t.Errorf("exit code %d, it said:\n%s", code, said.String())
	}
	if _, err := os.Stat(filepath.Join(u.dir, "good.img")); err == nil {
		t.Error("there is an image")
	}
}

// save writes a file of the user's.
func (c *cli) save(name, text string) {
	c.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o644); err != nil {
		c.Fatal(err)
	}
}
