//go:build !linux

package container

import (
	"pith"
	"pith/machine"
)

var errLinux = pith.Errorf("a container needs Linux: use --machine unikernel")

// Check refuses every machine.
func (d *Driver) Check(machine.Spec) error { return errLinux }

// Start refuses every machine.
func (d *Driver) Start(machine.Launch) (machine.Running, error) { return nil, errLinux }

// Clean has nothing to take away.
func (d *Driver) Clean(string, machine.Spec) error { return nil }
