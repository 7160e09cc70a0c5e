package test

import (
	"fmt"
	"testing"

	"pith/machine"
)

// kindPatience is for a first run too, which builds the program and, for a Linux
// machine, unpacks a kernel.
const kindPatience = 4 * patience

// TestFramesOfKinds: a program gets at frames only where it is said to forward.
func TestFramesOfKinds(t *testing.T) {
	for _, kind := range []string{machine.KindProcess, machine.KindContainer, machine.KindLinuxVM} {
		t.Run(kind, func(t *testing.T) {
			newDeployment(t, "none", kind) // skips where the kind can't be had
			for _, forward := range []bool{false, true} {
				flag := fmt.Sprint("--forward=", forward)
				runWithin(t, kindPatience, "--machine", kind, "--net", "none", flag, "./guest", "--", "frames").expect(t, 0, fmt.Sprint("frames: ", forward))
			}
		})
	}
}
