package image

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"pith"
	"pith/abi"
)

// Tools is how the go command is called so that what it links can become an
// image: go test, above all.
type Tools struct {
	Go    string   // path of the go command
	Env   []string // its environment
	Flags []string // flags of go test, go build, ...
}

// TestTools prepares the Tools for the folder Options.Dir.
func TestTools(ctx context.Context, o Options) (Tools, error) {
	b, err := newBuilder(o)
	if err != nil {
		return Tools{}, err
	}
	return b.testTools(ctx)
}

func (b *builder) testTools(ctx context.Context) (Tools, error) {
	tools, err := b.findToolchain(ctx, b.dir)
	if err != nil {
		return Tools{}, err
	}
	kernel, err := b.kernelSources()
	if err != nil {
		return Tools{}, err
	}
	goroot, err := b.shadow(ctx, tools, kernel)
	if err != nil {
		return Tools{}, err
	}
	go_ := b.shadowCommand(tools, goroot, target{dir: b.dir})
	return Tools{go_.path, go_.env, []string{"-ldflags=" + b.linkerFlags(tools)}}, nil
}

// Adopt makes an image, Options.Output, of a file that the go command has linked
// with Tools.
func Adopt(linked string, o Options) (*Image, error) {
	b, err := newBuilder(o)
	if err != nil {
		return nil, err
	}
	info, err := buildinfo.ReadFile(linked)
	if err != nil {
		return nil, pith.Errorf("%s is no Go program: %w", linked, err)
	}
	kernel, err := b.kernelSources()
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(linked)
	if err != nil {
		return nil, err
	}
	img, err := makeImage(data, pith.Manifest{
		ABI: abi.Version, Name: path.Base(info.Path), Go: info.GoVersion, Package: info.Path,
		Module: info.Main.Path, Stack: b.options.Stack, Kernel: kernel.hash,
	}, true)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", linked, err)
	}
	output := b.output(path.Base(info.Path), filepath.Dir(linked))
	if err := writeFile(output, img, 0o755); err != nil {
		return nil, err
	}
	return open(output, b.cache)
}

// IsTest tells whether a file is a test that the go command has linked for a
// process of Linux: what go test -exec hands over.
func IsTest(file string) bool {
	info, err := buildinfo.ReadFile(file)
	return err == nil && strings.HasSuffix(info.Path, ".test")
}

// Relink makes an image, Options.Output, of the test that such a file was linked
// from. Options.Dir is the folder of its package, as go test -exec has it.
func Relink(ctx context.Context, file string, o Options) (*Image, error) {
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return nil, pith.Errorf("%s is no Go program: %w", file, err)
	}
	for _, s := range info.Settings {
		if s.Key == "-tags" {
			o.Tags = strings.Split(s.Value, ",")
		}
	}
	b, err := newBuilder(o)
	if err != nil {
		return nil, err
	}
	tools, err := b.testTools(ctx)
	if err != nil {
		return nil, err
	}
	linked := b.options.Output + ".linked"
	defer os.Remove(linked)
	args := append([]string{"test", "-c", "-vet=off", "-o", linked}, tools.Flags...)
	go_ := command{path: tools.Go, dir: b.dir, env: tools.Env, say: b.say}
	if _, err := go_.output(ctx, append(args, b.tagFlags()...)...); err != nil {
		return nil, b.explain(err, info.Path)
	}
	return Adopt(linked, o)
}
