package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"pith"
	"pith/image"
	"pith/machine"
	"pith/machine/container"
	"pith/machine/host"
	"pith/machine/linuxvm"
	"pith/machine/process"
	"pith/machine/qemu"
)

// driverOf is what runs machines of a kind.
func driverOf(kind string, h host.Host) machine.Driver {
	switch kind {
	case machine.KindProcess:
		return process.New(h)
	case machine.KindContainer:
		return container.New(h)
	case machine.KindLinuxVM:
		return linuxvm.New(h)
	default:
		return qemu.New(h)
	}
}

// chooseKind is the kind that was asked for, or where none was, the unikernel if
// this host has QEMU, or else the process.
func (a *app) chooseKind(f runFlags, h host.Host) (string, error) {
	switch {
	case f.test && machine.Hosted(f.kind):
		return "", pith.Errorf("pith test runs tests in unikernels: on Linux, go test does")
	case f.kind != "":
		return f.kind, machine.CheckKind(f.kind)
	case f.test, f.paused:
		return machine.KindUnikernel, nil
	}
	if _, err := qemu.Find(h); err == nil || process.Namespaces(h) != nil || h.Getenv("PITH_QEMU") != "" {
		return machine.KindUnikernel, nil
	}
	fmt.Fprintln(a.err, "pith: QEMU is not installed, so this runs as a confined process (--machine unikernel says what installs it)")
	return machine.KindProcess, nil
}

// resolveHosted makes a static Linux program of WHAT, or takes it if it is one.
func (a *app) resolveHosted(ctx context.Context, what string, f buildFlags) (*pith.Image, error) {
	info, err := os.Stat(what)
	if err == nil && info.Mode().IsRegular() && !strings.HasSuffix(what, ".go") {
		return image.OpenHosted(what)
	}
	return a.buildHosted(ctx, what, "", f)
}

func (a *app) buildHosted(ctx context.Context, what, output string, f buildFlags) (*pith.Image, error) {
	p := newProgress(a.err)
	defer p.done()
	return image.BuildHosted(ctx, image.Options{
		Hold: &a.hold,
		What: what, Output: output, Tags: f.tags, LDFlags: f.ldflags, Strip: true, Progress: p.update,
	})
}

// interfaces reports whether machines of a kind have interfaces of the host's
// kernel instead of cards.
func interfaces(kind string) bool {
	return kind == machine.KindProcess || kind == machine.KindContainer
}

// settle ends the machines whose supervisor was killed, and takes away what they
// left on the host. One that can't be settled now is shown as ended all the same,
// and tried again next time.
func settle(store *machine.Store, h host.Host) {
	entries, err := store.List()
	if err != nil {
		return
	}
	for _, e := range entries {
		if e.Abandoned() {
			e.Settle(driverOf(e.Spec.Kind, h)) // see above
		}
	}
}

// settleMachine is settle for one machine, whose failure is told.
func settleMachine(e *machine.Entry) error {
	if !e.Abandoned() {
		return nil
	}
	return e.Settle(driverOf(e.Spec.Kind, host.This()))
}
