//go:build !linux

package process

import (
	"pith"
	"pith/machine"
)

var errLinux = pith.Errorf("a confined process needs Linux: use --machine unikernel")

// RunStage does nothing: there are no stages here.
func RunStage() {}

// Start refuses every machine.
func (d *Driver) Start(machine.Launch) (machine.Running, error) { return nil, errLinux }

// Clean has nothing to take away.
func (d *Driver) Clean(string, machine.Spec) error { return nil }
