package qemu

import "pith/machine/host"

// QueuePairs is how many queue pairs are good for a card on a tap: one for each CPU with
// KVM. Where QEMU emulates, one thread of QEMU's serves all of them, and a second pair
// made a machine with two CPUs slower (docs/decisions.md).
func QueuePairs(h host.Host, cpus int) int {
	if accel, err := ChooseAccel(h); err != nil || accel.Kind != KVM {
		return 1 // an error is told when the machine starts
	}
	return cpus
}
