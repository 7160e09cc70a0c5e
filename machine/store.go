package machine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"

	"pith"
)

// Store is the folder that remembers machines: one folder for each, named as
// the machine is. A folder appears whole (it is renamed into place), so a
// crash leaves at most a hidden leftover, which the next Create sweeps away.
type Store struct {
	dir string
}

// OpenStore uses the folder dir; it need not exist.
func OpenStore(dir string) *Store { return &Store{dir: dir} }

// Dir is the store's folder.
func (s *Store) Dir() string { return s.dir }

// DefaultDir is where machines are remembered: $PITH_STATE, or pith below
// $XDG_STATE_HOME, which is ~/.local/state by default.
// Source: XDG Base Directory Specification 0.8.
func DefaultDir(getenv func(string) string) (string, error) {
	if dir := getenv("PITH_STATE"); dir != "" {
		return filepath.Abs(dir)
	}
	if dir := getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "pith"), nil
	}
	home := getenv("HOME")
	if home == "" {
		return "", pith.Errorf("no place to remember machines: set HOME or PITH_STATE")
	}
	return filepath.Join(home, ".local", "state", "pith"), nil
}

// Files of a machine's folder.
const (
	specFile   = "spec.json"
	stateFile  = "state.json"
	socketFile = "control.sock"
	driverDir  = "driver"
)

// Entry is one remembered machine.
type Entry struct {
	Dir  string
	Spec Spec
}

// Create remembers a new machine, whose supervisor this process is until
// another takes over. A name that is taken is a *pith.Error.
func (s *Store) Create(spec Spec) (*Entry, error) {
	if err := spec.Check(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of machines: %w", err)
	}
	s.sweep()
	tmp, err := os.MkdirTemp(s.dir, ".new-")
	if err != nil {
		return nil, fmt.Errorf("make a machine's folder: %w", err)
	}
	defer os.RemoveAll(tmp) // nothing is left there once it is renamed
	self, err := Self()
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(filepath.Join(tmp, driverDir), 0o700); err != nil {
		return nil, err
	}
	if err := writeJSON(filepath.Join(tmp, specFile), spec); err != nil {
		return nil, err
	}
	if err := writeJSON(filepath.Join(tmp, stateFile), State{Status: StatusCreated, Supervisor: self}); err != nil {
		return nil, err
	}
	dir := filepath.Join(s.dir, spec.Name)
	if err := os.Rename(tmp, dir); err != nil {
		return nil, s.taken(spec.Name, err)
	}
	return &Entry{Dir: dir, Spec: spec}, nil
}

// taken explains why a folder could not be renamed to name.
func (s *Store) taken(name string, err error) error {
	if !errors.Is(err, fs.ErrExist) && !errors.Is(err, syscall.ENOTEMPTY) {
		return fmt.Errorf("remember machine %s: %w", name, err)
	}
	e, err := s.Find(name)
	if err == nil && e.State().Status == StatusExited {
		return pith.Errorf("the name %s is taken by a machine that has ended: remove it with `pith rm %s`", name, name)
	}
	return pith.Errorf("the name %s is taken by a machine that runs", name)
}

// sweep removes what a crash in the middle of Create or Remove left behind.
func (s *Store) sweep() {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if time.Since(info.ModTime()) > time.Hour {
			os.RemoveAll(filepath.Join(s.dir, e.Name()))
		}
	}
}

// Find looks a machine up by its name; none is a *pith.Error.
func (s *Store) Find(name string) (*Entry, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	e := &Entry{Dir: filepath.Join(s.dir, name)}
	err := readJSON(filepath.Join(e.Dir, specFile), &e.Spec)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, pith.Errorf("there is no machine named %s: `pith ps -a` lists them", name)
	}
	if err != nil {
		return nil, fmt.Errorf("machine %s: %w", name, err)
	}
	return e, nil
}

// List is every remembered machine, the newest first. A folder that can't be
// read is left out.
func (s *Store) List() ([]*Entry, error) {
	dirs, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list machines: %w", err)
	}
	var list []*Entry
	for _, d := range dirs {
		if e, err := s.Find(d.Name()); err == nil {
			list = append(list, e)
		}
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].Spec.Created.After(list[j].Spec.Created) })
	return list, nil
}

// State is the machine's state as it is in truth; see State.Now.
func (e *Entry) State() State {
	var s State
	if err := readJSON(filepath.Join(e.Dir, stateFile), &s); err != nil {
		return State{Status: StatusExited, ExitCode: ExitKilled, Error: fmt.Sprintf("its state is lost: %v", err)}
	}
	return s.Now()
}

// SetState puts a new state on disk, whole or not at all.
func (e *Entry) SetState(s State) error {
	return writeJSON(filepath.Join(e.Dir, stateFile), s)
}

// Remove forgets a machine that has ended. It also ends a machine that its
// supervisor left behind.
func (e *Entry) Remove() error {
	s := e.State()
	if s.Status != StatusExited {
		return pith.Errorf("machine %s runs: stop it first, or use `pith rm -f %s`", e.Spec.Name, e.Spec.Name)
	}
	return e.forget(s)
}

// Discard forgets a machine that was never started.
func (e *Entry) Discard() error { return e.forget(State{}) }

// Home is the folder of the store that the machine is in.
func (e *Entry) Home() string { return filepath.Dir(e.Dir) }

func (e *Entry) forget(s State) error {
	if err := s.Process.Kill(); err != nil {
		return err
	}
	// Out of sight first: a reader never finds half a machine.
	hidden := filepath.Join(filepath.Dir(e.Dir), fmt.Sprintf(".old-%s-%d", e.Spec.Name, time.Now().UnixNano()))
	if err := os.Rename(e.Dir, hidden); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("forget machine %s: %w", e.Spec.Name, err)
	}
	return os.RemoveAll(hidden)
}

// writeJSON replaces a file as a whole.
func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, append(data, '\n'), 0o600); err != nil {
		os.Remove(tmp)
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		os.Remove(tmp)
		return err
	}
	return nil
}

func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	return nil
}
