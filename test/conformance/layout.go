package conformance

import (
	"cmp"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// lay puts a program's sources where pith build finds them; what is to be built,
// and the folder to build it in.
func (r *Runner) lay(ctx context.Context, p program) (what, dir string, err error) {
	file := filepath.Join(r.Tools.Root, "test", filepath.FromSlash(p.name))
	if p.action == "run" && len(p.sources) == 0 {
		return "./" + filepath.Base(file), filepath.Dir(file), nil
	}
	dir = filepath.Join(r.Dir, "program")
	if err := os.RemoveAll(dir); err != nil {
		return "", "", err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return "", "", err
	}
	folder := strings.TrimSuffix(file, ".go") + ".dir"
	module := "test"
	switch p.action {
	case "runindir":
		module = filepath.Base(folder)
		err = os.CopyFS(dir, os.DirFS(folder))
	case "rundir":
		err = layPackages(dir, folder)
	default:
		for _, name := range append([]string{filepath.Base(file)}, p.sources...) {
			if err == nil {
				err = copyFile(filepath.Join(dir, name), filepath.Join(filepath.Dir(file), name))
			}
		}
	}
	if err != nil {
		return "", "", err
	}
	gomod := filepath.Join(dir, "go.mod")
	if err := os.WriteFile(gomod, fmt.Appendf(nil, "module %s\n\ngo %s\n", module, p.language), 0o666); err != nil {
		return "", "", err
	}
	if p.action == "runoutput" {
		return r.layOutput(ctx, p, dir)
	}
	return ".", dir, nil
}

// layPackages makes packages of the files of a folder: one of those that have the
// same package clause, called by its first file, as "./file" is how they are
// imported.
func layPackages(dir, folder string) error {
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return err
	}
	places := map[string]string{"main": dir}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		name := tree.Name.Name
		if places[name] == "" {
			places[name] = filepath.Join(dir, strings.TrimSuffix(filepath.Base(file), ".go"))
		}
		if err := os.MkdirAll(places[name], 0o777); err != nil {
			return err
		}
		shift := 0
		for _, i := range tree.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			if err != nil || !strings.HasPrefix(path, "./") {
				continue
			}
			at := int(i.Path.Pos()) - 1 + shift
			whole := strconv.Quote("test" + path[1:])
			text = append(append(append([]byte{}, text[:at]...), whole...), text[at+len(i.Path.Value):]...)
			shift += len(whole) - len(i.Path.Value)
		}
		base := filepath.Base(file)
		if stem, ok := strings.CutSuffix(base, "_test.go"); ok {
			base = stem + "_test_.go" // which the go command compiles
		}
		if err := os.WriteFile(filepath.Join(places[name], base), text, 0o666); err != nil {
			return err
		}
		if err := allowBodiless(places[name], tree); err != nil {
			return err
		}
	}
	return nil
}

// allowBodiless adds an empty file of assembly to a package that has a function
// without a body: the go command lets such a package pass then, as the bare
// compiler does.
func allowBodiless(dir string, tree *ast.File) error {
	for _, d := range tree.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Body == nil {
			return os.WriteFile(filepath.Join(dir, "empty.s"), nil, 0o666)
		}
	}
	return nil
}

// layOutput runs the program in dir in a machine: what it prints is the program.
func (r *Runner) layOutput(ctx context.Context, p program, dir string) (string, string, error) {
	img := filepath.Join(r.Dir, "generator.img")
	defer os.Remove(img)
	if err := r.image(ctx, p, ".", dir, img); err != nil {
		return "", "", err
	}
	text, err := r.output(ctx, img, 1, nil, nil)
	if err != nil {
		return "", "", fmt.Errorf("what generates it: %w\n%s", err, text)
	}
	dir = filepath.Join(dir, "output")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return "", "", err
	}
	return ".", dir, os.WriteFile(filepath.Join(dir, "main.go"), text, 0o666)
}

// image builds a program's image, without DWARF, which takes half of the linker's
// time and which none of them reads.
func (r *Runner) image(ctx context.Context, p program, what, dir, img string) error {
	build := exec.CommandContext(ctx, r.Pith, "build", "-o", img, "--ldflags", cmp.Or(p.ldflags, "-w"), what)
	build.Dir, build.Env = dir, append(os.Environ(), "PWD="+dir, "GOFLAGS="+p.goflags(), "GOEXPERIMENT="+p.experiment)
	build.Cancel = func() error { return build.Process.Signal(os.Interrupt) }
	build.WaitDelay = 10 * time.Second
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("it does not build: %w\n%s", err, out)
	}
	return nil
}

func copyFile(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o666)
}
