package qemu

import (
	"fmt"
	"strings"

	"pith"
	"pith/abi"
	"pith/machine"
)

// descriptors are the numbers under which QEMU finds its ends of the sockets.
type descriptors struct {
	console, events, control, qmp, input, files int
	wires                                       [][]int // each card's, one a queue pair; none for the user-mode network
}

// command is what decides QEMU's command line.
type command struct {
	launch  machine.Launch
	accel   string
	cpu     string
	block   string // the instance block's file
	sandbox bool   // this build of QEMU can confine itself
	fds     descriptors
}

// args is QEMU's command line without the program's name.
func (c command) args() []string {
	a := c.board()
	a = append(a, c.boot()...)
	a = append(a, c.channels()...)
	a = append(a, c.devices()...)
	if c.sandbox {
		a = append(a, "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny")
	}
	if c.launch.Spec.Paused {
		a = append(a, "-S")
	}
	return a
}

// boards are the machine types with all that a Pith image has no driver for
// switched off. What they cost was measured from exec to the guest's first
// instruction with QEMU 7.2 under TCG: microvm 15 ms (19 ms with its legacy
// devices), q35 41 ms (65 ms with them).
var boards = map[string]string{
	machine.TypeMicroVM: "microvm,acpi=off,pic=off,pit=off,rtc=on,isa-serial=off,auto-kernel-cmdline=on,x-option-roms=off",
	machine.TypeQ35:     "q35,hpet=off,i8042=off,sata=off,usb=off,smbus=off,vmport=off,smm=off,pic=off,pit=off",
}

func (c command) board() []string {
	s := c.launch.Spec
	accel := "tcg,thread=multi"
	if c.accel == KVM {
		accel = "kvm"
	}
	return []string{
		"-name", "pith-" + s.Name,
		"-nodefaults", "-no-user-config", "-no-reboot",
		"-display", "none",
		"-machine", boards[s.Type],
		"-accel", accel,
		"-cpu", c.cpu,
		"-smp", CPUs(c.accel, s.CPUs),
		"-m", fmt.Sprintf("%dk", s.Memory/1024),
	}
}

// CPUs says in QEMU's words how many CPUs there are. Where QEMU emulates and there can only be
// one, releases before 8.1 leave out the fences between it and the thread that
// does the devices' work, and interrupts and notifications of virtio get lost.
// So there could always be two.
func CPUs(accel string, n int) string {
	if n == 1 && accel != KVM {
		return "1,maxcpus=2"
	}
	return fmt.Sprint(n)
}

func (c command) boot() []string {
	// qboot only loads what -kernel names. It leaves the addresses of PCI
	// devices to the kernel (package virtio/pci), which SeaBIOS would
	// assign at the cost of 20 ms. On microvm it is QEMU's own choice.
	return []string{"-bios", "qboot.rom", "-kernel", c.launch.Spec.Image.Path, "-initrd", c.block}
}

// channels are the ways in and out that are not for the program's own use.
func (c command) channels() []string {
	return []string{
		// The console is shared by a port that works from the first
		// instruction on and by virtio-serial, so that the order is kept.
		"-chardev", fmt.Sprintf("socket,id=console,mux=on,fd=%d", c.fds.console),
		"-chardev", fmt.Sprintf("socket,id=events,fd=%d", c.fds.events),
		"-chardev", fmt.Sprintf("socket,id=control,fd=%d", c.fds.control),
		"-chardev", fmt.Sprintf("socket,id=qmp,fd=%d", c.fds.qmp),
		"-chardev", fmt.Sprintf("socket,id=input,fd=%d", c.fds.input),
		"-chardev", fmt.Sprintf("socket,id=files,fd=%d", c.fds.files),
		"-mon", "chardev=qmp,mode=control",
		"-device", fmt.Sprintf("isa-debugcon,iobase=%#x,chardev=console", abi.PortConsole),
		"-device", fmt.Sprintf("isa-debugcon,iobase=%#x,chardev=events", abi.PortControl),
		"-device", fmt.Sprintf("isa-debug-exit,iobase=%#x,iosize=4", abi.PortExit),
	}
}

func (c command) devices() []string {
	var a []string
	if c.launch.Spec.Type == machine.TypeMicroVM {
		// virtio 1, not the draft that QEMU shows on MMIO by default.
		a = append(a, "-global", "virtio-mmio.force-legacy=false")
	}
	for i, card := range c.launch.Cards {
		id := fmt.Sprintf("net%d", i)
		a = append(a,
			"-netdev", netdev(id, card.Wire, c.fds.wires[i]),
			"-device", c.virtio("net")+",netdev="+id+",mac="+card.Link.MAC+c.queuePairs(len(c.fds.wires[i]))+c.noROM())
		a = append(a, c.capture(i, id)...)
	}
	for i, disk := range c.launch.Disks {
		id := fmt.Sprintf("disk%d", i)
		if disk.Folder {
			a = append(a, "-fsdev", Folder(id, disk), "-device", c.virtio("9p")+",fsdev="+id+",mount_tag="+disk.Serial)
			continue
		}
		a = append(a,
			"-drive", Drive(id, disk),
			"-device", c.virtio("blk")+",drive="+id+",serial="+disk.Serial)
	}
	a = append(a,
		"-device", c.virtio("rng"),
		"-device", c.virtio("serial"),
		// Port 0 is for a device of the console kind, which loses what its
		// reader doesn't take at once.
		"-device", "virtserialport,nr=1,chardev=console,name="+abi.ConsolePort,
		"-device", "virtserialport,nr=2,chardev=control,name="+abi.ControlPort,
		"-device", "virtserialport,nr=3,chardev=input,name="+abi.InputPort)
	if len(c.launch.Spec.Returns()) > 0 { // another guest turns a fourth port down, which QEMU complains of
		a = append(a, "-device", "virtserialport,nr=4,chardev=files,name="+abi.FilesPort)
	}
	return a
}

// capture has QEMU write a card's packets to a file in pcap's format: the first
// card's to the file that was named, another's to that with its number behind.
func (c command) capture(i int, netdev string) []string {
	file := c.launch.Spec.Capture
	if file == "" {
		return nil
	}
	if i > 0 {
		file += fmt.Sprint(".", i)
	}
	return []string{"-object", fmt.Sprintf("filter-dump,id=capture%d,netdev=%s,file=%s", i, netdev, escape(file))}
}

// Drive is QEMU's -drive for a disk's file. The host may cache what is written until the guest asks
// for a flush, which QEMU passes on to the host's disk (fdatasync): so fsync in the
// guest is as real as on the host, and what needs none is fast. What the host can't do
// is an error for the guest: QEMU's own way with a full disk is a machine that stands
// still and says nothing.
func Drive(id string, d machine.Disk) string {
	s := "if=none,id=" + id + ",format=raw,cache=writeback,discard=unmap,werror=report,rerror=report,file=" + strings.ReplaceAll(d.Path, ",", ",,")
	if d.ReadOnly {
		s += ",read-only=on"
	}
	return s
}

// Folder is QEMU's -fsdev for a folder of the host's, with the rights of QEMU's user: what the guest
// makes there belongs to that one. A path can't lead out of it, because QEMU follows no
// symbolic link. Folders of other devices below it get numbers of their own.
func Folder(id string, d machine.Disk) string {
	s := "local,id=" + id + ",security_model=none,multidevs=remap,path=" + strings.ReplaceAll(d.Path, ",", ",,")
	if d.ReadOnly {
		s += ",readonly=on"
	}
	return s
}

// virtio is a device's name on the board's bus.
func (c command) virtio(kind string) string {
	if c.launch.Spec.Type == machine.TypeMicroVM {
		return "virtio-" + kind + "-device"
	}
	return "virtio-" + kind + "-pci,disable-legacy=on"
}

// noROM leaves out the boot ROM of a network card on PCI.
func (c command) noROM() string {
	if c.launch.Spec.Type == machine.TypeMicroVM {
		return ""
	}
	return ",romfile="
}

// queuePairs asks for a network card with so many queue pairs: on PCI with an
// interrupt for each queue, one for the control queue and one for the configuration
// (virtio 1.2, sections 4.1.5.1.3 and 5.1.2). On MMIO there is one for all.
func (c command) queuePairs(n int) string {
	switch {
	case n < 2:
		return ""
	case c.launch.Spec.Type == machine.TypeMicroVM:
		return ",mq=on"
	default:
		return fmt.Sprintf(",mq=on,vectors=%d", 2*n+2)
	}
}

func netdev(id string, w machine.Wire, fds []int) string {
	switch {
	case len(w.Queues) > 0:
		return fmt.Sprintf("tap,id=%s,fds=%s,vhost=off", id, joined(fds))
	case w.Tap != nil:
		return fmt.Sprintf("tap,id=%s,fd=%d,vhost=off", id, fds[0])
	case w.Stream != nil:
		return fmt.Sprintf("socket,id=%s,fd=%d", id, fds[0])
	default:
		return "user,id=" + id + Forwards(w.Ports)
	}
}

// joined writes descriptors as QEMU's option fds has them.
func joined(fds []int) string {
	words := make([]string, len(fds))
	for i, fd := range fds {
		words[i] = fmt.Sprint(fd)
	}
	return strings.Join(words, ":")
}

// Forwards publishes ports in the words of -netdev user.
func Forwards(ports []pith.Port) string {
	var b strings.Builder
	for _, p := range ports {
		fmt.Fprintf(&b, ",hostfwd=%s:%s:%d-%s:%d", p.Protocol, p.Host.Addr().Unmap(), p.Host.Port(), guestAddrs[0].Addr(), p.Guest)
	}
	return b.String()
}
