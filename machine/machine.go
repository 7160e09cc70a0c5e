// Package machine is what every way to run an image has in common: the
// specification of one machine, the folder that remembers it on disk, the
// supervisor that owns it while it runs, and the interface that a driver
// (machine/qemu, ...) fills.
//
// It relies on the standard library, package pith and package abi. It must not
// know a driver, a network or the builder: cmd/pith joins them. It must not
// signal a process that it cannot recognise as its own (see ProcessID).
package machine

import (
	"io"
	"os"

	"pith"
)

// Driver runs machines in one way.
type Driver interface {
	// Name is the driver's name in error messages, "qemu".
	Name() string
	// Check refuses a machine that the driver or this host can't run, with a
	// sentence that says what would work. It starts nothing.
	Check(Spec) error
	// Start starts the machine and returns as soon as its process runs. On an
	// error nothing is left running.
	Start(Launch) (Running, error)
}

// Running is a machine that was started. Its methods may be called from
// several goroutines at once.
type Running interface {
	// Process identifies the machine's process on the host.
	Process() ProcessID
	// Signal hands a Unix signal (1 to 31) to the program inside. It does
	// not wait for the program to take it.
	Signal(number int) error
	// Debug lets a debugger connect to a Unix socket at path.
	Debug(path string) error
	// Kill ends the machine at once.
	Kill() error
	// Wait returns when the machine has ended and all of its output was
	// delivered. It may be called once.
	Wait() Exit
}

// Launch is what the host gives a driver to start a machine with.
type Launch struct {
	Spec  Spec
	Cards []Card
	Disks []Disk // of Spec.Mounts, in their order
	// Dir is a private folder that exists; the driver's files go there and
	// are removed with it.
	Dir string
	// Console takes all that the program prints. Writes never overlap.
	Console io.Writer
	// Input is the program's standard input, read when the program reads it; nil
	// is an empty one.
	Input io.Reader
	// Window is the size of the terminal that Console and Input belong to, zero
	// where they belong to none.
	Window Window
	// Notify is told each control message of the guest, one at a time.
	Notify func(Message)
}

// Window is the size of a terminal, in characters.
type Window struct{ Rows, Columns int }

// TerminalMode is how a program wants its terminal: the input, output and local
// modes and the control characters VMIN and VTIME of Linux's struct termios.
type TerminalMode struct {
	Input, Output, Local uint32
	Min, Time            uint8
}

// Terminal is what a Running can be asked for whose program's console may be a
// terminal.
type Terminal interface {
	// Resize tells the program that the terminal has another size.
	Resize(Window) error
}

// Button is what a Running can be asked for whose board may have a power button.
type Button interface {
	// PressButton presses it. A Pith image takes that for SIGTERM.
	PressButton() error
}

// Card is one network card, ready to be plugged in.
type Card struct {
	Link pith.Link // MAC and the configuration that the guest is given
	Wire Wire
}

// Disk is a volume's file, locked for the machine, or a folder of the host's.
type Disk struct {
	Path     string
	File     *os.File // of a volume: what holds its lock
	Serial   string   // by which the guest tells it from others; at most 20 bytes
	Folder   bool     // the guest sees the folder itself, by 9P
	ReadOnly bool
}

// Wire is where a card's frames go: to exactly one of its fields.
type Wire struct {
	// User asks for the driver's own rootless network, with Ports published.
	User  bool
	Ports []pith.Port
	// Tap is an open tap interface. The driver hands it on; the caller
	// closes it.
	Tap *os.File
	// Queues are the tap's further queues: the driver gives the card a queue pair
	// for each of them, and one for Tap.
	Queues []*os.File
	// Bridge is a bridge of the host's that the driver joins by itself: for
	// machines that have interfaces instead of frames.
	Bridge string
	// Stream is a connected stream socket on which each frame follows its
	// length (4 bytes, big-endian): a switch outside of the driver.
	Stream *os.File
}

// Exit says how a machine ended.
type Exit struct {
	// Code is the program's exit code, 0 to 255; 137 when it was killed.
	Code int
	// Err is why the machine itself failed, in one sentence; nil when the
	// program ended by its own doing or was killed.
	Err error
}

// Exit codes that do not come from the program.
const (
	// ExitFailure is the code where the machine failed.
	ExitFailure = 1
	// ExitKilled is 128 and SIGKILL's number, as shells have it.
	ExitKilled = 128 + 9
)
