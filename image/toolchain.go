package image

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"pith"
)

// leastMinor is the oldest Go 1 release that images can be built with, and
// testedMinor the newest that they were tested with.
const (
	leastMinor  = 26
	testedMinor = 26
)

// toolchain is the Go installation that a folder is built with.
type toolchain struct {
	root    string // GOROOT
	version string // "go1.26.8"
	flags   string // GOFLAGS
	mod     string // GOMOD: the go.mod file of the folder's module
	work    string // GOWORK: the go.work file; "" without a workspace
}

// findToolchain asks the go command for the installation that dir wants.
func (b *builder) findToolchain(ctx context.Context, dir string) (toolchain, error) {
	out, err := b.command("go", dir).output(ctx, "env", "-json", "GOROOT", "GOVERSION", "GOFLAGS", "GOMOD", "GOWORK")
	if err != nil {
		return toolchain{}, err
	}
	var v struct{ GOROOT, GOVERSION, GOFLAGS, GOMOD, GOWORK string }
	if err := json.Unmarshal(out, &v); err != nil {
		return toolchain{}, fmt.Errorf("go env: %w", err)
	}
	t := toolchain{root: v.GOROOT, version: v.GOVERSION, flags: v.GOFLAGS, mod: v.GOMOD, work: v.GOWORK}
	minor := minorVersion(t.version)
	switch {
	case minor < leastMinor:
		return toolchain{}, pith.Errorf("%s is too old: Pith needs Go 1.%d or newer (https://go.dev/dl)", t.version, leastMinor)
	case minor > testedMinor:
		b.say("%s is newer than Pith knows (Go 1.%d): trying it", t.version, testedMinor)
	}
	return t, nil
}

// minorVersion is 26 for "go1.26.8", "go1.26rc1" and "devel go1.26-abc"; -1
// where there is none.
func minorVersion(version string) int {
	_, rest, ok := strings.Cut(version, "go1.")
	if !ok {
		return -1
	}
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end >= 0 {
		rest = rest[:end]
	}
	n, err := strconv.Atoi(rest)
	if err != nil {
		return -1
	}
	return n
}

// command is one way to call the go command.
type command struct {
	path string
	dir  string
	env  []string
	say  func(format string, args ...any)
}

// command returns how to call the go command at path in dir.
func (b *builder) command(path, dir string, env ...string) command {
	all := append([]string{}, b.env...)
	all = append(all, "PWD="+dir)
	return command{path: path, dir: dir, env: append(all, env...), say: b.say}
}

// failure is what a go command said when it failed: the user's own mistake
// nearly always, in Go's own words.
type failure struct {
	stderr string
	stdout []byte
	err    error
}

func (f *failure) Error() string {
	if f.stderr == "" {
		return "go: " + f.err.Error()
	}
	return f.stderr
}

func (f *failure) Unwrap() error { return f.err }

// output runs a go command and returns what it prints. What it downloads is
// told as progress.
func (c command) output(ctx context.Context, args ...string) ([]byte, error) {
	return c.run(ctx, nil, args...)
}

// patience is how long an interrupted go command may take to tidy up.
const patience = 5 * time.Second

// run is output; filter is shown each line of the command's errors and says
// whether it has dealt with it.
func (c command) run(ctx context.Context, filter func(line string) bool, args ...string) ([]byte, error) {
	path, err := exec.LookPath(c.path)
	if err != nil {
		return nil, pith.Errorf("there is no go command on the PATH: install Go 1.%d or newer (https://go.dev/dl)", leastMinor)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.Env = c.dir, c.env
	// A group of its own, so that compilers end with it. It hears of Ctrl-C from here.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) } // go removes its temporary files
	cmd.WaitDelay = patience
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	stderr, w := io.Pipe()
	cmd.Stderr = w
	lines := make(chan string)
	go func() { lines <- c.collect(stderr, filter) }()

	err = cmd.Run()
	w.Close()
	words := <-lines
	if ctx.Err() != nil {
		if cmd.Process != nil {
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // who didn't obey
		}
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, &failure{stderr: words, stdout: stdout.Bytes(), err: err}
	}
	return stdout.Bytes(), nil
}

// collect reads the errors of a command and returns those that neither filter
// nor the progress line took.
func (c command) collect(r io.Reader, filter func(string) bool) string {
	var kept []string
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "":
		case filter != nil && filter(line):
		case strings.HasPrefix(line, "go: downloading "):
			c.say("%s", strings.TrimPrefix(line, "go: "))
		default:
			kept = append(kept, line)
		}
		if err != nil {
			return strings.Join(kept, "\n")
		}
	}
}

// goPath is the go command of the toolchain itself.
func (t toolchain) goPath() string { return filepath.Join(t.root, "bin", "go") }
