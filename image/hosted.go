package image

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pith"
	"pith/abi"
)

// BuildHosted makes a static Linux executable of the same program, for the
// machine kinds that bring a kernel of their own: processes, containers and
// Linux machines. It is compiled with the toolchain's own GOROOT, so nothing of
// Pith's is in it; Options.Stack has no meaning. All else is as in Build.
func BuildHosted(ctx context.Context, o Options) (*Image, error) {
	o.Stack = ""
	b, err := newBuilder(o)
	if err != nil {
		return nil, err
	}
	b.options.Stack = hosted
	defer b.release()
	img, err := b.buildHosted(ctx)
	return img, b.explainFull(err)
}

// hosted stands for the network stack in the keys of the cache.
const hosted = "hosted"

func (b *builder) buildHosted(ctx context.Context) (*Image, error) {
	t, err := b.locate(ctx)
	if err != nil {
		return nil, err
	}
	tools, err := b.findToolchain(ctx, t.dir)
	if err != nil {
		return nil, err
	}
	work, unlock, err := b.workFolder(ctx, t)
	if err != nil {
		return nil, err
	}
	defer unlock()
	go_ := b.shadowCommand(tools, tools.root, t)
	p, err := b.list(ctx, go_, t, namesake{}, work)
	if err != nil {
		return nil, err
	}
	output := b.output(p.name, work)
	if err := b.linkHosted(ctx, go_, tools, t, p, work, output); err != nil {
		return nil, err
	}
	info, err := os.Stat(output)
	if err != nil {
		return nil, err
	}
	m := b.manifest(tools, &sources{}, p)
	m.Stack = ""
	return &Image{Path: output, Size: info.Size(), Manifest: m}, nil
}

// linkHosted compiles and links the program, and puts it at output.
func (b *builder) linkHosted(ctx context.Context, go_ command, tools toolchain, t target, p *program, work, output string) error {
	linked := filepath.Join(work, "linked")
	if err := b.compile(ctx, go_, p, t.patterns, work, linked, b.hostedFlags(tools)); err != nil {
		return err
	}
	defer b.cache.Added()
	if b.options.Output == "" {
		return linkFile(output, linked) // what is in the cache is there once
	}
	data, err := os.ReadFile(linked)
	if err != nil {
		return err
	}
	if old, err := os.ReadFile(output); err == nil && string(old) == string(data) {
		return nil
	}
	return writeFile(output, data, 0o755)
}

// hostedFlags are the linker's, see userFlags.
func (b *builder) hostedFlags(tools toolchain) string {
	if b.options.Strip {
		return b.userFlags(tools, "-s", "-w")
	}
	return b.userFlags(tools)
}

// OpenHosted looks at a file that is to run on Linux: it must be a static
// executable for amd64 and no image. Anything else is a *pith.Error.
func OpenHosted(path string) (*Image, error) {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, pith.Errorf("there is no program %s", path)
	}
	if err != nil {
		return nil, fmt.Errorf("open program: %w", err)
	}
	f, err := elf.Open(path)
	if err != nil {
		return nil, pith.Errorf("%s is no Linux program: %w", path, err)
	}
	defer f.Close()
	switch {
	case f.Machine != elf.EM_X86_64 || f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN:
		return nil, pith.Errorf("%s is no Linux program for amd64", path)
	case hasSegment(f, elf.PT_INTERP):
		return nil, pith.Errorf("%s needs a dynamic linker, which such a machine has not: build it with CGO_ENABLED=0", path)
	}
	if img, err := Open(path); err == nil {
		return nil, pith.Errorf("%s is a unikernel's image: run it with --machine unikernel, or name the sources of %s", path, img.Manifest.Name)
	}
	name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	return &Image{Path: path, Size: info.Size(), Manifest: pith.Manifest{ABI: abi.Version, Name: name}}, nil
}

func hasSegment(f *elf.File, kind elf.ProgType) bool {
	return slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == kind })
}
