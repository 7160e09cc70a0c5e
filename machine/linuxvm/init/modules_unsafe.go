//go:build linux

package main

import (
	"os"
	"syscall"
	"unsafe"
)

// sysFinitModule is the number of finit_module on amd64.
const sysFinitModule = 313

func loadModules(dir string) {
	files, err := os.ReadDir(dir) // sorted by name
	die("modules", err)
	for _, f := range files {
		die("module "+f.Name(), loadModule(dir+"/"+f.Name()))
	}
}

func loadModule(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	parameters := []byte{0}
	// SAFETY: parameters outlives the call, and the kernel only reads it up to
	// its zero byte.
	_, _, errno := syscall.Syscall(sysFinitModule, f.Fd(), uintptr(unsafe.Pointer(&parameters[0])), 0)
	if errno != 0 {
		return errno
	}
	return nil
}
