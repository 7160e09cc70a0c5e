package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// tags are build tags that packages' tests need in a machine.
var tags = map[string]string{
	// Its tests load a time zone before package os, and with it the file
	// system, is initialised.
	"time": "timetzdata",
}

// copied are packages that the kernel uses and whose own tests, which are in the
// package itself, use package os: an import cycle. For these tests the kernel
// uses copies, of the package and of what stands between the two.
var copied = map[string][]string{"net/netip": {"net/netip"}, "maps": {"maps"}, "unique": {"net/netip", "unique"}}

// build links a package's tests for Pith.
func (r *Runner) build(ctx context.Context, pkg string) (string, error) {
	name := strings.ReplaceAll(pkg, "/", "_")
	binary := filepath.Join(r.Dir, name+".test")
	args := []string{"test", "-c", "-vet=off", "-o", binary, "-ldflags=" + r.Tools.LDFlags}
	if tag := tags[pkg]; tag != "" {
		args = append(args, "-tags="+tag)
	}
	if copies := copied[pkg]; copies != nil {
		config := filepath.Join(r.Dir, name+".json")
		if err := r.copyForKernel(copies, config); err != nil {
			return "", err
		}
		args = append(args, "-overlay="+config)
	}
	cmd := exec.CommandContext(ctx, r.Tools.Go, append(args, pkg)...)
	dir := filepath.Join(r.Tools.Shadow, "src")
	cmd.Env, cmd.Dir = append(r.Tools.Env, "PWD="+dir), dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", pkg, err, out)
	}
	if _, err := os.Stat(binary); err != nil {
		return "", fmt.Errorf("%s has no tests: %s", pkg, out)
	}
	return binary, nil
}

// copyForKernel writes an overlay's file in which the kernel imports copies of
// packages, pith/std/PKG.
func (r *Runner) copyForKernel(pkgs []string, config string) error {
	c := copier{pkgs: pkgs, dir: strings.TrimSuffix(config, ".json"), replace: map[string]string{}}
	src := filepath.Join(r.Tools.Shadow, "src")
	for _, pkg := range pkgs {
		sources, err := filepath.Glob(filepath.Join(r.Tools.Root, "src", pkg, "*.go"))
		if err != nil {
			return err
		}
		for _, file := range sources {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			target := filepath.Join(src, "pith", "std", pkg, filepath.Base(file))
			if err := c.copy(target, file); err != nil {
				return err
			}
		}
	}
	err := filepath.WalkDir(filepath.Join(src, "pith"), func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(file) != ".go" {
			return err
		}
		return c.copy(file, file)
	})
	if err != nil {
		return err
	}
	text, err := json.Marshal(map[string]any{"Replace": c.replace})
	if err != nil {
		return err
	}
	return os.WriteFile(config, text, 0o666)
}

// copier makes the files of an overlay.
type copier struct {
	pkgs    []string
	dir     string
	replace map[string]string // what stands where, by the path that the go command sees
}

// copy has target read as file with the copies imported.
func (c *copier) copy(target, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	changed := text
	for _, pkg := range c.pkgs {
		changed = bytes.ReplaceAll(changed, []byte(`"`+pkg+`"`), []byte(`"pith/std/`+pkg+`"`))
	}
	if target == file && bytes.Equal(text, changed) {
		return nil
	}
	name := filepath.Join(c.dir, fmt.Sprint(len(c.replace), "-", filepath.Base(file)))
	if err := os.MkdirAll(c.dir, 0o777); err != nil {
		return err
	}
	c.replace[target] = name
	return os.WriteFile(name, changed, 0o666)
}
