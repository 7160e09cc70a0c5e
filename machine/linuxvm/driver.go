package linuxvm

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"pith"
	"pith/abi"
	"pith/cache"
	"pith/machine"
	"pith/machine/host"
	"pith/machine/qemu"
)

// Driver runs machines as Linux virtual machines on one host: the program is
// the only one in it, besides an init that starts it.
type Driver struct {
	host host.Host
}

// New makes the driver for a host.
func New(h host.Host) *Driver { return &Driver{host: h} }

// Name is "linuxvm".
func (d *Driver) Name() string { return "linuxvm" }

// LeastMemory is what a Debian kernel and a small program need, in bytes.
const LeastMemory = 96 << 20

// Check refuses what such a machine can't be, and a host without QEMU or a
// kernel.
func (d *Driver) Check(s machine.Spec) error {
	if _, err := qemu.Find(d.host); err != nil {
		return err
	}
	if _, err := newestKernel(); err != nil {
		return err
	}
	switch {
	case s.Paused:
		return pith.Errorf("pith debug looks into unikernels")
	case s.Memory < LeastMemory:
		return pith.Errorf("%s is too little memory for a Linux machine: the least that works is -m %d", machine.FormatMemory(s.Memory), LeastMemory>>20)
	case s.Memory%(1<<20) != 0:
		return pith.Errorf("a Linux machine's memory is a whole number of MiB")
	}
	for _, l := range s.Links {
		if l.Network != "user" && len(l.Addrs) == 0 && !s.Forward {
			return pith.Errorf("a Linux machine has no DHCP client: give its address on %s by --addr", l.Network)
		}
	}
	return qemu.New(d.host).Check(s)
}

// Start starts QEMU and returns as soon as it runs.
func (d *Driver) Start(l machine.Launch) (machine.Running, error) {
	emulator, err := qemu.Find(d.host)
	if err != nil {
		return nil, err
	}
	accel, err := qemu.ChooseAccel(d.host)
	if err != nil {
		return nil, err
	}
	if l.Spec.Image == nil {
		return nil, errors.New("BUG: a machine without an image")
	}
	var hold cache.Hold // until QEMU runs
	defer hold.Release()
	build := buildFor(l)
	build.Hold = &hold
	g, err := Prepare(context.Background(), build)
	if err != nil {
		return nil, err
	}
	disk := filepath.Join(l.Dir, "initrd")
	if err := writeDisk(disk, g.RAMDisk, l); err != nil {
		return nil, err
	}
	return startVM(exec.Command(emulator), g, disk, accel.Kind, l)
}

// buildFor says what the guest of a machine needs.
func buildFor(l machine.Launch) Build {
	b := Build{Program: l.Spec.Image.Path, Ports: true}
	for _, d := range l.Disks {
		if d.Folder {
			b.Needs = folderModules
		} else {
			b.Disk = true
		}
	}
	return b
}

// guestMount is a disk's or folder's place in the guest.
type guestMount struct {
	Serial   string // of the disk; a folder's mount tag
	Folder   bool
	Target   string
	ReadOnly bool
}

func guestMounts(l machine.Launch) (list []guestMount) {
	for i, d := range l.Disks {
		list = append(list, guestMount{d.Serial, d.Folder, l.Spec.Mounts[i].Target, d.ReadOnly})
	}
	return list
}

// guestSpec is what init reads; see spec in folder init.
type guestSpec struct {
	Name  string
	Args  []string
	Env   []string
	Dir   string
	Links []pith.Link
	Ports []pith.Port

	Mounts  []guestMount
	Forward bool
	Input   bool // there is an InputPort
}

// writeDisk makes a machine's RAM disk: the common one and an archive with its
// own files behind it. The kernel unpacks both.
func writeDisk(file, common string, l machine.Launch) (err error) {
	s := l.Spec
	var links []pith.Link
	for _, c := range l.Cards {
		links = append(links, c.Link)
	}
	text, err := json.Marshal(guestSpec{s.Name, s.Argv(), s.Environ(), cmp.Or(s.Dir, "/"), links, s.Ports, guestMounts(l), s.Forward, l.Input != nil})
	if err != nil {
		return fmt.Errorf("linuxvm: %w", err)
	}
	files, err := s.RootFiles()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600) // the secrets are in it
	if err != nil {
		return fmt.Errorf("linuxvm: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	in, err := os.Open(common)
	if err != nil {
		return fmt.Errorf("linuxvm: %w", err)
	}
	defer in.Close()
	if _, err := io.Copy(out, in); err != nil {
		return fmt.Errorf("linuxvm: %w", err)
	}
	own := []entry{{Name: "pith.json", Mode: modeFile, Data: text}}
	return writeCPIO(out, append(own, rootEntries(files)...))
}

// rootEntries are the files and the folders that they are in.
func rootEntries(files []machine.RootFile) []entry {
	var list []entry
	made := map[string]bool{".": true}
	for _, f := range files {
		var folders []string
		for dir := path.Dir(f.Name); !made[dir]; dir = path.Dir(dir) {
			made[dir] = true
			folders = append(folders, dir)
		}
		for _, dir := range slices.Backward(folders) {
			list = append(list, entry{Name: dir, Mode: modeFolder})
		}
		list = append(list, entry{Name: f.Name, Mode: f.Mode, Data: f.Data})
	}
	return list
}

// vmArguments is QEMU's command line. The descriptors 3, 4 and 5 are the
// kernel's console, the program's output and the control port; the program's input, if
// it has any, and the cards' taps follow.
func vmArguments(g *Guest, disk, accel string, l machine.Launch) (args []string, taps []*os.File) {
	cpu, words := DefaultCPU, slices.Clone(tuning)
	if accel == qemu.KVM {
		accel, cpu = "kvm", "host"
	} else {
		accel = "tcg"
		if g.tsc > 0 {
			words = append(words, "tsc_early_khz="+strconv.FormatInt(g.tsc, 10))
		}
	}
	s := l.Spec
	args = []string{
		"-name", "pith-" + s.Name,
		"-M", "microvm,x-option-roms=off,auto-kernel-cmdline=off",
		"-accel", accel, "-cpu", cpu,
		"-smp", qemu.CPUs(accel, s.CPUs), "-m", strconv.FormatInt(s.Memory>>20, 10) + "M",
		"-kernel", g.Kernel, "-initrd", disk, "-append", strings.Join(words, " "),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-chardev", "socket,id=kernel,fd=3", "-serial", "chardev:kernel",
		"-chardev", "socket,id=console,fd=4", "-chardev", "socket,id=control,fd=5",
		"-global", "virtio-mmio.force-legacy=false",
		"-device", "virtio-serial-device",
		"-device", "virtserialport,nr=1,chardev=console,name=" + abi.ConsolePort,
		"-device", "virtserialport,nr=2,chardev=control,name=" + abi.ControlPort,
	}
	next := 6
	if l.Input != nil {
		args = append(args, "-chardev", fmt.Sprintf("socket,id=input,fd=%d", next), "-device", "virtserialport,nr=3,chardev=input,name="+abi.InputPort)
		next++
	}
	for i, c := range l.Cards {
		id := fmt.Sprintf("net%d", i)
		wire := "user,id=" + id + qemu.Forwards(c.Wire.Ports)
		if c.Wire.Tap != nil {
			wire = fmt.Sprintf("tap,id=%s,fd=%d,vhost=off", id, next+len(taps))
			taps = append(taps, c.Wire.Tap)
		}
		// Without ctrl_vlan=off, the card drops tagged frames of VLANs that the guest's
		// kernel has no interface for: a router's program has.
		args = append(args, "-netdev", wire, "-device", "virtio-net-device,ctrl_vlan=off,netdev="+id+",mac="+c.Link.MAC)
	}
	for i, d := range l.Disks {
		id := fmt.Sprintf("disk%d", i)
		if d.Folder {
			args = append(args, "-fsdev", qemu.Folder(id, d), "-device", "virtio-9p-device,fsdev="+id+",mount_tag="+d.Serial)
			continue
		}
		args = append(args, "-drive", qemu.Drive(id, d), "-device", "virtio-blk-device,drive="+id+",serial="+d.Serial)
	}
	return args, taps
}
