package process

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"pith/machine"
)

// newRoot is where the machine's root is built: any folder that every host has.
// Only this process sees it.
const newRoot = "/tmp"

// devices of the host's that a program may have.
var devices = []string{"null", "zero", "full", "random", "urandom"}

// changeRoot makes a file system in memory that holds the files, the harmless
// devices, the shared folders and a folder tmp, and leaves the host's behind. Only
// these can be written to, and nothing in it can be executed.
func changeRoot(j job) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	mounts, err := mountsOf(j.Shares)
	if err != nil {
		return err
	}
	if err := mountMemory(newRoot, "mode=0755"); err != nil {
		return err
	}
	if err := machine.WriteRoot(newRoot, j.Files); err != nil {
		return err
	}
	for _, d := range devices {
		if err := bindDevice(d); err != nil {
			return fmt.Errorf("/dev/%s: %w", d, err)
		}
	}
	tmp := filepath.Join(newRoot, "tmp")
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		return err
	}
	if err := mountMemory(tmp, fmt.Sprintf("mode=1777,size=%d", j.Memory/2)); err != nil {
		return err
	}
	if err := share(j.Shares, mounts); err != nil {
		return err
	}
	readOnly := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(unix.AT_FDCWD, newRoot, 0, readOnly); err != nil {
		return fmt.Errorf("read-only root: %w", err)
	}
	return enterRoot()
}

func mountMemory(dir, options string) error {
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, options); err != nil {
		return fmt.Errorf("mount %s: %w", dir, err)
	}
	return nil
}

func bindDevice(name string) error {
	at := filepath.Join(newRoot, "dev", name)
	if err := machine.WriteRoot(newRoot, []machine.RootFile{{Name: "dev/" + name, Mode: unix.S_IFREG | 0o600}}); err != nil {
		return err
	}
	return unix.Mount("/dev/"+name, at, "", unix.MS_BIND, "")
}

// enterRoot makes newRoot the root. Source: pivot_root(2), "pivot_root(".",
// ".")".
func enterRoot() error {
	if err := unix.Chdir(newRoot); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("let go of the host's files: %w", err)
	}
	return unix.Chdir("/")
}
