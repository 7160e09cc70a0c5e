package qemu

import "pith/machine"

// backlog is how many new connections may wait at a published port; the kernel lowers it
// to net.core.somaxconn.
const backlog = 4096

// WelcomeMany lets many clients come at once to the ports that QEMU's user network
// publishes for a machine's cards. It is called when the guest runs: the ports are open
// then. Where it can't be done the ports still work, for a few new clients at a time.
func WelcomeMany(id machine.ProcessID, cards []machine.Card) {
	for _, c := range cards {
		if len(c.Wire.Ports) > 0 {
			raiseBacklog(id) // see above for what an error means
			return
		}
	}
}
