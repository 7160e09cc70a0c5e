//go:build !linux

package lab

import (
	"errors"
	"syscall"
)

func namespaces() (*syscall.SysProcAttr, error) {
	return nil, errors.New("lab: network namespaces are a part of Linux")
}

// OwnNetwork is of no use without namespaces.
func OwnNetwork() *syscall.SysProcAttr { return nil }

// KillGroup is of no use without a lab.
func KillGroup(int) error { return errors.New("lab: there is none") }
