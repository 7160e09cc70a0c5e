// Package compose makes a pith.yaml of compose files. What a pith.yaml has no word
// for is told, each with its file and line; nothing is dropped in silence.
//
// It relies on github.com/compose-spec/compose-go for the Compose Specification:
// variables, extends, include, profiles and env_file are as docker compose has them.
// It must not fetch anything, nor start a program, and it writes no file.
package compose

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/sirupsen/logrus"

	"pith"
)

// maxSize is the largest compose file in bytes.
const maxSize = 256 << 10

// FileNames are a compose file's usual names, the first that is there counts.
var FileNames = []string{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"}

// Options say how to read.
type Options struct {
	Profiles []string          // of services to take
	Build    map[string]string // of a service: the Go program that it is, see pith.Service.Build
	Environ  []string          // KEY=VALUE, for variables in the files
	Bind     string            // the host's address of ports that name none; "": 0.0.0.0, as compose has it
}

// Note is something that the pith.yaml doesn't say, or says otherwise.
type Note struct {
	File string `json:"file"`
	Line int    `json:"line"` // from 1
	Text string `json:"text"` // one sentence
}

// String is a note as "file:line: sentence".
func (n Note) String() string { return fmt.Sprintf("%s:%d: %s", n.File, n.Line, n.Text) }

// Import makes a pith.yaml of compose files, of which each overrides those before.
// Paths in it are relative to the first file's folder, where it belongs. What is wrong
// with the files is a *pith.Error.
func Import(ctx context.Context, files []string, o Options) ([]byte, []Note, error) {
	s, err := readSources(files)
	if err != nil {
		return nil, nil, err
	}
	dir, err := filepath.Abs(filepath.Dir(files[0]))
	if err != nil {
		return nil, nil, err
	}
	environ, err := environment(dir, o.Environ)
	if err != nil {
		return nil, nil, err
	}
	var unknown []loader.UnsupportedAttribute
	project, err := load(ctx, types.ConfigDetails{WorkingDir: dir, ConfigFiles: s.configFiles(), Environment: environ}, func(lo *loader.Options) {
		lo.Profiles = o.Profiles
		lo.ResolvePaths = true
		lo.SetProjectName(loader.NormalizeProjectName(filepath.Base(dir)), false)
		loader.WithSupportedAttributes(supported, func(found []loader.UnsupportedAttribute) { unknown = found })(lo)
	})
	if err != nil {
		return nil, nil, err
	}
	c := &converter{Options: o, sources: s.with(project.ComposeFiles, dir), project: project, dir: dir, left: map[string]bool{}}
	text, err := c.convert()
	if err != nil {
		return nil, nil, err
	}
	for _, u := range unknown {
		if path := u.Path.Parts(); path[0] != "services" || !c.left[path[1]] {
			c.unsupported(path)
		}
	}
	return text, c.sorted(), nil
}

// environment are the variables that files may use: those of .env beside them, and
// environ before these.
func environment(dir string, environ []string) (types.Mapping, error) {
	all := types.NewMapping(nil)
	text, err := os.ReadFile(filepath.Join(dir, ".env"))
	if err == nil {
		values, err := readEnv(text, environ)
		if err != nil {
			return nil, pith.Errorf("%s: %w", filepath.Join(dir, ".env"), err)
		}
		all = values
	}
	for _, kv := range environ {
		if key, value, ok := strings.Cut(kv, "="); ok {
			all[key] = value
		}
	}
	return all, nil
}

// load reads the project. Some malformed files make the library panic: a clear sentence
// comes of that, too.
func load(ctx context.Context, d types.ConfigDetails, options func(*loader.Options)) (p *types.Project, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = pith.Errorf("%s can't be understood as a compose file: %v", d.ConfigFiles[0].Filename, r)
		}
	}()
	logrus.SetOutput(io.Discard) // its warnings are told as notes, with their places
	p, err = loader.LoadWithContext(ctx, d, options)
	switch {
	case errors.Is(err, context.Canceled):
		return nil, err
	case err != nil:
		return nil, pith.Errorf("%s: %s", d.ConfigFiles[0].Filename, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return p, nil
}

// sorted are the notes, each once, in the order of their places.
func (c *converter) sorted() []Note {
	slices.SortStableFunc(c.notes, func(a, b Note) int {
		if a.File != b.File {
			return strings.Compare(a.File, b.File)
		}
		return a.Line - b.Line
	})
	return slices.Compact(c.notes)
}
