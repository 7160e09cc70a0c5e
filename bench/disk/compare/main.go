// Command compare runs bench/disk in turn in a machine of Pith's and in the Linux guest,
// both on the same disk image and with the same memory, and prints what both say side
// by side. Usage: compare [-rounds N] PITH, the command. It needs no rights and leaves
// nothing behind.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"pith/machine/host"
	"pith/machine/linuxvm"
	"pith/machine/qemu"
)

const (
	program = "./bench/disk"
	memory  = 512 << 20
	volume  = "disk-bench"
	onDisk  = "/data" // where both have the volume,
	inRAM   = "/tmp"  // and a tmpfs
)

func main() {
	rounds := flag.Int("rounds", 3, "how often each is run")
	flag.Parse()
	if flag.NArg() != 1 || *rounds < 1 {
		fmt.Fprintln(os.Stderr, "usage: compare [-rounds N] PITH")
		os.Exit(2)
	}
	if err := compare(flag.Arg(0), *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func compare(pith string, rounds int) error {
	dir, err := os.MkdirTemp("", "pith-disk-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	k := &kit{pith: pith, dir: dir}
	if err := k.prepare(); err != nil {
		return err
	}
	// The first run fills the volume: the others begin by reading what is there.
	if _, err := k.unikernel(); err != nil {
		return fmt.Errorf("pith: %w", err)
	}
	var t table
	for i := range rounds {
		fmt.Fprintf(os.Stderr, "files: round %d of %d\n", i+1, rounds)
		for _, target := range []struct {
			name string
			run  func() (string, error)
		}{{"linux", k.linux}, {"pith", k.unikernel}} {
			output, err := target.run()
			if err == nil {
				err = t.add(target.name, output)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", target.name, err)
			}
		}
	}
	fmt.Print(t.text())
	return nil
}

// kit is what both targets run: the program for each, and the volume.
type kit struct {
	pith, dir   string
	image, disk string
	guest       *linuxvm.Guest
	accel       qemu.Accel
}

func (k *kit) prepare() (err error) {
	if k.accel, err = qemu.ChooseAccel(host.This()); err != nil {
		return err
	}
	static := filepath.Join(k.dir, "disk")
	build := exec.Command("go", "build", "-trimpath", "-o", static, program)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if _, err := output(build); err != nil {
		return err
	}
	k.image = filepath.Join(k.dir, "disk.img")
	if _, err := output(k.command("build", "-o", k.image, program)); err != nil {
		return err
	}
	if _, err := output(k.command("volume", "create", volume, "--size", "1G")); err != nil {
		return err
	}
	text, err := output(k.command("volume", "inspect", volume))
	if err != nil {
		return err
	}
	var info struct{ Path string }
	if err := json.Unmarshal([]byte(text), &info); err != nil {
		return err
	}
	k.disk = info.Path
	k.guest, err = linuxvm.Prepare(context.Background(), linuxvm.Build{Program: static, Disk: true})
	return err
}

// command is pith, with a state of its own.
func (k *kit) command(args ...string) *exec.Cmd {
	c := exec.Command(k.pith, args...)
	c.Env = append(os.Environ(), "PITH_STATE="+filepath.Join(k.dir, "state"))
	return c
}

// output is what a command prints; what went wrong is part of the error.
func output(c *exec.Cmd) (string, error) {
	out, err := c.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%s: %w: %s", c, err, exit.Stderr)
	}
	return string(out), err
}

func (k *kit) unikernel() (string, error) {
	return output(k.command("run", "--rm", "-m", fmt.Sprint(memory>>20), "-v", volume+":"+onDisk, k.image, "--", onDisk, inRAM))
}

func (k *kit) linux() (string, error) {
	var console bytes.Buffer
	o := linuxvm.Options{Args: []string{onDisk, inRAM}, Memory: memory, Disk: k.disk, Console: &console}
	if k.accel.Kind == qemu.KVM {
		o.Accel, o.CPU = "kvm", "host"
	}
	m, err := k.guest.Start(context.Background(), o)
	if err != nil {
		return "", err
	}
	<-m.Done()
	return strings.ReplaceAll(console.String(), "\r", ""), nil
}
