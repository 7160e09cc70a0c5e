// Package lab is the private network that a comparison is measured in: a
// network namespace with one bridge, a tap device for each machine and a veth
// pair for the native reference. Nothing outside the namespace can reach it or
// notice it, and all of it is gone when the last process in it has ended.
//
// It relies on Linux network namespaces (network_namespaces(7)), with user
// namespaces where the caller is not root, on /dev/net/tun, and on the ip
// command of iproute2. It must not touch a network of the host's.
package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
)

// inside is set in the environment of a process that Enter started.
const inside = "PITH_LAB"

// Inside reports whether this process runs in a lab of its own.
func Inside() bool { return os.Getenv(inside) != "" }

// Enter runs this program again, with the given arguments and the same input
// and output, in a new network namespace, and waits for it. The exit code is
// the program's; an error says that it could not be run. When ctx ends, the
// program is interrupted, so that it can clean up.
func Enter(ctx context.Context, args ...string) (exitCode int, err error) {
	self, err := os.Executable()
	if err != nil {
		return 1, fmt.Errorf("lab: %w", err)
	}
	// A parent's death is a thread's death to the kernel; keep the thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if cmd.SysProcAttr, err = namespaces(); err != nil {
		return 1, err
	}
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	if err != nil {
		return 1, fmt.Errorf("lab: no network namespace of our own: %w (needs root, or user namespaces for everyone)", err)
	}
	return 0, nil
}
