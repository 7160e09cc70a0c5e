package kernel

import (
	"errors"
	"strconv"
	"strings"
	"syscall"

	"pith/abi"
	"pith/ext4"
	"pith/kernel/linux"
	"pith/kernel/rt"
	"pith/kernel/virtio"
	"pith/kernel/virtio/blk"
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
	disks := m.openDisks()
	for i, text := range m.mounts {
		p := parseMount(text)
		if err := m.mountVolume(p, disks[p.serial], "/dev/vd"+string(rune('a'+i%26))); err != nil {
			complain("the volume at " + p.at + " can't be used: " + err.Error())
			rt.Exit(abi.ExitVolume)
		}
	}
	rt.AtExit(closeVolumes)
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

func (m *machine) mountVolume(p mount, disk *blk.Device, source string) error {
	switch {
	case p.kind != "ext4":
		return errors.New("there is no file system of type " + strconv.Quote(p.kind))
	case disk == nil:
		return errors.New("the machine has no disk with the serial number " + strconv.Quote(p.serial))
	}
	total, _ := rt.Memory()
	files, err := ext4.Mount(disk, ext4.Options{
		ReadOnly: p.readOnly,
		Memory:   int64(total / volumeMemory / uint64(len(m.mounts))),
		Report:   func(sentence string) { complain("the volume at " + p.at + ": " + sentence) },
	})
	if err != nil {
		return err
	}
	tree := linux.Tree()
	if errno := tree.MakeParents(p.at); errno != 0 {
		return errno
	}
	if errno := tree.Mkdir(tree.Root(), p.at, 0o755); errno != 0 && errno != syscall.EEXIST {
		return errno
	}
	if errno := tree.Mount(p.at, volume.New(files, source)); errno != 0 {
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
