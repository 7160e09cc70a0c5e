//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// specFile describes a machine whose program is a child of this process; where
// it is missing, init becomes the program.
const specFile = "/pith.json"

// spec is what the driver writes (see Machine in package linuxvm).
type spec struct {
	Name  string
	Args  []string // with argv[0]
	Env   []string
	Dir   string
	Links []struct {
		MAC     string
		Addrs   []string
		Gateway []string
		Routes  []struct{ To, Via string }
	}
	Ports []struct {
		Protocol string
		Guest    uint16
	}
	Mounts  []mounted
	Forward bool // the program's cards are its own
	Input   bool // the driver sends the program's input
}

// Names of the virtio-serial ports, as package abi has them.
const (
	consolePort = "pith.console"
	controlPort = "pith.control"
	inputPort   = "pith.input"
)

// runMachine runs the program and tells the driver how it ended.
func runMachine(text []byte) {
	var s spec
	die("description of the machine", json.Unmarshal(text, &s))
	die("host name", syscall.Sethostname([]byte(s.Name)))
	s.nameLinks()
	for i := range s.Links {
		s.bringUp(i)
	}
	for _, m := range s.Mounts {
		m.mount()
	}
	console, control := openPort(consolePort), &driver{file: openPort(controlPort)}
	if s.Input {
		control.input = new(input)
	}
	program := exec.Command(program)
	program.Args, program.Env, program.Dir = s.Args, s.Env, s.Dir
	program.Stdout, program.Stderr = console, console
	var stdin *os.File
	if control.input != nil {
		stdin = control.input.open(openPort(inputPort))
		program.Stdin = stdin
	}
	if !s.Forward {
		denyFrames()
	}
	die("start of the program", program.Start())
	stdin.Close() // or it would seem that somebody reads; nil is no fault
	go control.obey(program.Process)
	go control.watch(s)
	program.Wait() // the state tells how it ended
	for _, m := range s.Mounts {
		m.unmount()
	}
	control.say("exit %d", exitCode(program.ProcessState, control))
	select {} // the driver ends the machine: a reboot would speak on the console
}

// Of prctl(2) and capabilities(7).
const (
	dropFromBoundingSet = 24
	netRaw              = 13
)

// denyFrames takes from programs that this goroutine starts the right to open packet
// sockets, which only those that forward have.
func denyFrames() {
	runtime.LockOSThread() // the set is a thread's, and children have that of theirs
	_, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, dropFromBoundingSet, netRaw, 0)
	if errno != 0 {
		die("rights", errno)
	}
}

// exitCode is the program's, or 128 and the number of the signal that ended it.
func exitCode(state *os.ProcessState, control *driver) int {
	status := state.Sys().(syscall.WaitStatus)
	if status.Exited() {
		return status.ExitStatus()
	}
	if status.Signal() == syscall.SIGKILL && killedForMemory() {
		control.say("oom 0 0 0")
	}
	return 128 + int(status.Signal())
}

// killedForMemory reads how often the kernel killed because memory ran out.
func killedForMemory() bool {
	text, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if count, ok := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); ok {
			return count != "0"
		}
	}
	return false
}

// portPatience bounds how long the driver of the ports may take to show them.
const portPatience = 20 * time.Second

// openPort opens a virtio-serial port by its name.
func openPort(name string) *os.File {
	for begin := time.Now(); time.Since(begin) < portPatience; time.Sleep(5 * time.Millisecond) {
		files, _ := filepath.Glob("/sys/class/virtio-ports/*/name")
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil || strings.TrimSpace(string(text)) != name {
				continue
			}
			fd, err := syscall.Open("/dev/"+filepath.Base(filepath.Dir(f)), syscall.O_RDWR|syscall.O_CLOEXEC, 0)
			if err == nil {
				return os.NewFile(uintptr(fd), name) // blocking: nothing that is written gets lost
			}
		}
	}
	die("port "+name, os.ErrNotExist)
	return nil
}

// driver is the other end of the control port.
type driver struct {
	mu    sync.Mutex
	file  *os.File
	input *input // nil where the program has none
}

func (d *driver) say(format string, words ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(d.file, format+"\n", words...)
}

// obey hands on the signals that the driver sends, and the end of the input.
func (d *driver) obey(p *os.Process) {
	for lines := bufio.NewScanner(d.file); lines.Scan(); {
		word, text, _ := strings.Cut(lines.Text(), " ")
		n, err := strconv.ParseInt(text, 10, 64)
		switch {
		case err != nil:
		case word == "signal":
			p.Signal(syscall.Signal(n))
		case word == "end" && d.input != nil:
			d.input.endsAfter(n)
		}
	}
}

// watch tells the driver once at which of its ports the program listens.
func (d *driver) watch(s spec) {
	told := map[int]bool{}
	for len(told) < len(s.Ports) {
		for i, p := range s.Ports {
			if !told[i] && listens(p.Protocol, p.Guest) {
				told[i] = true
				d.say("listen %s %d", p.Protocol, p.Guest)
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// listens looks for a socket in state "listen", or for datagrams "close".
// Source: the kernel's include/net/tcp_states.h.
func listens(protocol string, port uint16) bool {
	state := "0A"
	if protocol == "udp" {
		state = "07"
	}
	end := fmt.Sprintf(":%04X", port)
	for _, name := range []string{protocol, protocol + "6"} {
		text, err := os.ReadFile("/proc/net/" + name)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			words := strings.Fields(line)
			if len(words) > 3 && words[3] == state && strings.HasSuffix(words[1], end) {
				return true
			}
		}
	}
	return false
}
