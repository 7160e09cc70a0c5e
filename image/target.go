package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"pith"
	"pith/cache"
)

// target is what the user named, for the go command.
type target struct {
	dir      string   // where to call it
	patterns []string // its package arguments
	goflags  string   // added to GOFLAGS
	goenv    []string // added to the environment
	version  string   // of the module, where one was named
}

// locate finds out what Options.What names: module@version, a file, a
// directory, or else a package path.
func (b *builder) locate(ctx context.Context) (target, error) {
	what := b.options.What
	if what == "" {
		what = "."
	}
	place := what
	if !filepath.IsAbs(place) {
		place = filepath.Join(b.dir, place)
	}
	switch {
	case isDir(place):
		return target{dir: place, patterns: []string{"."}}, nil
	case isFile(place) && strings.HasSuffix(place, ".go"):
		return target{dir: filepath.Dir(place), patterns: []string{filepath.Base(place)}}, nil
	case isFile(place):
		return target{}, pith.Errorf("%s is a file, but no Go source: name a directory, a package or module@version", what)
	case strings.Contains(what, "@"):
		return b.fetch(ctx, what)
	case isPath(what):
		return target{}, pith.Errorf("there is no directory %s", what)
	default:
		return target{dir: b.dir, patterns: []string{what}}, nil
	}
}

// isPath tells a directory's name from a package's, as the go command does.
func isPath(what string) bool {
	return filepath.IsAbs(what) || what == "." || what == ".." || strings.HasPrefix(what, "./") || strings.HasPrefix(what, "../")
}

// fetch downloads the module that path@version names or lies in, and copies it
// to a folder of ours: it is built there as it would be in its own checkout.
func (b *builder) fetch(ctx context.Context, what string) (target, error) {
	pkg, version, _ := strings.Cut(what, "@")
	if pkg == "" || version == "" {
		return target{}, pith.Errorf("%q is no module@version", what)
	}
	module, err := b.findModule(ctx, pkg, version)
	if err != nil {
		return target{}, err
	}
	dir, err := b.copyModule(ctx, module)
	if err != nil {
		return target{}, err
	}
	rest := strings.TrimPrefix(strings.TrimPrefix(pkg, module.Path), "/")
	return target{
		dir:      filepath.Join(dir, filepath.FromSlash(rest)),
		patterns: []string{"."},
		goflags:  "-mod=mod", // a published module may lack lines in its go.sum
		goenv:    []string{"GOWORK=off"},
		version:  module.Version,
	}, b.checkFolder(dir, rest, what)
}

// checkFolder fails where a module has no such folder.
func (b *builder) checkFolder(dir, rest, what string) error {
	if !isDir(filepath.Join(dir, filepath.FromSlash(rest))) {
		return pith.Errorf("%s: the module has no package %s", what, rest)
	}
	return nil
}

// findModule downloads the module with the longest path that pkg begins with.
func (b *builder) findModule(ctx context.Context, pkg, version string) (downloaded, error) {
	tmp, err := os.MkdirTemp("", "pith-module-")
	if err != nil {
		return downloaded{}, err
	}
	defer os.RemoveAll(tmp)
	go_ := b.command("go", tmp, "GOFLAGS=", "GOWORK=off", "GO111MODULE=on")
	var first string
	for p := pkg; p != "." && p != "/"; p = path.Dir(p) {
		b.say("looking for %s@%s", p, version)
		m, err := downloadModule(ctx, go_, p+"@"+version)
		if err != nil {
			return downloaded{}, err
		}
		if m.Error == "" {
			return m, nil
		}
		if m.Info != "" {
			return downloaded{}, pith.Errorf("%s", m.Error)
		}
		if first == "" {
			first = m.Error
		}
	}
	return downloaded{}, pith.Errorf("there is no module %s@%s: %s", pkg, version, first)
}

// downloadModule asks for one module; a module that isn't there is no error
// but has a text in its field Error.
func downloadModule(ctx context.Context, go_ command, query string) (downloaded, error) {
	out, err := go_.output(ctx, "mod", "download", "-json", query)
	var f *failure
	if err != nil && !errors.As(err, &f) {
		return downloaded{}, err
	}
	var m downloaded
	if json.Unmarshal(f.orOutput(out), &m) != nil && f != nil {
		m.Error = f.stderr
	}
	if f != nil && m.Error == "" {
		m.Error = f.Error()
	}
	return m, nil
}

// orOutput is what a command printed, whether it failed (f) or not.
func (f *failure) orOutput(out []byte) []byte {
	if f == nil {
		return out
	}
	return f.stdout
}

// copyRevision changes when copyModule makes another copy of the same module.
const copyRevision = "2"

// copyModule copies a module out of the module cache, which is read-only.
func (b *builder) copyModule(ctx context.Context, m downloaded) (string, error) {
	dir := b.cache.Path(cache.Modules, digest(copyRevision, m.Path, m.Version, m.Sum))
	err := b.kept(dir, func() error {
		return makeDir(dir, func(tmp string) error {
			if err := copyTree(tmp, m.Dir); err != nil {
				return err
			}
			if !isFile(filepath.Join(tmp, "go.mod")) {
				return copyFile(filepath.Join(tmp, "go.mod"), m.GoMod, 0o644)
			}
			return b.dropReplacements(ctx, tmp)
		})
	})
	return dir, err
}

// dropReplacements takes out of a published module's go.mod what replaces other
// modules by folders beside it: they were not published with it, and whoever
// depends on the module gets what it requires instead.
func (b *builder) dropReplacements(ctx context.Context, dir string) error {
	go_ := b.command("go", dir, "GOFLAGS=", "GOWORK=off", "GO111MODULE=on")
	out, err := go_.output(ctx, "mod", "edit", "-json")
	if err != nil {
		return err
	}
	var mod struct {
		Replace []struct {
			Old, New struct{ Path, Version string }
		}
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		return fmt.Errorf("go mod edit: %w", err)
	}
	args := []string{"mod", "edit"}
	for _, r := range mod.Replace {
		if r.New.Version != "" || isDir(filepath.Join(dir, r.New.Path)) && !strings.HasPrefix(r.New.Path, "../") {
			continue
		}
		old := r.Old.Path
		if r.Old.Version != "" {
			old += "@" + r.Old.Version
		}
		args = append(args, "-dropreplace="+old)
	}
	if len(args) == 2 {
		return nil
	}
	_, err = go_.output(ctx, args...)
	return err
}

// copyTree copies the folders and files below from, as writable ones.
func copyTree(to, from string) error {
	return filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		return copyFile(filepath.Join(to, rel), name, 0o644)
	})
}
