//go:build linux

package main

import (
	"fmt"
	"path/filepath"
	"runtime"
	"testing"

	"pith"
	"pith/image"
	"pith/machine"
	"pith/machine/container"
	"pith/machine/host"
	"pith/machine/linuxvm"
	"pith/machine/machinetest"
	"pith/machine/process"
	"pith/machine/qemu"
	"pith/machine/usernet"
)

// hostedGuest builds the contract's guest as a Linux program.
func hostedGuest(t *testing.T) *pith.Image {
	t.Helper()
	img, err := image.BuildHosted(t.Context(), image.Options{
		What:   machinetest.GuestFolder,
		Output: filepath.Join(t.TempDir(), "guest"),
		Strip:  true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// cpuCounts are 1 and 2, as far as the host has them.
func cpuCounts() []int { return []int{1, 2}[:min(2, runtime.NumCPU())] }

func TestContractProcess(t *testing.T) {
	h := host.This()
	if err := process.Namespaces(h); err != nil {
		t.Skip(err)
	}
	img := hostedGuest(t)
	for _, cpus := range cpuCounts() {
		t.Run(fmt.Sprint(cpus), func(t *testing.T) {
			machinetest.Run(t, machinetest.Suite{
				Driver: process.New(h), Image: img, Type: machine.TypeMicroVM, CPUs: cpus, UserLink: usernet.Link,
			})
		})
	}
}

func TestContractContainer(t *testing.T) {
	h := host.This()
	driver := container.New(h)
	if err := driver.Check(machine.Spec{}); err != nil {
		t.Skip(err)
	}
	img := hostedGuest(t)
	for _, cpus := range cpuCounts() {
		t.Run(fmt.Sprint(cpus), func(t *testing.T) {
			machinetest.Run(t, machinetest.Suite{
				Driver: driver, Image: img, Type: machine.TypeMicroVM, CPUs: cpus, UserLink: usernet.Link,
			})
		})
	}
}

func TestContractLinuxVM(t *testing.T) {
	driver := linuxvm.New(emulated())
	if err := driver.Check(machine.Spec{Machine: pith.Machine{Memory: machine.DefaultMemory}}); err != nil {
		t.Skip(err)
	}
	img := hostedGuest(t)
	for _, cpus := range []int{1, 2} {
		t.Run(fmt.Sprint(cpus), func(t *testing.T) {
			machinetest.Run(t, machinetest.Suite{
				Driver: driver, Image: img, Type: machine.TypeMicroVM, CPUs: cpus, UserLink: qemu.UserLink,
			})
		})
	}
}
