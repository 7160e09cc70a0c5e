// Package kernel is a kernel for the builder's tests: its images run as Linux
// processes, and it counts the system calls that reach it as function calls.
package kernel

import (
	_ "pith/abi"
	_ "pith/kernel/boot"
	_ "pith/kernel/linux"
)

// AtExit stands for the kernel's.
func AtExit() {}
