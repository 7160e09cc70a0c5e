package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"pith/bench/lab"
	"pith/machine/linuxvm"
)

// unikraftCPU is as lean as the models of the others, and has the pages of 1 GiB
// without which Unikraft does not start.
const unikraftCPU = "qemu64,+rdrand,+fsgsbase,+pdpe1gb"

// Unikraft is the measured program on Unikraft's ELF loader, which takes it from a
// RAM disk. It needs the old board with PCI, and the program as a static PIE.
type Unikraft struct {
	Dir    string // with its kernel
	Source string // folder of the program's source
	Work   string // folder for what Prepare makes
	Args   []string
	Accel  string // QEMU's -accel
	CPU    string // QEMU's -cpu; "" is what suits it best
}

// Name is "unikraft".
func (t *Unikraft) Name() string { return "unikraft" }

// Machine is true.
func (t *Unikraft) Machine() bool { return true }

func (t *Unikraft) kernel() string { return filepath.Join(t.Dir, "kernel") }
func (t *Unikraft) disk() string   { return filepath.Join(t.Work, "unikraft.cpio") }

// Prepare builds the program and packs it.
func (t *Unikraft) Prepare(ctx context.Context) error {
	if err := built(t.Name(), t.Dir, "kernel"); err != nil {
		return err
	}
	program := filepath.Join(t.Work, "unikraft.elf")
	if err := buildStaticPIE(ctx, t.Source, program); err != nil {
		return err
	}
	return linuxvm.WriteProgramDisk(t.disk(), program)
}

// buildStaticPIE builds the module in dir as a program that may lie anywhere and
// needs no dynamic linker. Go's own linker makes no such thing.
func buildStaticPIE(ctx context.Context, dir, out string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildmode=pie", "-tags=netgo,osusergo",
		"-ldflags=-s -w -linkmode=external -extldflags=-static-pie", "-o", out, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1", "GOOS=linux", "GOARCH=amd64", "GOWORK=off", "GOFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("bench: the measured program as a static PIE, which takes a C compiler (Debian and Ubuntu: apt-get install gcc libc6-dev): %w\n%s", err, text)
	}
	return nil
}

// Shipped are the kernel and the RAM disk.
func (t *Unikraft) Shipped() []string { return []string{t.kernel(), t.disk()} }

// Start boots it. It always has one CPU.
func (t *Unikraft) Start(ctx context.Context, l *lab.Lab, s Shape) (Instance, error) {
	if err := oneCPU(t.Name(), s); err != nil {
		return nil, err
	}
	cpu := foreignCPU(t.CPU, t.Accel, unikraftCPU)
	return startForeign(ctx, l, s, cpu, func(place lab.Place) ([]string, error) {
		return append(foreignLine("q35", t.Accel, cpu, s),
			"-kernel", t.kernel(), "-initrd", qemuWord(t.disk()), "-append", t.words(place),
			"-netdev", foreignWire(place), "-device", "virtio-net-pci,netdev=net,romfile=,mac="+place.MAC), nil
	})
}

// words are the kernel's command line: its settings, then the program's.
func (t *Unikraft) words(place lab.Place) string {
	line := fmt.Sprintf("netdev.ip=%s:%s -- /server", place.Addr, place.Gateway)
	for _, a := range t.Args {
		line += " " + a
	}
	return line
}
