// Package process runs a machine as a confined process of the host: the same
// program, as a static Linux executable, in namespaces of its own, with an empty
// file system, without rights, and with a short list of allowed system calls.
//
// It relies on Linux 5.12 or newer: user, mount, process, network, IPC and UTS
// namespaces (namespaces(7)), seccomp (seccomp(2)), control groups where it may
// make them, and a tap device. It needs no rights where users may make user
// namespaces, but for bridges. Machines are started through the calling program
// itself, which must call RunStage before anything else.
package process

import (
	"pith"
	"pith/machine/host"
)

// Driver runs machines as processes of one host.
type Driver struct {
	host host.Host
}

// New makes the driver for a host.
func New(h host.Host) *Driver { return &Driver{host: h} }

// Name is "process".
func (d *Driver) Name() string { return "process" }

// errDebug is the answer to `pith debug`.
var errDebug = pith.Errorf("pith debug looks into unikernels: a process is debugged on the host, for instance by dlv attach")
