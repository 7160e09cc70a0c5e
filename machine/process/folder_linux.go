package process

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"pith/machine"
)

// folder is a folder of the host's that the program sees.
type folder struct {
	Source, Target string
	ReadOnly       bool
}

func folders(l machine.Launch) (list []folder) {
	for i, d := range l.Disks {
		if d.Folder {
			list = append(list, folder{d.Path, l.Spec.Mounts[i].Target, d.ReadOnly})
		}
	}
	return list
}

// opened is a folder that waits for its place in the new root, which hides where it is.
type opened struct {
	folder
	tree int
}

// openFolders takes hold of folders of the host's, before those are left behind.
func openFolders(list []folder) ([]opened, error) {
	var all []opened
	for _, f := range list {
		tree, err := unix.OpenTree(unix.AT_FDCWD, f.Source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
		if err != nil {
			return nil, fmt.Errorf("the folder %s can't be reached by the process's user (nobody, if root starts it): %w", f.Source, err)
		}
		all = append(all, opened{f, tree})
	}
	return all, nil
}

// mount puts a folder into the new root. Nothing in it can be executed.
func (f opened) mount() error {
	defer unix.Close(f.tree)
	at := filepath.Join(newRoot, f.Target)
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	if err := unix.MoveMount(f.tree, "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("mount %s: %w", f.Target, err)
	}
	attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC}
	if f.ReadOnly {
		attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
	}
	if err := unix.MountSetattr(unix.AT_FDCWD, at, unix.AT_RECURSIVE, attr); err != nil {
		return fmt.Errorf("mount %s: %w", f.Target, err)
	}
	return nil
}
