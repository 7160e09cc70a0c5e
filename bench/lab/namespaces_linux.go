package lab

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// namespaces are those of a lab: the network, and a user namespace with root
// in it where the caller isn't root already.
func namespaces() (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGTERM}
	if os.Geteuid() == 0 {
		return attr, nil
	}
	attr.Cloneflags |= syscall.CLONE_NEWUSER
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	return attr, nil
}

// OwnNetwork is for a process in the lab that gets a network namespace of its
// own (see Veth). It ends with its parent.
func OwnNetwork() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// KillGroup ends a process that OwnNetwork was for, and all of its children. One
// that has ended already is no error.
func KillGroup(pid int) error {
	if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("lab: end process group %d: %w", pid, err)
	}
	return nil
}
