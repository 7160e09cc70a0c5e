package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pith"
	"pith/image"
	"pith/machine"
	"pith/machine/qemu"
)

// testCPUs and testMemory hand the machine's size from pith test to pith exec,
// which the go command starts.
const (
	testCPUs   = "PITH_TEST_CPUS"
	testMemory = "PITH_TEST_MEMORY"
)

func (a *app) testCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "test [--cpus N] [--memory M] [packages and flags of go test]",
		Short: "Run Go tests, each package's in a machine of its own",
		Long: `Test is go test with machines instead of processes: packages, flags and output
are go test's own. A test's working directory is its package's folder, of which
the machine has a copy; what it writes there stays in the machine.

"go test -exec 'pith run'" does the same, but links each test twice.`,
		Example: `  pith test ./...
  pith test --cpus 2 -v -run TestServer ./server
  pith test std`,
		DisableFlagParsing: true,
		RunE: func(c *cobra.Command, args []string) error {
			a.began = true
			if len(args) == 1 && (args[0] == "--help" || args[0] == "-h") {
				return c.Help()
			}
			return a.test(c.Context(), args)
		},
	}
}

// test runs go test with the shadow GOROOT, and this program for -exec.
func (a *app) test(ctx context.Context, args []string) error {
	rest, env, err := testFlags(args)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	p := newProgress(a.err)
	tools, err := image.TestTools(ctx, image.Options{Dir: ".", Progress: p.update})
	p.done()
	if err != nil {
		return err
	}
	all := append([]string{"test", "-exec", quoteArg(self) + " exec"}, tools.Flags...)
	cmd := exec.CommandContext(ctx, tools.Go, append(all, rest...)...)
	cmd.Env = append(tools.Env, env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = cmd.Run()
	if cmd.ProcessState == nil {
		return fmt.Errorf("start go test: %w", err)
	}
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		return exitCode(max(code, 1))
	}
	return nil
}

// testFlags takes our own flags, which have two dashes, from those of go test.
func testFlags(args []string) (rest, env []string, err error) {
	for i := 0; i < len(args); i++ {
		flag, value, hasValue := strings.Cut(args[i], "=")
		name, check := "", func(string) error { return nil }
		switch flag {
		case "-args", "--args":
			return append(rest, args[i:]...), env, nil
		case "--cpus":
			name = testCPUs
		case "--memory":
			name = testMemory
			check = func(s string) error { _, err := machine.ParseMemory(s); return err }
		default:
			if strings.HasPrefix(flag, "--ldflags") || flag == "-ldflags" || flag == "-exec" || flag == "--exec" {
				return nil, nil, pith.Errorf("pith test sets %s itself", flag)
			}
			rest = append(rest, args[i])
			continue
		}
		if !hasValue {
			if i++; i == len(args) {
				return nil, nil, pith.Errorf("%s needs a value", flag)
			}
			value = args[i]
		}
		if err := check(value); err != nil {
			return nil, nil, err
		}
		env = append(env, name+"="+value)
	}
	return rest, env, nil
}

// quoteArg writes a word as the go command splits -exec's value.
func quoteArg(s string) string {
	if strings.ContainsAny(s, " \t'") {
		return `"` + s + `"`
	}
	return s
}

// execCommand is what pith test has the go command start for each test.
func (a *app) execCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "exec BINARY [ARGS]",
		Short:              "Run a test that was linked for a machine (for pith test)",
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(c *cobra.Command, args []string) error {
			a.began = true
			if len(args) == 0 {
				return pith.Errorf("exec is for pith test's own use")
			}
			dir, err := os.MkdirTemp("", "pith-test-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			img, err := image.Adopt(args[0], image.Options{Output: filepath.Join(dir, "test.img")})
			if err != nil {
				return err
			}
			return a.runTest(img, args[1:])
		},
	}
}

// relinkCommand is what pith run becomes where go test -exec hands it a test,
// whose flags are not ours.
func (a *app) relinkCommand() *cobra.Command {
	return &cobra.Command{
		Use:                relinkName + " BINARY [ARGS]",
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(c *cobra.Command, args []string) error {
			a.began = true
			return a.relinkTest(c.Context(), args)
		},
	}
}

const relinkName = "run-test"

// asTest turns "run" into relinkName where a test follows.
func asTest(args []string) []string {
	if len(args) > 1 && args[0] == "run" && image.IsTest(args[1]) {
		return append([]string{relinkName}, args[1:]...)
	}
	return args
}

// relinkTest runs a test that the go command has linked for a process.
func (a *app) relinkTest(ctx context.Context, args []string) error {
	dir, err := os.MkdirTemp("", "pith-test-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	img, err := image.Relink(ctx, args[0], image.Options{Dir: ".", Output: filepath.Join(dir, "test.img")})
	if err != nil {
		return err
	}
	return a.runTest(img, args[1:])
}

// runTest runs a test in a machine with a copy of the current folder.
func (a *app) runTest(img *pith.Image, args []string) error {
	spec, err := testSpec(img, args)
	if err != nil {
		return err
	}
	store, err := openStore()
	if err != nil {
		return err
	}
	entry, err := createNamed(store, spec, true)
	if err != nil {
		return err
	}
	return a.foreground(entry, machine.Window{})
}

func testSpec(img *pith.Image, args []string) (machine.Spec, error) {
	dir, err := os.Getwd()
	if err != nil {
		return machine.Spec{}, err
	}
	s := machine.Spec{What: img.Manifest.Package, Type: machine.TypeMicroVM, Remove: true, Created: time.Now()}
	s.Name, s.Image, s.CPUs, s.Memory = machine.NewName(), img, 1, 1024*machine.MiB
	s.Args, s.Dir, s.Env = args, dir, testEnv(dir)
	if value := os.Getenv(testCPUs); value != "" {
		if _, err := fmt.Sscan(value, &s.CPUs); err != nil {
			return s, pith.Errorf("--cpus %s is no number", value)
		}
	}
	if value := os.Getenv(testMemory); value != "" {
		if s.Memory, err = machine.ParseMemory(value); err != nil {
			return s, err
		}
	}
	s.Files = testFiles(dir)
	s.Links = []pith.Link{qemu.UserLink(machine.MAC(s.Name, 0))}
	return s, s.Check()
}

// testFiles is the package's folder, and the go.mod that it belongs to.
func testFiles(dir string) []pith.File {
	files := []pith.File{{Source: dir, Target: dir}}
	for up := filepath.Dir(dir); ; up = filepath.Dir(up) {
		mod := filepath.Join(up, "go.mod")
		if _, err := os.Stat(mod); err == nil {
			return append(files, pith.File{Source: mod, Target: mod})
		}
		if up == filepath.Dir(up) {
			return files
		}
	}
}

// testEnv is the environment without what only means something on the host.
func testEnv(dir string) []string {
	var env []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		switch name {
		case "PATH", "HOME", "TMPDIR", "PWD", "OLDPWD", "SHELL", "HOSTNAME", "_", testCPUs, testMemory:
		default:
			if name != "" && !strings.ContainsRune(kv, 0) {
				env = append(env, kv)
			}
		}
	}
	return append(env, "PWD="+dir, "HOME=/root", "PATH=/bin")
}
