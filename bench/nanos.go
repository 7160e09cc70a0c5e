package bench

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"

	"pith/bench/lab"
)

// nanosCPU is the model that suits Nanos best when it is emulated: as lean as
// that of the others.
const nanosCPU = "qemu64,+rdrand,+fsgsbase"

// Nanos is the same executable on Nanos, the unikernel of ops, on the board that
// the others have. Nothing of Nanos is part of this package.
type Nanos struct {
	Dir       string // with its kernel.img, boot.img and mkfs, as its sources make them
	Program   string // the measured one
	Args, Env []string
	Accel     string // QEMU's -accel
	CPU       string // QEMU's -cpu; "" is what suits it best

	disk string // the last one that was made
}

// Name is "nanos".
func (t *Nanos) Name() string { return "nanos" }

// Machine is true.
func (t *Nanos) Machine() bool { return true }

func (t *Nanos) kernel() string { return filepath.Join(t.Dir, "kernel.img") }

// Prepare looks whether all of it is there, and makes a disk to be weighed.
func (t *Nanos) Prepare(context.Context) error {
	if err := built(t.Name(), t.Dir, "kernel.img", "boot.img", "mkfs"); err != nil {
		return err
	}
	t.disk = t.Program + ".nanos"
	return t.pack(lab.Place{})
}

// Shipped is the disk, on which the kernel and the program are.
func (t *Nanos) Shipped() []string { return []string{t.disk} }

// Start makes the disk, which holds the network's settings too, then starts the
// machine; making it is no part of the start.
func (t *Nanos) Start(ctx context.Context, l *lab.Lab, s Shape) (Instance, error) {
	return startForeign(ctx, l, s, t.cpu(), func(place lab.Place) ([]string, error) {
		if err := t.pack(place); err != nil {
			return nil, err
		}
		return t.line(place, s), nil
	})
}

// line is QEMU's command line.
func (t *Nanos) line(place lab.Place, s Shape) []string {
	return append(foreignLine("microvm,rtc=on,ioapic2=off,x-option-roms=off", t.Accel, t.cpu(), s),
		"-global", "virtio-mmio.force-legacy=false", "-kernel", t.kernel(),
		"-drive", "if=none,id=disk,format=raw,snapshot=on,file="+qemuWord(t.disk),
		"-device", "virtio-blk-device,drive=disk",
		"-netdev", foreignWire(place),
		"-device", "virtio-net-device,netdev=net,mac="+place.MAC)
}

func (t *Nanos) cpu() string { return foreignCPU(t.CPU, t.Accel, nanosCPU) }

// pack makes the disk by Nanos's own tool.
func (t *Nanos) pack(place lab.Place) error {
	// The kernel finds its file system behind the boot image only.
	cmd := exec.Command(filepath.Join(t.Dir, "mkfs"), "-b", filepath.Join(t.Dir, "boot.img"), "-k", t.kernel(), t.disk)
	cmd.Stdin = strings.NewReader(t.manifest(place))
	said := new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("bench: nanos: mkfs: %w: %s", err, strings.TrimSpace(said.String()))
	}
	return nil
}

// manifest says what the disk holds and how the machine is set up, in the words
// of Nanos's mkfs.
func (t *Nanos) manifest(place lab.Place) string {
	var b strings.Builder
	fmt.Fprintf(&b, "(children:(server:(contents:(host:%s)))\nprogram:/server\narguments:[server", t.Program)
	for _, a := range t.Args {
		b.WriteString(" " + a)
	}
	b.WriteString("]\nenvironment:(HOME:/")
	for _, e := range t.Env {
		b.WriteString(" " + strings.Replace(e, "=", ":", 1))
	}
	b.WriteString(")\n")
	if place.Addr.IsValid() {
		fmt.Fprintf(&b, "ipaddr:%s\nnetmask:%s\ngateway:%s\n", place.Addr.Addr(), net.IP(net.CIDRMask(place.Addr.Bits(), 32)), place.Gateway)
	}
	return b.String() + ")\n"
}
