// Package manifest reads pith.yaml: the description of one program, or of
// several services in their networks. It tells all mistakes of a file in one
// report, each with its line and column.
//
// It relies on YAML 1.2 as github.com/goccy/go-yaml reads it, on the names of
// the Compose Specification where it has them, and on package machine for the
// notation of ports and memory. It must not start or change anything, and it
// reads no file but the manifest (of others, it only asks whether they exist).
package manifest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"pith"
)

// FileName is the manifest's name beside a program.
const FileName = "pith.yaml"

// maxSize is the largest manifest in bytes.
const maxSize = 256 << 10

// Manifest is a manifest that was read and found right.
type Manifest struct {
	pith.Topology
	// Single tells the form of one program, whose keys stand at the top level:
	// Services has one entry.
	Single bool

	spots map[string]spot // where things stand, see decoder.mark
}

// Read reads and checks the manifest at path. Mistakes in it are a *pith.Error
// that wraps a Report.
func Read(path string) (*Manifest, error) {
	return ReadWith(path, func(*Manifest) error { return nil })
}

// ReadWith is Read with checks of the caller's own. They are made although there are
// other mistakes, so that one report has them all: unless the manifest has the wrong
// form.
func ReadWith(path string, more func(*Manifest) error) (*Manifest, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, pith.Errorf("there is no manifest %s", path)
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxSize {
		return nil, pith.Errorf("%s is no manifest: a file of at most 256 KiB is one", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parse(path, data, more)
}

// Find returns the manifest beside the program in a folder; nil where there is
// none.
func Find(dir string) (*Manifest, error) {
	path := filepath.Join(dir, FileName)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return Read(path)
}

// Parse reads a manifest from data. Paths in it are meant from the folder of
// path, which also names the file in the report.
func Parse(path string, data []byte) (*Manifest, error) {
	return parse(path, data, func(*Manifest) error { return nil })
}

func parse(path string, data []byte, more func(*Manifest) error) (*Manifest, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	r := &report{file: path}
	root := readTree(r, data)
	if root == nil {
		return nil, r.err()
	}
	single := root.get("services") == nil
	table := severalTable
	if single {
		table = singleTable
	}
	r.check(root, table)
	if r.unclear() {
		return nil, r.err() // what has the wrong form can't be understood further
	}
	d := &decoder{report: r, dir: filepath.Dir(absolute), m: &Manifest{Single: single, spots: map[string]spot{}}}
	d.decode(root)
	d.m.File = absolute
	c := checker{report: r, m: d.m}
	c.all()
	if err := errors.Join(r.err(), more(d.m)); err != nil {
		return nil, err
	}
	return d.m, nil
}
