//go:build !linux

package main

import (
	"pith"
	"pith/machine/qemu"
)

// userLink configures a card on QEMU's rootless network.
func userLink(_, mac string) pith.Link { return qemu.UserLink(mac) }
