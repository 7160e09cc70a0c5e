package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"pith"
)

// program is the main package that an image is made of.
type program struct {
	listed
	name      string   // as go build would call it
	version   string   // of its module
	overlay   overlay  // what must be added to the user's files
	hasKernel bool     // package os, hence the kernel, is among them
	cgo       []string // packages that lose C parts, yet have others
}

// listed is a record of go list -json.
type listed struct {
	ImportPath string
	Name       string
	Dir        string
	Standard   bool
	DepOnly    bool
	GoFiles    []string
	CgoFiles   []string
	Imports    []string
	Module     *struct {
		Path, Version string
		Main          bool
	}
}

const listFields = "-json=ImportPath,Name,Dir,Standard,DepOnly,GoFiles,CgoFiles,Imports,Module"

// list asks the go command what the target is and what it imports.
func (b *builder) list(ctx context.Context, go_ command, t target, n namesake, work string) (*program, error) {
	flags, err := n.files.write(work)
	if err != nil {
		return nil, err
	}
	packages, err := b.listTarget(ctx, go_, t, flags)
	if err != nil {
		return nil, b.explain(err, b.options.What)
	}
	if err := n.check(packages); err != nil {
		return nil, err
	}
	p, err := choose(packages, b.options.What)
	if err != nil {
		return nil, err
	}
	if p.overlay = n.files; p.overlay == nil {
		p.overlay = overlay{}
	}
	p.name = executableName(p.ImportPath, p.Dir, t)
	p.version = t.version
	if p.Module != nil && p.version == "" {
		p.version = p.Module.Version
	}
	return p, b.checkCgo(ctx, go_, p, packages, work)
}

// listTarget lists the target's packages as if cgo were there, so that those
// that need it can be named.
func (b *builder) listTarget(ctx context.Context, go_ command, t target, flags []string) ([]listed, error) {
	go_.env = append(slices.Clip(go_.env), "CGO_ENABLED=1")
	args := slices.Concat([]string{"list", "-deps", listFields}, b.tagFlags(), flags, []string{"--"}, t.patterns)
	return listPackages(ctx, go_, args)
}

// listPackages runs go list and reads its answer.
func listPackages(ctx context.Context, go_ command, args []string) ([]listed, error) {
	out, err := go_.output(ctx, args...)
	if err != nil {
		return nil, err
	}
	var packages []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		err := dec.Decode(&p)
		if err == io.EOF {
			return packages, nil
		}
		if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		packages = append(packages, p)
	}
}

// choose finds the one main package that was asked for.
func choose(packages []listed, what string) (*program, error) {
	p := &program{}
	var roots []listed
	for _, l := range packages {
		p.hasKernel = p.hasKernel || l.ImportPath == kernelPath
		if !l.DepOnly {
			roots = append(roots, l)
		}
	}
	switch {
	case len(roots) == 0:
		return nil, pith.Errorf("%s names no package", what)
	case len(roots) > 1:
		return nil, pith.Errorf("%s names %d packages: name the one to build", what, len(roots))
	case roots[0].Name != "main":
		return nil, pith.Errorf("%s is package %s, not a program: an image needs a package main", roots[0].ImportPath, roots[0].Name)
	}
	p.listed = roots[0]
	return p, nil
}

var majorVersion = regexp.MustCompile(`^v[0-9]+$`)

// executableName is what go build would call the program.
func executableName(importPath, dir string, t target) string {
	if importPath == "command-line-arguments" {
		return strings.TrimSuffix(path.Base(t.patterns[0]), ".go")
	}
	name := path.Base(importPath)
	if majorVersion.MatchString(name) && path.Dir(importPath) != "." {
		name = path.Base(path.Dir(importPath))
	}
	if name == "." || name == "/" {
		return filepath.Base(dir)
	}
	return name
}

// checkCgo fails where a package needs C: where nothing of it is left without
// cgo, or only a stub that says so.
func (b *builder) checkCgo(ctx context.Context, go_ command, p *program, packages []listed, work string) error {
	var paths []string
	for _, l := range packages {
		if !l.Standard && len(l.CgoFiles) > 0 {
			paths = append(paths, l.ImportPath)
		}
	}
	if len(paths) == 0 {
		return nil
	}
	if p.ImportPath == "command-line-arguments" && len(p.CgoFiles) > 0 {
		return cgoError(p.CgoFiles[0])
	}
	flags, err := p.overlay.write(work)
	if err != nil {
		return err
	}
	args := slices.Concat([]string{"list", "-e", listFields}, b.tagFlags(), flags, []string{"--"}, paths)
	without, err := listPackages(ctx, go_, args)
	if err != nil {
		return b.explain(err, p.ImportPath)
	}
	for _, l := range without {
		i := slices.IndexFunc(packages, func(c listed) bool { return c.ImportPath == l.ImportPath })
		if i < 0 || len(l.GoFiles) == 0 || isStub(l, packages[i]) {
			return cgoError(l.ImportPath)
		}
	}
	p.cgo = paths
	return nil
}

func cgoError(what string) error {
	return pith.Errorf("%s needs cgo, which a unikernel has no C library for: use a package written in Go alone", what)
}

// isStub tells whether a file that package without has only where cgo is
// missing talks of cgo in a string: that is how stubs complain when they run.
func isStub(without, with listed) bool {
	for _, name := range without.GoFiles {
		if slices.Contains(with.GoFiles, name) {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(without.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			continue // the compiler says it better
		}
		stub := false
		ast.Inspect(file, func(n ast.Node) bool {
			text, ok := n.(*ast.BasicLit)
			stub = stub || ok && text.Kind == token.STRING && strings.Contains(strings.ToLower(text.Value), "cgo")
			return !stub
		})
		if stub {
			return true
		}
	}
	return false
}

// machineTag is a build tag that files have which are for images alone.
const machineTag = "pith"

// tagFlags are the go command's arguments for build tags: ours for an image, and the
// user's or, without any, those of GOFLAGS, which the argument would hide.
func (b *builder) tagFlags() []string {
	tags := b.options.Tags
	for _, f := range strings.Fields(b.goflags) {
		if value, ok := strings.CutPrefix(strings.TrimLeft(f, "-"), "tags="); ok && len(b.options.Tags) == 0 {
			tags = strings.Split(value, ",")
		}
	}
	if b.options.Stack != hosted {
		tags = append([]string{machineTag}, tags...)
	}
	return []string{"-tags=" + strings.Join(tags, ",")}
}

// explain makes a user's mistake of what the go command said about the
// program, or Pith's own fault where it was about the kernel.
func (b *builder) explain(err error, what string) error {
	var f *failure
	if !errors.As(err, &f) {
		return err
	}
	for line := range strings.Lines(f.stderr) {
		if strings.HasPrefix(line, "# pith/kernel") || strings.HasPrefix(line, "# pith/abi") || strings.HasPrefix(line, "# syscall") || strings.HasPrefix(line, "# os") || strings.HasPrefix(line, "package pith/kernel") {
			return fmt.Errorf("the kernel does not compile, which is a fault of Pith's:\n%w", err)
		}
	}
	if what == "" {
		what = "."
	}
	return pith.Errorf("%s does not build:\n%w", what, err)
}
