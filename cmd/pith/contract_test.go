package main

import (
	"fmt"
	"path/filepath"
	"testing"

	"pith/image"
	"pith/machine"
	"pith/machine/host"
	"pith/machine/machinetest"
	"pith/machine/qemu"
)

// emulated is this host with PITH_ACCEL=tcg, whatever the environment says.
func emulated() host.Host {
	h := host.This()
	getenv := h.Getenv
	h.Getenv = func(key string) string {
		if key == "PITH_ACCEL" {
			return qemu.TCG
		}
		return getenv(key)
	}
	return h
}

// TestContract boots real machines.
func TestContract(t *testing.T) {
	if testing.Short() {
		t.Skip("boots machines")
	}
	img, err := image.Build(t.Context(), image.Options{
		What:   machinetest.GuestFolder,
		Output: filepath.Join(t.TempDir(), "guest.img"),
		Strip:  true,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, board := range []string{machine.TypeMicroVM, machine.TypeQ35} {
		for _, cpus := range []int{1, 2} {
			t.Run(fmt.Sprintf("qemu/%s/%d", board, cpus), func(t *testing.T) {
				machinetest.Run(t, machinetest.Suite{
					Driver: qemu.New(emulated()), Image: img, Type: board, CPUs: cpus, UserLink: qemu.UserLink,
				})
			})
		}
	}
}
