package main

import (
	"pith"
	"pith/machine/qemu"
	"pith/machine/usernet"
)

// userLink configures a card on the rootless network of a kind of machine.
func userLink(kind, mac string) pith.Link {
	if interfaces(kind) {
		return usernet.Link(mac)
	}
	return qemu.UserLink(mac)
}
