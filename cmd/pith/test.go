package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"pith"
	"pith/image"
	"pith/machine"
)

func (a *app) testCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "test [--cpus N] [--memory SIZE] [packages] [go test flags]",
		Short: "Run Go tests inside machines",
		Long: `Test is go test, but each package's tests run in a machine of their own, with
the files of the package's module at the paths that they have here, in the
package's folder and with this shell's environment. The flags of go test work
but for -race, -msan, -asan and -fuzz; profiles and coverage come back as files,
and so do the files in its module that a test has written when it ends (not
when it panics). Packages run one after the other unless -p says otherwise.

go test -exec "pith run" does the same for a go command that something else
calls; it builds each test twice.

pith test std runs the tests of Go's standard library; see pith test std --help.`,
		Example: `  pith test ./...
  pith test -run TestParse -v -count 3 ./parser
  pith test --cpus 2 -coverprofile=c.out -coverpkg=./... ./...
  go test -exec "pith run --cpus 2" ./...
  pith test std --cpus 1,2 net/...`,
		DisableFlagParsing: true,
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) > 0 && args[0] == "std":
				return a.testStd(c, args[1:])
			case slices.Contains(args, "--help") || slices.Contains(args, "-h"):
				return c.Help()
			}
			return a.goTest(c.Context(), args)
		},
	}
}

// ownTestFlags takes the machine's flags, as words for pith run, from the front
// of a command line of go test's.
func ownTestFlags(args []string) (own, rest []string, err error) {
	for len(args) > 0 {
		name, value, joined := strings.Cut(args[0], "=")
		if name != "--cpus" && name != "--memory" {
			break
		}
		args = args[1:]
		if !joined {
			if len(args) == 0 {
				return nil, nil, pith.Errorf("%s needs a value", name)
			}
			value, args = args[0], args[1:]
		}
		if n, err := strconv.Atoi(value); name == "--cpus" && (err != nil || n < 1) {
			return nil, nil, pith.Errorf("--cpus %s: a machine has 1 to %d CPUs", value, machine.MaxCPUs)
		}
		if _, err := machine.ParseMemory(value); name == "--memory" && err != nil {
			return nil, nil, err
		}
		own = append(own, name+"="+value)
	}
	return own, args, nil
}

// goTest calls go test so that what it links is for Pith and runs by pith run.
func (a *app) goTest(ctx context.Context, args []string) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	own, args, err := ownTestFlags(args)
	if err != nil {
		return err
	}
	if err := refuseFlags(args); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	p := newProgress(a.err)
	tools, err := image.Prepare(ctx, image.Options{Stack: pith.StackInet, Hold: &a.hold, Progress: p.update})
	p.done()
	if err != nil {
		return err
	}
	run := append([]string{quote(self), "run"}, own...)
	flags := []string{"test", "-exec=" + strings.Join(run, " ")}
	if !hasFlag(args, "p") {
		flags = append(flags, "-p=1")
	}
	args, ldflags := takeLDFlags(args)
	flags = append(flags, "-ldflags="+strings.TrimSpace(tools.LDFlags+" "+ldflags))
	cmd := exec.CommandContext(ctx, tools.Go, append(flags, args...)...)
	cmd.Env = tools.Env
	if dir := shadowed(tools); dir != "" {
		cmd.Dir, cmd.Env = dir, append(slices.Clip(tools.Env), "PWD="+dir)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return nil } // Ctrl-C has reached it too
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exitCode(max(exit.ExitCode(), 1))
	}
	return err
}

// refused are flags of go test that can't work here, and what to do instead.
var refused = map[string]string{
	"exec": `pith test sets -exec itself: leave it out, or call go test -exec "pith run"`,
	"fuzz": "-fuzz starts worker processes, which a machine has not: fuzz by go test -fuzz; without -fuzz, pith test runs the seeds and what is in testdata/fuzz",
	"race": "-race needs cgo, which a machine has not: use go test -race",
	"msan": "-msan needs cgo, which a machine has not: use go test -msan",
	"asan": "-asan needs cgo, which a machine has not: use go test -asan",
}

func refuseFlags(args []string) error {
	for name, why := range refused {
		if hasFlag(args, name) {
			return pith.Errorf("%s", why)
		}
	}
	return nil
}

// shadowed is the folder that stands for this one in the GOROOT that images are
// built with, or "" where this one is not in GOROOT/src: the go command takes a
// package there for one of another module's.
func shadowed(tools *image.Toolchain) string {
	wd, err := os.Getwd()
	if err != nil {
		return ""
	}
	rel, err := filepath.Rel(filepath.Join(tools.Root, "src"), wd)
	if err != nil || !filepath.IsLocal(rel) {
		return ""
	}
	return filepath.Join(tools.Shadow, "src", rel)
}

// quote writes a word as -exec wants it (cmd/internal/quoted).
func quote(word string) string {
	if strings.ContainsAny(word, " \t\n") {
		return "'" + word + "'"
	}
	return word
}

// hasFlag tells whether a flag is given, before -args.
func hasFlag(args []string, name string) bool {
	for _, arg := range args {
		if arg == "-args" || arg == "--args" {
			return false
		}
		flag, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-"), "=")
		if strings.HasPrefix(arg, "-") && flag == name {
			return true
		}
	}
	return false
}

// takeLDFlags takes -ldflags out of go test's arguments: the last one counts.
func takeLDFlags(args []string) (rest []string, value string) {
	for i := 0; i < len(args); i++ {
		flag, v, joined := strings.Cut(args[i], "=")
		switch {
		case flag == "-args" || flag == "--args":
			return append(rest, args[i:]...), value
		case flag != "-ldflags" && flag != "--ldflags":
			rest = append(rest, args[i])
		case joined:
			value = v
		case i+1 < len(args):
			i++
			value = args[i]
		}
	}
	return rest, value
}
