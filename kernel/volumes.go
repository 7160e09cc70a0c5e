package kernel

import (
	"errors"
	"strconv"
	"strings"
	"syscall"

	"pith/abi"
	"pith/ext4"
	"pith/kernel/fs"
	"pith/kernel/linux"
	"pith/kernel/ninep"
	"pith/kernel/rt"
	"pith/kernel/virtio"
	"pith/kernel/virtio/blk"
	"pith/kernel/virtio/p9"
	"pith/kernel/volume"
)

// mount is one RecordMount.
type mount struct {
	serial, kind, at string
	readOnly         bool
}

// parseMount reads a RecordMount.
func parseMount(text string) (m mount) {
	words, at, _ := strings.Cut(text, " at=")
	m.at = at
	for _, word := range strings.Fields(words) {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "serial":
			m.serial = value
		case "type":
			m.kind = value
		case "ro":
			m.readOnly = true
		}
	}
	return m
}

// mountVolumes mounts what the instance block asks for, before the program runs.
// Without one of its volumes a program must not run: it would write elsewhere.
func (m *machine) mountVolumes() {
	if len(m.mounts) == 0 {
		return
	}
	var disks map[string]*blk.Device
	if m.mountsOf(kindExt4) > 0 {
		disks = m.openDisks()
	}
	var folders map[string]*p9.Device
	if m.mountsOf(kind9P) > 0 {
		folders = m.openFolders()
	}
	for i, text := range m.mounts {
		p := parseMount(text)
		var system fs.FileSystem
		err := errors.New("there is no file system of type " + strconv.Quote(p.kind))
		switch p.kind {
		case kindExt4:
			system, err = m.openVolume(p, disks[p.serial], "/dev/vd"+string(rune('a'+i%26)))
		case kind9P:
			system, err = openFolder(p, folders[p.serial])
		}
		mustMount(p, system, err)
	}
	rt.OnSync(linux.Sync)
	rt.AtExit(closeVolumes)
}

// mustMount puts a file system into the tree; without it the machine ends.
func mustMount(p mount, system fs.FileSystem, err error) {
	if err == nil {
		err = mountAt(p.at, system)
	}
	if err == nil {
		return
	}
	what := "volume"
	if p.kind == kind9P {
		what = "folder"
	}
	complain("the " + what + " at " + p.at + " can't be used: " + err.Error())
	rt.Exit(abi.ExitVolume)
}

// Kinds of file systems in a RecordMount.
const (
	kindExt4 = "ext4"
	kind9P   = "9p"
)

// mountsOf counts the mounts of a kind.
func (m *machine) mountsOf(kind string) (n int) {
	for _, text := range m.mounts {
		if parseMount(text).kind == kind {
			n++
		}
	}
	return n
}

// openDisks starts all block devices, by their serial numbers.
func (m *machine) openDisks() map[string]*blk.Device {
	disks := map[string]*blk.Device{}
	m.eachOf(virtio.TypeBlock, func(t virtio.Transport) error {
		d, err := blk.New(t, memory{}, report)
		if err != nil {
			return err
		}
		serial, err := d.Serial()
		if err != nil {
			return err
		}
		disks[serial] = d
		return nil
	})
	return disks
}

// volumeMemory is the part of the machine's memory that the cache of a volume may
// take: one in eight.
const volumeMemory = 8

func (m *machine) openVolume(p mount, disk *blk.Device, source string) (fs.FileSystem, error) {
	if disk == nil {
		return nil, errors.New("the machine has no disk with the serial number " + strconv.Quote(p.serial))
	}
	total, _ := rt.Memory()
	files, err := ext4.Mount(disk, ext4.Options{
		ReadOnly: p.readOnly,
		Memory:   int64(total / volumeMemory / uint64(m.mountsOf(kindExt4))),
		Report:   func(sentence string) { complain("the volume at " + p.at + ": " + sentence) },
	})
	if err != nil {
		return nil, err
	}
	return volume.New(files, source), nil
}

// openFolders starts all 9P devices, by their names.
func (m *machine) openFolders() map[string]*p9.Device {
	folders := map[string]*p9.Device{}
	m.eachOf(virtio.Type9P, func(t virtio.Transport) error {
		d, err := p9.New(t, memory{}, report)
		if err != nil {
			return err
		}
		folders[d.Tag()] = d
		return nil
	})
	return folders
}

func openFolder(p mount, device *p9.Device) (fs.FileSystem, error) {
	if device == nil {
		return nil, errors.New("the machine has no 9P device with the name " + strconv.Quote(p.serial))
	}
	return ninep.New(device, ninep.Options{
		Source:   p.serial,
		ReadOnly: p.readOnly,
		Report:   func(sentence string) { complain("the folder at " + p.at + ": " + sentence) },
	})
}

// mountAt puts a file system into the tree, at a folder that is made if there is none.
func mountAt(path string, system fs.FileSystem) error {
	tree := linux.Tree()
	if errno := tree.MakeParents(path); errno != 0 {
		return errno
	}
	if errno := tree.Mkdir(tree.Root(), path, 0o755); errno != 0 && errno != syscall.EEXIST {
		return errno
	}
	if errno := tree.Mount(path, system); errno != 0 {
		return errno
	}
	return nil
}

// closeVolumes is called when the program ends by os.Exit or main's return.
func closeVolumes() {
	if errno := linux.Tree().Close(); errno != 0 {
		complain("a volume can't be closed: " + errno.Error())
	}
}
