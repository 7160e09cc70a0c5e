package process

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"pith/machine"
)

// folder is one of the host's that the machine shares, or a volume.
type folder struct {
	Source   string // on the host
	Target   string // in the machine
	ReadOnly bool
	// Handed says that the supervisor hands a mount of it over, as the stage's
	// descriptor foldersFD and following; else the stage makes one by itself.
	Handed bool
}

// folders are those of a machine. Root hands mounts over, because the stage, as
// nobody, may not get to where a folder is, nor mount a volume.
func folders(l machine.Launch, root bool) (list []folder) {
	for i, d := range l.Disks {
		list = append(list, folder{d.Path, l.Spec.Mounts[i].Target, d.ReadOnly, root})
	}
	return list
}

// handOver makes the mounts of folders that are handed over, and of volumes, which are
// the process's to wait for.
func (p *process) handOver(list []folder, disks []machine.Disk) (mounts []*os.File, err error) {
	if p.volumes, err = MountVolumes(disks); err != nil {
		return nil, err
	}
	for i, f := range list {
		if v := p.volumes[i]; v != nil {
			mounts = append(mounts, v.File)
			continue
		}
		if !f.Handed {
			continue
		}
		fd, err := f.mount()
		if err != nil {
			closeAll(mounts)
			return nil, err
		}
		mounts = append(mounts, os.NewFile(uintptr(fd), f.Source))
	}
	return mounts, nil
}

// mount makes a mount of the folder that is at no place yet. Nothing there can be
// executed, and no change of mounts on the host gets through.
// Source: open_tree(2), mount_setattr(2).
func (f folder) mount() (int, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, f.Source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return -1, fmt.Errorf("share %s: %w", f.Source, err)
	}
	attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC, Propagation: unix.MS_PRIVATE}
	if f.ReadOnly {
		attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
	}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, attr); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("share %s: %w", f.Source, err)
	}
	return fd, nil
}

// mountsOf are the mounts of folders: those that were handed over, and others that are
// made while the host's files are still in view.
func mountsOf(list []folder) (fds []int, err error) {
	next := foldersFD
	for _, f := range list {
		fd := next
		if f.Handed {
			next++
		} else if fd, err = f.mount(); err != nil {
			return nil, err
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

// share puts the mounts of folders into the new root.
func share(list []folder, fds []int) error {
	for i, f := range list {
		if err := f.place(fds[i]); err != nil {
			return fmt.Errorf("share %s: %w", f.Source, err)
		}
		unix.Close(fds[i]) // the program gets no descriptor of it
	}
	return nil
}

// place puts a mount at the folder's target, which no link leads out of the root.
func (f folder) place(fd int) error {
	root, err := os.OpenRoot(newRoot)
	if err != nil {
		return err
	}
	defer root.Close()
	target := f.Target[1:]
	if err := root.MkdirAll(target, 0o755); err != nil {
		return err
	}
	at, err := root.Open(target)
	if err != nil {
		return err
	}
	defer at.Close()
	return unix.MoveMount(fd, "", int(at.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}
