// Package loopmount mounts the volumes of machines that share the host's kernel.
//
// It relies on loop devices (loop(4)), on mounts that are at no place (fsopen(2),
// fsmount(2)) and on mounts whose owners are mapped (mount_setattr(2), Linux 5.12), and so
// on root. Nothing of a mount outlives its machine, however that ends: it is in the
// machine's own mount namespace only, and the loop device is let go of with it
// (LO_FLAGS_AUTOCLEAR). The device keeps the descriptor that the volume is locked by, so
// that the volume is in use for as long as anybody has it mounted. It must not make a
// mount that the host sees, nor leave the choice of file system to what the image says.
package loopmount

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"pith/machine"
	"pith/machine/netns"
)

// Mount is a volume that is mounted at no place. File is handed to whoever places it, by
// move_mount(2), and closed then.
type Mount struct {
	File   *os.File
	device string
	tag    string // what the loop device is told as the name of its file: no other has it
}

// New mounts a volume, whose file must be locked, and open for writing unless the volume is
// for reading. owners is a user
// namespace, which says whose on the host the files of each of the volume's users are.
func New(d machine.Disk, owners *os.File) (*Mount, error) {
	m := &Mount{tag: "pith-" + rand.Text()}
	device, err := m.attach(d)
	if err != nil {
		return nil, fmt.Errorf("a loop device for %s: %w", d.Path, err)
	}
	defer device.Close() // the mount has it from then on
	m.device = device.Name()
	if m.File, err = mountDevice(m.device, d.ReadOnly); err != nil {
		return nil, fmt.Errorf("mount %s: %w", d.Path, err)
	}
	if err := mapOwners(m.File, owners, d.ReadOnly); err != nil {
		m.File.Close()
		return nil, fmt.Errorf("mount %s: %w", d.Path, err)
	}
	return m, nil
}

// tries bounds how often another one may take the device that was found free.
const tries = 100

// attach makes a loop device of the image.
func (m *Mount) attach(d machine.Disk) (*os.File, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	config := unix.LoopConfig{Fd: uint32(d.File.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}}
	if d.ReadOnly {
		config.Info.Flags |= unix.LO_FLAGS_READ_ONLY
	}
	copy(config.Info.File_name[:], m.tag)
	for range tries {
		number, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, err
		}
		device, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", number), os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		err = unix.IoctlLoopConfigure(int(device.Fd()), &config)
		if err == nil {
			return device, nil
		}
		device.Close()
		if !errors.Is(err, unix.EBUSY) {
			return nil, err
		}
	}
	return nil, errors.New("others take each one that is free")
}

// mountDevice makes a mount of the ext4 file system on a device.
func mountDevice(device string, readOnly bool) (*os.File, error) {
	fd, err := unix.Fsopen("ext4", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if err := unix.FsconfigSetString(fd, "source", device); err != nil {
		return nil, err
	}
	if readOnly {
		if err := unix.FsconfigSetFlag(fd, "ro"); err != nil {
			return nil, err
		}
	}
	if err := unix.FsconfigCreate(fd); err != nil {
		return nil, fmt.Errorf("the host's kernel can't: %w (dmesg may say why)", err)
	}
	mount, err := unix.Fsmount(fd, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(mount), device), nil
}

func mapOwners(mount, owners *os.File, readOnly bool) error {
	attr := &unix.MountAttr{
		Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(owners.Fd()), Propagation: unix.MS_PRIVATE,
	}
	if readOnly {
		attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
	}
	if err := unix.MountSetattr(int(mount.Fd()), "", unix.AT_EMPTY_PATH, attr); err != nil {
		return fmt.Errorf("map the owners of its files: %w", err)
	}
	return nil
}

// Mounts are a machine's volumes, at the indices of its disks: nil is none.
type Mounts []*Mount

// Handed closes the files, once others have the mounts.
func (all Mounts) Handed() {
	for _, m := range all {
		if m != nil {
			m.File.Close()
		}
	}
}

// Close lets go of the mounts, and waits until nobody has one of them: see Gone.
func (all Mounts) Close() error {
	all.Handed()
	var errs []error
	for _, m := range all {
		if m != nil {
			errs = append(errs, m.Gone())
		}
	}
	return errors.Join(errs...)
}

// Private calls f on a thread with a mount namespace of its own, where each of the mounts
// is at the folder that at gives for its index. What f starts is in that namespace.
func (all Mounts) Private(at func(int) string, f func() error) error {
	if !slices.ContainsFunc(all, func(m *Mount) bool { return m != nil }) {
		return f()
	}
	return netns.OnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("make a mount namespace: %w", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("private mounts: %w", err)
		}
		for i, m := range all {
			if m == nil {
				continue
			}
			if err := m.place(at(i)); err != nil {
				return err
			}
		}
		return f()
	})
}

// place puts the mount at a folder, in the mount namespace of the calling thread.
func (m *Mount) place(folder string) error {
	err := unix.MoveMount(int(m.File.Fd()), "", unix.AT_FDCWD, folder, unix.MOVE_MOUNT_F_EMPTY_PATH)
	if err != nil {
		return fmt.Errorf("put the volume at %s: %w", folder, err)
	}
	return nil
}

// goneTime bounds how long the host's kernel may take to write what a machine has left.
const goneTime = 5 * time.Minute

// Gone waits until nobody has the volume mounted, and all that was written is in its file.
// That is so soon after the machine's last process has ended, and File was closed.
func (m *Mount) Gone() error {
	for begin := time.Now(); time.Since(begin) < goneTime; time.Sleep(5 * time.Millisecond) {
		if gone, err := m.gone(); gone || err != nil {
			return err
		}
	}
	return fmt.Errorf("%s is still in use, although the machine has ended", m.device)
}

// gone tells whether the device has another file by now, or none.
func (m *Mount) gone() (bool, error) {
	device, err := os.Open(m.device)
	if err != nil {
		return false, err
	}
	defer device.Close()
	info, err := unix.IoctlLoopGetStatus64(int(device.Fd()))
	if errors.Is(err, unix.ENXIO) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	name, _, _ := bytes.Cut(info.File_name[:], []byte{0})
	return string(name) != m.tag, nil
}
