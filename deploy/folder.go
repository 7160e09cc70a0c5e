package deploy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"pith"
)

// foldersName is the folder of deployments beside the machines, whose names have
// no underscore.
const foldersName = "_deployments"

// Folder remembers one deployment, in plain JSON that is replaced as a whole.
type Folder struct{ dir string }

// OpenFolder returns a deployment's folder below the folder of machines. It need
// not exist.
func OpenFolder(state, name string) Folder {
	return Folder{filepath.Join(state, foldersName, name)}
}

// Names lists the deployments that there are.
func Names(state string) []string {
	entries, err := os.ReadDir(filepath.Join(state, foldersName))
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// Wanted is what was wanted last; nil where the deployment isn't up.
func (f Folder) Wanted() (*Wanted, error) {
	w := &Wanted{}
	err := f.read("wanted.json", w)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return w, err
}

// SetWanted writes what is wanted.
func (f Folder) SetWanted(w *Wanted) error { return f.write("wanted.json", w) }

// State is what the keeper wrote last; the zero one where there is none.
func (f Folder) State() (State, error) {
	var s State
	err := f.read("state.json", &s)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	return s, err
}

func (f Folder) setState(s State) error { return f.write("state.json", s) }

// Images is the folder of the deployment's own copies of images.
func (f Folder) Images() string { return filepath.Join(f.dir, "images") }

// Files is the folder of the deployment's own copies of what instances are given.
func (f Folder) Files() string { return filepath.Join(f.dir, "files") }

// Log is the file that the keeper writes to.
func (f Folder) Log() string { return filepath.Join(f.dir, "keeper.log") }

// Make makes the folder.
func (f Folder) Make() error { return os.MkdirAll(f.Images(), 0o700) }

// Remove takes the folder away, and that of all deployments with the last one.
func (f Folder) Remove() error {
	err := os.RemoveAll(f.dir)
	os.Remove(f.lockFile())
	os.Remove(filepath.Dir(f.dir)) // stays while there are others
	return err
}

func (f Folder) lockFile() string { return f.dir + ".lock" }

// Lock keeps other commands from changing the deployment until unlock is called.
// Where one does already, it is refused.
func (f Folder) Lock() (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(f.dir), 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(f.lockFile(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return nil, pith.Errorf("another command changes deployment %s: wait until it has ended", filepath.Base(f.dir))
	}
	return func() {
		if _, err := os.Stat(f.dir); errors.Is(err, fs.ErrNotExist) {
			f.Remove() // there is no deployment: leave no lock either
		}
		file.Close()
	}, nil
}

func (f Folder) read(name string, v any) error {
	data, err := os.ReadFile(filepath.Join(f.dir, name))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(f.dir, name), err)
	}
	return nil
}

func (f Folder) write(name string, v any) error {
	path := filepath.Join(f.dir, name)
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.WriteFile(path+".tmp", append(data, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return string(text)
}
