package linuxvm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"pith"
	"pith/cache"
	"pith/machine"
)

//go:embed init/*.go init/*.s
var initSource embed.FS

// initModule is the go.mod that the init is built with: it needs nothing but
// the standard library.
const initModule = "module init\n\ngo 1.25\n"

// Build says what goes into a guest.
type Build struct {
	Kernel   string       // a bzImage or vmlinux; "" is the newest in /boot
	Modules  string       // its folder of modules; "" is /lib/modules/ and its release
	Needs    []string     // kernel modules that the program needs
	Program  string       // a static linux/amd64 executable
	Files    []pith.File  // copied into the RAM disk
	Ports    bool         // the guest can have virtio-serial ports
	Disk     bool         // it will have Options.Disk
	Cache    string       // where to keep what was made; "" is in the user's cache
	Progress func(string) // is told, a line at a time, what is done; nil is silent
	Hold     *cache.Hold  // keeps in the cache what the guest is made of; nil: until Prepare ends

	added   func(paths ...string) // tells the cache what came to it
	release func()
}

// Guest is a kernel and a RAM disk, ready to start.
type Guest struct {
	Kernel  string // vmlinux
	Packed  string // the kernel as the distribution ships it
	RAMDisk string // uncompressed, so that the guest needn't unpack it
	Release string // the kernel's

	tsc int64 // rate of the host's time-stamp counter in kHz; 0 is unknown
}

// Prepare makes a guest of a kernel and a program. What is slow (unpacking the
// kernel, building the init) is kept in the cache and done once.
func Prepare(ctx context.Context, b Build) (*Guest, error) {
	if err := b.fill(); err != nil {
		return nil, err
	}
	defer b.release()
	image, err := os.ReadFile(b.Kernel)
	if err != nil {
		return nil, fmt.Errorf("linuxvm: kernel: %w", err)
	}
	release, err := kernelRelease(image)
	if err != nil {
		return nil, fmt.Errorf("linuxvm: %s: %w", b.Kernel, err)
	}
	kernel, err := b.vmlinux(image)
	if err != nil {
		return nil, fmt.Errorf("linuxvm: %s: %w", b.Kernel, err)
	}
	disk, err := b.ramDisk(ctx, release)
	if err != nil {
		return nil, fmt.Errorf("linuxvm: %w", err)
	}
	return &Guest{Kernel: kernel, Packed: b.Kernel, RAMDisk: disk, Release: release, tsc: hostTSC()}, nil
}

func (b *Build) fill() error {
	b.added, b.release = func(...string) {}, func() {}
	if b.Progress == nil {
		b.Progress = func(string) {}
	}
	if b.Kernel == "" {
		newest, err := newestKernel()
		if err != nil {
			return err
		}
		b.Kernel = newest
	}
	if b.Cache == "" {
		c, err := cache.Open(os.Environ())
		if err != nil {
			return fmt.Errorf("linuxvm: %w", err)
		}
		b.Cache, b.added = c.Path(cache.LinuxVM, ""), c.Added
	}
	if b.Hold == nil {
		b.Hold = new(cache.Hold)
		b.release = b.Hold.Release
	}
	return os.MkdirAll(b.Cache, 0o755)
}

// newestKernel is the distribution's newest kernel in /boot.
func newestKernel() (string, error) {
	found, err := filepath.Glob("/boot/vmlinuz-*")
	if err != nil || len(found) == 0 {
		return "", errors.New("linuxvm: no kernel in /boot: install one (Debian and Ubuntu: apt-get install linux-image-amd64)")
	}
	sort.Strings(found)
	return found[len(found)-1], nil
}

// vmlinux is the unpacked kernel in the cache.
func (b *Build) vmlinux(image []byte) (string, error) {
	return b.cached("vmlinux-"+digest(image), func(w io.Writer) error {
		b.Progress("unpacking " + b.Kernel)
		vmlinux, err := unpackKernel(image)
		if err != nil {
			return err
		}
		_, err = w.Write(vmlinux)
		return err
	})
}

// ramDisk is the guest's first file system in the cache.
func (b *Build) ramDisk(ctx context.Context, release string) (string, error) {
	dir := b.Modules
	if dir == "" {
		dir = filepath.Join("/lib/modules", release)
	}
	tree, err := openModules(dir)
	if err != nil {
		return "", err
	}
	wanted := append(slices.Clone(cardModules), b.Needs...)
	if b.Ports {
		wanted = append(wanted, "virtio_console")
	}
	if b.Disk {
		wanted = append(wanted, diskModules...)
	}
	modules, err := tree.load(wanted...)
	if err != nil {
		return "", err
	}
	program, err := os.ReadFile(b.Program)
	if err != nil {
		return "", fmt.Errorf("program: %w", err)
	}
	init, err := b.init(ctx)
	if err != nil {
		return "", err
	}
	var disk bytes.Buffer
	list := entries(init, program, modules)
	err = machine.WalkFiles(b.Files, func(name string, mode uint32, data []byte) {
		list = append(list, parents(list, name)...)
		list = append(list, entry{Name: strings.TrimPrefix(name, "/"), Mode: mode, Data: data})
	})
	if err != nil {
		return "", err
	}
	if err := writeCPIO(&disk, list); err != nil {
		return "", err
	}
	return b.cached("ramdisk-"+digest(disk.Bytes()), func(w io.Writer) error {
		_, err := w.Write(disk.Bytes())
		return err
	})
}

func entries(init, program []byte, modules []module) []entry {
	list := []entry{
		{Name: "dev", Mode: modeFolder},
		{Name: "dev/console", Mode: modeChar, Major: 5, Minor: 1},
		{Name: "proc", Mode: modeFolder},
		{Name: "sys", Mode: modeFolder},
		{Name: "tmp", Mode: modeFolder},
		{Name: "data", Mode: modeFolder},
		{Name: "modules", Mode: modeFolder},
		{Name: "init", Mode: modeProg, Data: init},
		{Name: "app", Mode: modeProg, Data: program},
	}
	for i, m := range modules {
		name := fmt.Sprintf("modules/%02d-%s.ko", i, m.Name)
		list = append(list, entry{Name: name, Mode: modeFile, Data: m.Data})
	}
	return list
}

// parents are the folders on the way to a file that the list does not have yet.
func parents(list []entry, name string) []entry {
	var missing []entry
	for dir := path.Dir(name); dir != "/"; dir = path.Dir(dir) {
		relative := strings.TrimPrefix(dir, "/")
		if !slices.ContainsFunc(list, func(e entry) bool { return e.Name == relative }) {
			missing = append(missing, entry{Name: relative, Mode: modeFolder})
		}
	}
	slices.Reverse(missing)
	return missing
}

// init builds the guest's first process, or takes it from the cache.
func (b *Build) init(ctx context.Context) ([]byte, error) {
	dir, err := os.MkdirTemp("", "pith-init-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	source, err := writeInit(dir)
	if err != nil {
		return nil, err
	}
	file, err := b.cached("init-"+digest(source), func(w io.Writer) error {
		b.Progress("building the guest's init")
		return compile(ctx, dir, w)
	})
	if err != nil {
		return nil, err
	}
	return os.ReadFile(file)
}

// writeInit puts the init's source into dir and returns all of it together.
func writeInit(dir string) ([]byte, error) {
	files, err := fs.Glob(initSource, "init/*.*")
	if err != nil {
		return nil, err
	}
	all := []byte(initModule)
	for _, name := range files {
		text, err := initSource.ReadFile(name)
		if err != nil {
			return nil, err
		}
		all = append(all, text...)
		if err := os.WriteFile(filepath.Join(dir, path.Base(name)), text, 0o644); err != nil {
			return nil, err
		}
	}
	return all, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(initModule), 0o644)
}

func compile(ctx context.Context, dir string, w io.Writer) error {
	out := filepath.Join(dir, "init.out")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOWORK=off", "GOFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build of the guest's init: %w\n%s", err, text)
	}
	f, err := os.Open(out)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

// cached is the path of a file in the cache. If it is not there, write makes
// it; other processes see the whole file or none.
func (b *Build) cached(name string, write func(io.Writer) error) (string, error) {
	file := filepath.Join(b.Cache, name)
	for made := false; ; made = true {
		there, err := b.Hold.Use(file)
		if there && made {
			b.added(file)
		}
		if there || err != nil {
			return file, err
		}
		if err := b.add(file, write); err != nil {
			return "", err
		}
	}
}

func (b *Build) add(file string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(b.Cache, cache.Temporary+"*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once it is renamed
	if err := errors.Join(write(f), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}
