// Package volume keeps the persistent volumes of machines: each a raw, sparse file
// with an ext4 file system, in one folder. It makes, lists, checks and removes
// them, and locks those that a machine uses.
//
// It relies on package ext4, so that a host needs no tools of its own, and on
// flock(2). It must not know a machine driver, nor open a volume that a machine
// uses.
package volume

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"pith"
	"pith/ext4"
)

// DefaultSize is the size of a volume that nobody has asked for more of, in bytes.
// The host's disk holds only what was written.
const DefaultSize = 1 << 30

// MaxSize is the largest volume, in bytes.
const MaxSize = 16 << 40

// Store is the folder of all volumes.
type Store struct{ dir string }

// OpenStore uses the volumes that belong to the machines remembered in the folder
// state. No machine can have the name of the folder in it.
func OpenStore(state string) *Store { return &Store{filepath.Join(state, "_volumes")} }

// Info describes a volume.
type Info struct {
	Name    string    `json:"name"`
	Path    string    `json:"path"`
	Size    int64     `json:"size"`  // bytes
	Taken   int64     `json:"taken"` // bytes of the host's disk
	InUse   bool      `json:"inUse"`
	Changed time.Time `json:"changed"`
}

var namePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9_.-]{0,61}[a-z0-9])?$`)

// CheckName refuses what can't be a volume's name.
func CheckName(name string) error {
	if !namePattern.MatchString(name) {
		return pith.Errorf("%q can't be a volume's name: use 1 to 63 of a-z, 0-9, _, . and -, with a letter or digit first and last", name)
	}
	return nil
}

// Parse reads NAME:/TARGET[:ro], or SOURCE:/TARGET[:ro] for a folder of the host's,
// which begins with . or /.
func Parse(text string) (pith.Mount, error) {
	name, target, found := strings.Cut(text, ":")
	target, readOnly := strings.CutSuffix(target, ":ro")
	if !found || !path.IsAbs(target) || path.Clean(target) == "/" || strings.ContainsAny(target, "\x00\n") {
		return pith.Mount{}, pith.Errorf("%q is no volume: write NAME:/FOLDER or NAME:/FOLDER:ro, as in data:/var/lib/data, or a folder of the host as in ./site:/srv:ro", text)
	}
	m := pith.Mount{Target: path.Clean(target), ReadOnly: readOnly}
	if strings.HasPrefix(name, ".") || filepath.IsAbs(name) {
		absolute, err := filepath.Abs(name)
		m.Source = absolute
		return m, err
	}
	if strings.ContainsAny(name, "/~") {
		return pith.Mount{}, pith.Errorf("%s is no volume's name; for a folder of the host write ./%s:%s", name, name, target)
	}
	m.Volume = name
	return m, CheckName(name)
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, name+".img") }

// Create makes an empty volume.
func (s *Store) Create(name string, size int64) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if size < ext4.MinSize || size > MaxSize {
		return pith.Errorf("a volume has 16 MiB to 16 TiB, not %d bytes", size)
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("make the folder of volumes: %w", err)
	}
	f, err := os.CreateTemp(s.dir, ".new-")
	if err != nil {
		return fmt.Errorf("make volume %s: %w", name, err)
	}
	defer os.Remove(f.Name()) // nothing is left there once it has its name
	defer f.Close()
	if err := format(f, name, size); err != nil {
		return fmt.Errorf("make volume %s: %w", name, err)
	}
	if err := os.Link(f.Name(), s.path(name)); errors.Is(err, fs.ErrExist) {
		return pith.Errorf("there is a volume %s already", name)
	} else if err != nil {
		return fmt.Errorf("make volume %s: %w", name, err)
	}
	return nil
}

// Place lets the file at path, absolute, be a volume: it is made there if there is
// none. Remove then leaves the file.
func (s *Store) Place(name, path string, size int64) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if size < ext4.MinSize || size > MaxSize {
		return pith.Errorf("a volume has 16 MiB to 16 TiB, not %d bytes", size)
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("make the folder of volumes: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		if err := errors.Join(format(f, name, size), f.Close()); err != nil {
			return fmt.Errorf("make volume %s: %w", name, errors.Join(err, os.Remove(path)))
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return pith.Errorf("volume %s can't be kept in %s: %w", name, path, err)
	}
	if err := os.Symlink(path, s.path(name)); err != nil {
		return fmt.Errorf("make volume %s: %w", name, err)
	}
	return nil
}

func format(f *os.File, name string, size int64) error {
	if err := f.Truncate(size); err != nil {
		return err
	}
	o := ext4.MakeOptions{Label: name[:min(len(name), 16)], Time: time.Now()}
	rand.Read(o.UUID[:])
	rand.Read(o.Hash[:])
	o.UUID[6], o.UUID[8] = o.UUID[6]&0x0f|0x40, o.UUID[8]&0x3f|0x80 // RFC 9562, version 4
	if err := ext4.Make(&file{f: f, size: size}, o); err != nil {
		return err
	}
	return f.Sync()
}

// List is all volumes, by name.
func (s *Store) List() ([]Info, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list volumes: %w", err)
	}
	list := []Info{}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".img")
		if !ok || CheckName(name) != nil {
			continue
		}
		if info, err := s.Inspect(name); err == nil {
			list = append(list, info)
		}
	}
	return list, nil
}

// Inspect describes one volume.
func (s *Store) Inspect(name string) (Info, error) {
	f, err := s.open(name, os.O_RDONLY)
	if err != nil {
		return Info{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return Info{}, err
	}
	info := Info{Name: name, Path: f.Name(), Size: st.Size(), Changed: st.ModTime()}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		info.Taken = sys.Blocks * 512
	}
	info.InUse = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil
	return info, nil
}

func (s *Store) open(name string, flags int) (*os.File, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(s.path(name), flags, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, pith.Errorf("there is no volume %s: `pith volume ls` lists them", name)
	}
	if flags == os.O_RDWR && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)) {
		return nil, pith.Errorf("volume %s can't be written to: %w: mount it with :ro, or change who may write", name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("volume %s: %w", name, err)
	}
	return f, nil
}

// openFor opens a volume's file for one who writes, or who only reads: for writing then
// too, if that is allowed, since the volume may have to be put right.
func (s *Store) openFor(name string, readOnly bool) (*os.File, error) {
	f, err := s.open(name, os.O_RDWR)
	if err != nil && readOnly {
		return s.open(name, os.O_RDONLY)
	}
	return f, err
}

// Volume is a volume that is locked for its opener.
type Volume struct {
	Path string
	f    *os.File
	name string
}

// Open locks a volume, for one that writes or for many that read. A volume in use
// is a *pith.Error.
func (s *Store) Open(name string, readOnly bool) (*Volume, error) {
	f, err := s.openFor(name, readOnly)
	if err != nil {
		return nil, err
	}
	how := syscall.LOCK_EX
	if readOnly {
		how = syscall.LOCK_SH
	}
	if err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, pith.Errorf("volume %s is in use by another machine: stop that first (`pith ps`)", name)
	}
	return &Volume{f.Name(), f, name}, nil
}

// Use is Open for a machine: a volume that is not there is made, and one that was
// not unmounted is put right if the machine could not do so itself.
func (s *Store) Use(v pith.Mount) (*Volume, error) {
	if _, err := os.Stat(s.path(v.Volume)); errors.Is(err, fs.ErrNotExist) {
		// Another pith may make it at the same time.
		if err := s.Create(v.Volume, DefaultSize); err != nil && pith.ExitCode(err) != 2 {
			return nil, err
		}
	}
	if v.ReadOnly {
		if err := s.finish(v.Volume); err != nil {
			return nil, err
		}
	}
	opened, err := s.Open(v.Volume, v.ReadOnly)
	if err != nil {
		return nil, err
	}
	if err := opened.examine(v.ReadOnly); err != nil {
		opened.Close()
		return nil, pith.Errorf("volume %s can't be used: %w (its file is %s)", v.Volume, err, opened.Path)
	}
	return opened, nil
}

// finish puts a volume right that was not unmounted, for those who may only read: alone,
// since it writes. What is wrong with a volume otherwise is told by examine.
func (s *Store) finish(name string) error {
	f, err := s.openFor(name, true)
	if err != nil {
		return err
	}
	v := &Volume{f.Name(), f, name}
	dev, err := v.device(true)
	needed := err == nil && ext4.NeedsReplay(dev)
	if err := errors.Join(err, v.Close()); err != nil || !needed {
		return err
	}
	if v, err = s.Open(name, false); err != nil {
		return err
	}
	defer v.Close()
	if dev, err = v.device(false); err != nil {
		return err
	}
	if files, err := ext4.Mount(dev, ext4.Options{Interval: -1}); err == nil {
		files.Unmount()
	}
	return nil
}

// examine mounts the volume for a moment. Nothing is written.
func (v *Volume) examine(readOnly bool) error {
	dev, err := v.device(true)
	if err != nil {
		return err
	}
	files, err := ext4.Mount(dev, ext4.Options{ReadOnly: true, Interval: -1})
	if err != nil && !readOnly && ext4.NeedsReplay(dev) {
		return nil // which the machine does
	}
	if err != nil {
		return err
	}
	files.Unmount()
	return nil
}

// File is the volume's file. It holds the lock, as does whatever it is handed to.
func (v *Volume) File() *os.File { return v.f }

// Check says what is wrong with a volume; nothing is changed.
func (v *Volume) Check() ([]string, error) {
	dev, err := v.device(true)
	if err != nil {
		return nil, err
	}
	return ext4.Check(dev), nil
}

// Close unlocks the volume.
func (v *Volume) Close() error { return v.f.Close() }

// Remove deletes a volume that nobody uses.
func (s *Store) Remove(name string) error {
	v, err := s.Open(name, false)
	if err != nil {
		return err
	}
	defer v.Close()
	return os.Remove(v.Path)
}

func (v *Volume) device(readOnly bool) (*file, error) {
	info, err := v.f.Stat()
	if err != nil {
		return nil, err
	}
	return &file{v.f, info.Size(), readOnly}, nil
}

// file is an ext4.Device.
type file struct {
	f        *os.File
	size     int64
	readOnly bool
}

func (d *file) Read(off int64, into ...[]byte) error {
	for _, p := range into {
		if _, err := d.f.ReadAt(p, off); err != nil {
			return err
		}
		off += int64(len(p))
	}
	return nil
}

func (d *file) Write(off int64, from ...[]byte) error {
	for _, p := range from {
		if _, err := d.f.WriteAt(p, off); err != nil {
			return err
		}
		off += int64(len(p))
	}
	return nil
}

func (d *file) Flush() error   { return d.f.Sync() }
func (d *file) Size() int64    { return d.size }
func (d *file) ReadOnly() bool { return d.readOnly }
