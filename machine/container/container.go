// Package container runs a machine as a container: an OCI runtime bundle of the
// program on an empty base, started by runc.
//
// It relies on the OCI runtime specification 1.0 and on runc's command line, on
// Linux and as root. runc is called directly, since a supervisor of Pith's does
// already what a daemon would add. It must not touch a container that is not its
// own: runc's state is in the machine's folder.
package container

import (
	"fmt"

	"pith"
	"pith/machine/host"
)

// runtime is the OCI runtime's name in the search path.
const runtime = "runc"

// Driver runs machines as containers of one host.
type Driver struct {
	host host.Host
}

// New makes the driver for a host.
func New(h host.Host) *Driver { return &Driver{host: h} }

// Name is "container".
func (d *Driver) Name() string { return "container" }

// Find is the runtime's path: $PITH_RUNC, or the one in the search path.
func (d *Driver) Find() (string, error) {
	name := runtime
	if own := d.host.Getenv("PITH_RUNC"); own != "" {
		name = own
	}
	path, err := d.host.LookPath(name)
	if err == nil {
		return path, nil
	}
	if name != runtime {
		return "", pith.Errorf("PITH_RUNC is %s, which can't be run: %w", name, err)
	}
	return "", fmt.Errorf("runc is not installed on this host; this installs it: %s", d.host.Install("runc"))
}

var errDebug = pith.Errorf("pith debug looks into unikernels: a container's program is debugged on the host, for instance by dlv attach")
