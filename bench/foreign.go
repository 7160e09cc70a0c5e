package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"pith/bench/lab"
	"pith/machine/linuxvm"
)

// What targets have in common that are unikernels of others. Nothing of theirs is
// part of this package: what they are made of lies in a folder that the user names.

// built looks whether a folder holds what a target needs.
func built(target, dir string, names ...string) error {
	if dir == "" {
		return fmt.Errorf("bench: %s: -%[1]s names no folder with %s (see docs/benchmarks/peers.md)", target, strings.Join(names, ", "))
	}
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("bench: %s: %w (docs/benchmarks/peers.md says what the folder holds)", target, err)
		}
	}
	return nil
}

// oneCPU refuses shapes that a target which runs on one CPU only can't have.
func oneCPU(target string, s Shape) error {
	if s.CPUs != 1 {
		return fmt.Errorf("bench: %s runs on one CPU only, not on %d", target, s.CPUs)
	}
	return nil
}

// startForeign starts QEMU at a place of the lab, with the arguments that line makes
// for it. What line does is no part of the start.
func startForeign(ctx context.Context, l *lab.Lab, s Shape, cpu string, line func(lab.Place) ([]string, error)) (*linuxInstance, error) {
	place, err := l.Tap(ctx, shortQueue)
	if err != nil {
		return nil, err
	}
	args, err := line(place)
	if err != nil {
		return nil, errors.Join(err, l.Remove(ctx, place))
	}
	console := newTranscript(s)
	m, err := linuxvm.Boot("qemu-system-x86_64", args, console)
	if err != nil {
		return nil, errors.Join(err, l.Remove(ctx, place))
	}
	return &linuxInstance{Machine: m, lab: l, place: place, cpu: cpu, console: console}, nil
}

// foreignLine is the part of QEMU's command line that all of them have.
func foreignLine(board, accel, cpu string, s Shape) []string {
	return []string{
		"-M", board, "-accel", accel, "-cpu", cpu,
		"-smp", linuxvm.Processors(s.CPUs), "-m", strconv.FormatInt(s.Memory>>20, 10) + "M",
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
	}
}

// foreignWire is QEMU's -netdev for the tap device of a place.
func foreignWire(place lab.Place) string {
	return "tap,id=net,ifname=" + place.Link + ",script=no,downscript=no,vhost=off"
}

// foreignCPU is what the user asked for, or else the best: the host's where it
// runs by itself, lean where it is emulated.
func foreignCPU(asked, accel, lean string) string {
	switch {
	case asked != "":
		return asked
	case accel == "kvm":
		return "host"
	}
	return lean
}

// qemuWord is a path as a value among others that commas part.
func qemuWord(path string) string { return strings.ReplaceAll(path, ",", ",,") }
