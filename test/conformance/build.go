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
// uses a copy.
var copied = map[string]bool{"net/netip": true}

// build links a package's tests for Pith.
func (r *Runner) build(ctx context.Context, pkg string) (string, error) {
	name := strings.ReplaceAll(pkg, "/", "_")
	binary := filepath.Join(r.Dir, name+".test")
	args := []string{"test", "-c", "-vet=off", "-o", binary, "-ldflags=" + r.Tools.LDFlags}
	if tag := tags[pkg]; tag != "" {
		args = append(args, "-tags="+tag)
	}
	if copied[pkg] {
		config := filepath.Join(r.Dir, name+".json")
		if err := r.copyForKernel(pkg, config); err != nil {
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

// copyForKernel writes an overlay's file in which the kernel imports a copy of a
// package, pith/std/PKG.
func (r *Runner) copyForKernel(pkg, config string) error {
	replace := map[string]string{}
	src := filepath.Join(r.Tools.Shadow, "src")
	sources, err := filepath.Glob(filepath.Join(r.Tools.Root, "src", pkg, "*.go"))
	if err != nil {
		return err
	}
	for _, file := range sources {
		if !strings.HasSuffix(file, "_test.go") {
			replace[filepath.Join(src, "pith", "std", pkg, filepath.Base(file))] = file
		}
	}
	dir := strings.TrimSuffix(config, ".json")
	err = filepath.WalkDir(filepath.Join(src, "pith"), func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(file) != ".go" {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(text, []byte(`"`+pkg+`"`)) {
			return err
		}
		changed := filepath.Join(dir, strings.TrimPrefix(file, src))
		if err := os.MkdirAll(filepath.Dir(changed), 0o777); err != nil {
			return err
		}
		replace[file] = changed
		return os.WriteFile(changed, bytes.ReplaceAll(text, []byte(`"`+pkg+`"`), []byte(`"pith/std/`+pkg+`"`)), 0o666)
	})
	if err != nil {
		return err
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return err
	}
	return os.WriteFile(config, text, 0o666)
}
