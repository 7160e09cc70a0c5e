//go:build linux

// Command init is the first process of a Linux guest of package linuxvm. It
// loads the modules in /modules in the order of their names, configures lo and
// eth0 from its environment (which the kernel takes from its command line),
// mounts what programs expect, and becomes the program at /app.
//
// It relies on the kernel's module, mount and rtnetlink interfaces only, and is
// built on its own, so it must import the standard library alone.
package main

import (
	"os"
	"strings"
	"syscall"
)

// program is where the RAM disk holds the program.
const program = "/app"

func main() {
	begin := readTSC()
	mount("devtmpfs", "/dev")
	mount("proc", "/proc")
	mount("sysfs", "/sys")
	stampInit(begin)
	loadModules("/modules")
	configure("lo", "127.0.0.1/8", "")
	if text, err := os.ReadFile(specFile); err == nil {
		runMachine(text)
	}
	if addr := os.Getenv("PITH_ADDR"); addr != "" {
		configure("eth0", addr, os.Getenv("PITH_GATEWAY"))
	}
	if at := os.Getenv("PITH_DISK"); at != "" {
		die("mount of "+at, syscall.Mount("/dev/vda", at, "ext4", 0, ""))
	}
	stamp("program")
	args := append([]string{program}, os.Args[1:]...)
	die("start of "+program, syscall.Exec(program, args, environment()))
}

func mount(kind, dir string) {
	err := syscall.Mount(kind, dir, kind, 0, "")
	if err != nil && err != syscall.EBUSY { // some kernels mount /dev themselves
		die("mount of "+dir, err)
	}
}

// environment is what the program gets: without the words that were for init.
func environment() []string {
	var env []string
	for _, word := range os.Environ() {
		if !strings.HasPrefix(word, "PITH_") {
			env = append(env, word)
		}
	}
	return env
}

// die says what failed and ends the machine: the kernel's command line makes
// it reboot when its first process ends, and QEMU takes that for the end.
func die(what string, err error) {
	if err == nil {
		return
	}
	os.Stdout.WriteString("init: " + what + ": " + err.Error() + "\n")
	os.Exit(1)
}
