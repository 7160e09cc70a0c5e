package image

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"pith"
	"pith/cache"
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

// namesake is a main module of the user's that is called pith, as what the kernel's
// packages begin with. The zero one is none.
type namesake struct {
	dir    string
	own    bool     // it is Pith's own checkout
	hidden []string // import paths of its packages that the kernel has, too
	files  overlay  // takes them away
	work   string   // a folder for files of the overlay
}

// findNamesake looks for such a module where dir is built, and takes out of it what
// images have in the standard library under the same path.
func (b *builder) findNamesake(ctx context.Context, tools toolchain, s *sources, dir string) (n namesake, err error) {
	if n.dir, err = b.moduleCalledPith(ctx, tools, dir); err != nil || n.dir == "" {
		return n, err
	}
	n.own = isFile(filepath.Join(n.dir, "source.go")) && isDir(filepath.Join(n.dir, "kernel", "boot"))
	n.files = overlay{}
	for _, folder := range s.folders() {
		files, err := filepath.Glob(filepath.Join(n.dir, filepath.FromSlash(folder), "*.go"))
		if err != nil {
			return n, err
		}
		for _, file := range files {
			n.files[file] = ""
		}
		if len(files) > 0 {
			n.hidden = append(n.hidden, "pith/"+folder)
		}
	}
	if len(n.hidden) == 0 {
		return n, nil
	}
	n.work = b.cache.Path(cache.Builds, digest("namesake", n.dir))
	if n.own {
		n.files[filepath.Join(n.dir, "source.go")] = filepath.Join(n.work, "source.go")
	}
	return n, b.kept(n.work, func() error {
		return makeDir(n.work, func(tmp string) error {
			return errors.Join(
				writeFile(filepath.Join(tmp, cache.SourceFile), []byte(n.dir), 0o644),
				writeFile(filepath.Join(tmp, "source.go"), []byte(emptySource), 0o644))
		})
	})
}

// emptySource stands for Pith's own source.go, which embeds the files that are hidden.
const emptySource = "package pith\n\nimport \"embed\"\n\nvar Source embed.FS\n"

// moduleCalledPith is the folder of the main module of this name; "" if there is none.
func (b *builder) moduleCalledPith(ctx context.Context, tools toolchain, dir string) (string, error) {
	if tools.work == "" {
		text, err := os.ReadFile(tools.mod)
		if err != nil || !calledPith.Match(text) {
			return "", nil // without a go.mod there is no module
		}
		return filepath.Dir(tools.mod), nil
	}
	out, err := b.command(tools.goPath(), dir).output(ctx, "list", "-m", "-f", "{{.Path}}\t{{.Dir}}")
	if err != nil {
		return "", b.explain(err, dir)
	}
	for line := range strings.Lines(string(out)) {
		if path, dir, _ := strings.Cut(strings.TrimSpace(line), "\t"); path == "pith" {
			return dir, nil
		}
	}
	return "", nil
}

var calledPith = regexp.MustCompile(`(?m)^module[ \t]+"?pith"?[ \t\r]*(//.*)?$`)

// check fails where a program imports a package of its own that is hidden.
func (n namesake) check(packages []listed) error {
	for _, l := range packages {
		for _, path := range l.Imports {
			if !n.own && !l.Standard && slices.Contains(n.hidden, path) {
				return notApart(path)
			}
		}
	}
	return nil
}

// notApart says why a program can't have a package.
func notApart(importPath string) error {
	return pith.Errorf("package %s is there twice, because each image has one of Pith's own with this path: give yours, or the module in go.mod, another name", importPath)
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
