package deploy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"pith"
	"pith/machine"
)

// Permissions of what an instance is given, where the file says nothing.
const (
	configMode = 0o444
	secretMode = 0o400
)

// copies keeps the deployment's own copies of what instances are given, in a folder
// that only this user can enter: a machine that is started again gets the same
// bytes, whatever has become of their source. A copy's name follows from its
// contents and permissions.
type copies struct{ dir string }

// contents are the entries of a file or folder to copy, named from its root, "".
func contents(g pith.Given) (entries []machine.RootFile, err error) {
	const file = syscall.S_IFREG | configMode
	if g.Variable != "" {
		value, ok := os.LookupEnv(g.Variable)
		if !ok {
			return nil, pith.Errorf("%s is to come from variable %s, which is not set", g.Target, g.Variable)
		}
		return []machine.RootFile{{Mode: file, Data: []byte(value)}}, nil
	}
	if g.Source == "" {
		return []machine.RootFile{{Mode: file, Data: []byte(g.Content)}}, nil
	}
	err = machine.WalkFiles([]pith.File{{Source: g.Source, Target: "/"}}, func(name string, mode uint32, data []byte) {
		entries = append(entries, machine.RootFile{Name: strings.TrimPrefix(name, "/"), Mode: mode, Data: data})
	})
	return entries, err
}

// keep copies something; mode 0 leaves its files' permissions as they are.
func (c copies) keep(g pith.Given, mode uint32) (pith.File, error) {
	entries, err := contents(g)
	if err != nil {
		return pith.File{}, err
	}
	h := sha256.New()
	for i := range entries {
		if e := &entries[i]; mode != 0 && e.Mode&syscall.S_IFMT == syscall.S_IFREG {
			e.Mode = syscall.S_IFREG | mode
		}
		note(h, entries[i])
	}
	f := pith.File{Source: filepath.Join(c.dir, hex.EncodeToString(h.Sum(nil)[:16])), Target: g.Target}
	if _, err := os.Lstat(f.Source); err == nil {
		return f, nil
	}
	if err := c.write(f.Source, entries); err != nil {
		return f, fmt.Errorf("keep a copy of %s: %w", g.Target, err)
	}
	return f, nil
}

func note(h hash.Hash, e machine.RootFile) {
	fmt.Fprintf(h, "%q %o %d\n", e.Name, e.Mode, len(e.Data))
	h.Write(e.Data)
}

// write makes a copy that appears whole.
func (c copies) write(path string, entries []machine.RootFile) error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(c.dir, ".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp) // nothing is left there once it has its name
	root := filepath.Join(tmp, "copy")
	if entries[0].Mode&syscall.S_IFMT == syscall.S_IFDIR {
		err = os.Mkdir(root, 0o755)
		entries = entries[1:]
	}
	for i := range entries {
		entries[i].Name = filepath.Join("copy", entries[i].Name)
	}
	err = errors.Join(err, machine.WriteRoot(tmp, entries))
	if err != nil {
		return err
	}
	if err := os.Rename(root, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// given are the copies of all that an instance of a service gets at its start. What
// an image holds is not among it.
func (c copies) given(s *pith.Service) ([]pith.File, error) {
	var files []pith.File
	var errs []error
	add := func(g pith.Given, mode uint32) {
		f, err := c.keep(g, mode)
		files, errs = append(files, f), append(errs, err)
	}
	if machine.Hosted(string(s.Kind)) {
		for _, f := range s.Files {
			add(pith.Given{Source: f.Source, Target: f.Target}, 0)
		}
	}
	for _, g := range s.Configs {
		add(g, cmp.Or(g.Mode, configMode))
	}
	for _, g := range s.Secrets {
		add(g, cmp.Or(g.Mode, secretMode))
	}
	return files, errors.Join(errs...)
}
