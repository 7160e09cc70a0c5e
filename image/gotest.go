package image

import (
	"context"
	"debug/buildinfo"
	"debug/elf"
	"debug/gosym"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"pith"
	"pith/abi"
)

// Toolchain is how to call the go command so that the test binaries that it
// links are for Pith: TestImage makes images of them.
type Toolchain struct {
	Go      string   // the go command
	Env     []string // its environment
	Flags   []string // of go test, before the user's
	LDFlags string   // what -ldflags has to begin with
	Root    string   // GOROOT as the user has it
	Shadow  string   // GOROOT of Env
	Version string   // "go1.26.8"
}

// Prepare finds the Go installation that Options.Dir wants and makes what
// tests are built with; Options.Hold keeps it.
func Prepare(ctx context.Context, o Options) (*Toolchain, error) {
	b, err := newBuilder(o)
	if err != nil {
		return nil, err
	}
	defer b.release()
	t, _, err := b.prepare(ctx)
	return t, b.explainFull(err)
}

func (b *builder) prepare(ctx context.Context) (*Toolchain, *sources, error) {
	if b.options.Stack != pith.StackInet {
		return nil, nil, pith.Errorf("tests run with the network stack %s only", pith.StackInet)
	}
	tools, err := b.findToolchain(ctx, b.dir)
	if err != nil {
		return nil, nil, err
	}
	kernel, err := b.kernelSources()
	if err != nil {
		return nil, nil, err
	}
	goroot, err := b.shadow(ctx, tools, kernel)
	if err != nil {
		return nil, nil, err
	}
	flags, err := b.testFlags(ctx, tools, kernel)
	if err != nil {
		return nil, nil, err
	}
	return &Toolchain{
		Go:      tools.goPath(),
		Env:     b.shadowCommand(tools, goroot, target{dir: b.dir}).env,
		Flags:   flags,
		LDFlags: b.linkerFlags(tools),
		Root:    tools.root,
		Shadow:  goroot,
		Version: tools.version,
	}, kernel, nil
}

// testFlags hide from the go command what can't be beside the kernel.
func (b *builder) testFlags(ctx context.Context, tools toolchain, s *sources) ([]string, error) {
	n, err := b.findNamesake(ctx, tools, s, b.dir)
	if err != nil {
		return nil, err
	}
	if len(n.hidden) > 0 && !n.own {
		return nil, notApart(n.hidden[0])
	}
	return n.files.write(n.work)
}

// IsTest tells whether a file is a Go test binary for linux/amd64, whichever
// GOROOT it was linked with, but no image yet.
func IsTest(file string) bool {
	if _, err := Open(file); err == nil {
		return false
	}
	info, err := buildinfo.ReadFile(file)
	if err != nil || !strings.HasSuffix(info.Path, ".test") && !strings.HasSuffix(file, ".test") {
		return false // the test of a package main has the program's path, and only its file is called so
	}
	return setting(info, "GOOS") == "linux" && setting(info, "GOARCH") == "amd64"
}

// setting is one of the flags and variables that a binary was built with.
func setting(info *buildinfo.BuildInfo, key string) string {
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}

// TestImage makes an image, at Options.Output, of the test binary that
// Options.What names. One that was linked for Linux is built again, in
// Options.Dir: the go command runs a test in its package's folder. Options.Args
// are the test's flags (-test.coverprofile=... and so on).
func TestImage(ctx context.Context, o Options) (*Image, error) {
	b, err := newBuilder(o)
	if err != nil {
		return nil, err
	}
	defer b.release()
	img, err := b.testImage(ctx)
	return img, b.explainFull(err)
}

func (b *builder) testImage(ctx context.Context) (*Image, error) {
	o := b.options
	info, err := buildinfo.ReadFile(o.What)
	if err != nil {
		return nil, pith.Errorf("%s is no test binary: %w", o.What, err)
	}
	tools, kernel, err := b.prepare(ctx)
	if err != nil {
		return nil, err
	}
	linked := o.What
	if !isLinkedForPith(linked) {
		linked = o.Output + ".linked"
		defer os.Remove(linked)
		if err := b.linkTest(ctx, tools, info, linked); err != nil {
			return nil, err
		}
	}
	data, err := os.ReadFile(linked)
	if err != nil {
		return nil, err
	}
	img, err := makeImage(data, nil, pith.Manifest{
		ABI:     abi.Version,
		Name:    filepath.Base(o.What),
		Go:      tools.Version,
		Package: info.Path,
		Module:  info.Main.Path,
		Stack:   pith.StackInet,
		Kernel:  kernel.hash,
	}, true)
	if err != nil {
		return nil, err
	}
	if err := writeFile(o.Output, img, 0o755); err != nil {
		return nil, err
	}
	return open(o.Output, b.cache)
}

// isLinkedForPith tells whether a program begins at Pith's entry. The go command
// strips a test's symbols: what is left is the table that the runtime's own traces
// are made with.
func isLinkedForPith(file string) bool {
	f, err := elf.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	text, lines := f.Section(".text"), f.Section(".gopclntab")
	if text == nil || lines == nil {
		return false
	}
	data, err := lines.Data()
	if err != nil {
		return false
	}
	table, err := gosym.NewTable(nil, gosym.NewLineTable(data, text.Addr))
	if err != nil {
		return false
	}
	entry := table.PCToFunc(f.Entry)
	return entry != nil && entry.Entry == f.Entry && strings.TrimSuffix(entry.Name, ".abi0") == EntrySymbol
}

// linkTest builds the package that a test binary tests once more.
func (b *builder) linkTest(ctx context.Context, tools *Toolchain, info *buildinfo.BuildInfo, output string) error {
	path := strings.TrimSuffix(info.Path, ".test")
	if path == "command-line-arguments" {
		return pith.Errorf("a test of single files can't be built again for Pith: name the package, or use pith test")
	}
	dir := b.dir
	if rel, err := filepath.Rel(filepath.Join(tools.Root, "src"), dir); err == nil && filepath.IsLocal(rel) {
		dir = filepath.Join(tools.Shadow, "src", rel)
	}
	args := append([]string{"test"}, tools.Flags...)
	args = append(args, "-c", "-vet=off", "-o", output, "-ldflags="+strings.TrimSpace(tools.LDFlags+" "+setting(info, "-ldflags")))
	for _, key := range []string{"-tags", "-gcflags", "-asmflags", "-trimpath"} {
		if value := setting(info, key); value != "" {
			args = append(args, key+"="+value)
		}
	}
	args = append(args, coverFlags(b.options.What, path, b.options.Args)...)
	_, err := b.command(tools.Go, dir, append(tools.Env, "PWD="+dir)...).output(ctx, append(args, path)...)
	return b.explain(err, path)
}

var (
	coverMode     = regexp.MustCompile(`testdeps\.CoverMode = "(\w+)"`)
	coverPackages = regexp.MustCompile(`testdeps\.CoverSelectedPackages = \[\]string\{([^}]*)\}`)
)

// coverFlags are the flags of go test that ask for coverage as the binary has
// it. What it covers stands in the main file that the go command has written
// beside it; without that file it is the package itself, path.
func coverFlags(binary, path string, args []string) []string {
	if !slices.ContainsFunc(args, func(a string) bool {
		return strings.HasPrefix(a, "-test.coverprofile=") || strings.HasPrefix(a, "-test.gocoverdir=")
	}) {
		return nil
	}
	flags := []string{"-cover"}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(binary), "_testmain.go"))
	if err != nil {
		return flags
	}
	if m := coverMode.FindSubmatch(text); m != nil {
		flags = append(flags, "-covermode="+string(m[1]))
	}
	if m := coverPackages.FindSubmatch(text); m != nil {
		list := strings.Trim(strings.ReplaceAll(strings.ReplaceAll(string(m[1]), `"`, ""), " ", ""), ",")
		if list != "" && list != path {
			flags = append(flags, "-coverpkg="+list)
		}
	}
	return flags
}
