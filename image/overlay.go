package image

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"pith"
)

// overlay adds files to the user's folders for the go command alone (its flag
// -overlay): by the path that each seems to have, the file that it is.
type overlay map[string]string

// write writes the overlay's file into work and returns the go command's flags.
func (o overlay) write(work string) ([]string, error) {
	if len(o) == 0 {
		return nil, nil
	}
	config, err := json.Marshal(map[string]overlay{"Replace": o})
	if err != nil {
		return nil, err
	}
	name := filepath.Join(work, "overlay.json")
	return []string{"-overlay=" + name}, writeChanged(name, config)
}

// addImports makes the main package import the kernel or a network stack
// where nothing else does. It returns the package arguments of go build.
func (b *builder) addImports(ctx context.Context, go_ command, t target, p *program, work string) ([]string, error) {
	if p.hasKernel && b.options.Stack == pith.StackInet && !b.options.Profile {
		return t.patterns, nil
	}
	imports := []string{kernelPath}
	if b.options.Stack == pith.StackGvisor {
		imports = append(imports, netstackPath)
	}
	if b.options.Profile {
		imports = append(imports, agentPath)
	}
	if err := checkOverlay(ctx, go_, p); err != nil {
		return nil, err
	}
	file := filepath.Join(work, "main.go")
	if err := writeChanged(file, blankImport("main", imports...)); err != nil {
		return nil, err
	}
	added := freeName(p.Dir)
	p.overlay[filepath.Join(p.Dir, added)] = file
	if strings.HasSuffix(t.patterns[0], ".go") {
		return []string{t.patterns[0], added}, nil
	}
	return t.patterns, nil
}

// checkOverlay fails where the go command would refuse to add a file.
func checkOverlay(ctx context.Context, go_ command, p *program) error {
	out, err := go_.output(ctx, "env", "GOMODCACHE")
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(strings.TrimSpace(string(out)), p.Dir)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return nil
	}
	version := "latest"
	if p.version != "" {
		version = p.version
	}
	return pith.Errorf("%s lies in the module cache, where nothing can be added to it: build %[1]s@%s instead", p.ImportPath, version)
}

// freeName is the name of a file that dir doesn't have.
func freeName(dir string) string {
	name := "zz_pith.go"
	for isFile(filepath.Join(dir, name)) {
		name = "z" + name
	}
	return name
}

// isAmbiguous tells whether the user's module has a package of the kernel's
// name: it is Pith itself, whose programs run in images too.
func isAmbiguous(err error) bool {
	var f *failure
	return errors.As(err, &f) && strings.Contains(f.stderr, "ambiguous import: found package pith/")
}

// hideKernel takes the folders of the kernel out of a user's module that is
// called pith: a go.mod file makes each a module of its own, which nothing
// requires.
func hideKernel(ctx context.Context, go_ command, work string) (overlay, error) {
	out, err := go_.output(ctx, "list", "-m", "-f", "{{if .Main}}{{.Path}}\t{{.Dir}}{{end}}")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(work, "hidden.mod")
	if err := writeChanged(file, []byte("module hidden\n")); err != nil {
		return nil, err
	}
	o := overlay{}
	for line := range strings.Lines(string(out)) {
		path, dir, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if path != "pith" {
			continue
		}
		for _, folder := range []string{"abi", "ext4", "kernel"} {
			o[filepath.Join(dir, folder, "go.mod")] = file
		}
	}
	return o, nil
}

// writeChanged writes a file only if it holds something else: the go command
// looks at times.
func writeChanged(path string, data []byte) error {
	old, err := os.ReadFile(path)
	if err == nil && string(old) == string(data) {
		return nil
	}
	return writeFile(path, data, 0o644)
}
