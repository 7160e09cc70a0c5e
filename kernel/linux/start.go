package linux

import (
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"pith/kernel/fs"
	"pith/kernel/socket"
)

// Console is what descriptors 0, 1 and 2 are connected to. Nothing in it
// blocks for longer than its bytes take to move.
type Console interface {
	// Read takes what was typed: EAGAIN when nothing is there, 0 bytes and no
	// error at the end of input.
	Read(p []byte) (int, syscall.Errno)
	// Write shows p. It takes all of it.
	Write(p []byte) (int, syscall.Errno)
	// Readiness says whether Read would find something.
	Readiness() socket.Readiness
	// Notify sets the callback that is told when Readiness changes; see
	// socket.Endpoint.
	Notify(func(socket.Readiness))
	// WindowSize returns the terminal's size; ok is false if the console is no
	// terminal.
	WindowSize() (rows, columns int, ok bool)
}

// Poller is the Go runtime's epoll, in the lower half. Its methods may be
// called with any lock held; they neither block nor allocate.
type Poller interface {
	// Ready tells that events (EPOLLIN and so on) may have become true for a
	// descriptor: an edge. It is remembered until the runtime asks, even if the
	// descriptor is registered later.
	Ready(fd int32, events uint32)
	// Forget drops what is remembered: the descriptor is closed.
	Forget(fd int32)
}

// Config is what Start needs. All fields are needed but Stack, Mapped, Listening and
// Late.
type Config struct {
	Console  Console
	Poller   Poller
	Stack    socket.Stack // nil: see SetStack
	Files    []fs.Packed  // read-only files of the image, later ones win
	Dir      string       // working directory, made if it is missing; "" is "/"
	Hostname string
	Args     []string // the program's arguments: /proc/self/cmdline
	Env      []string // KEY=VALUE: /proc/self/environ
	// Executable is the program's ELF file, for those who read it; nil where
	// there is none.
	Executable []fs.Piece
	CPUs       int
	Space      Space
	Signals    Signals
	// CPUID runs that instruction; nil where there is none. Frequency is that of
	// the processor's counter in Hz; nil if it has none.
	CPUID     func(leaf, sub uint32) (a, b, c, d uint32)
	Frequency func() uint64
	// Memory returns the machine's memory and what of it is free, in bytes.
	Memory func() (total, free uint64)
	// Mapped tells whether the program may read, or write, that memory; nil is
	// always.
	Mapped func(addr, size uintptr, write bool) bool
	// Random fills p with random bytes that suit cryptography; it may wait for
	// the machine's entropy source.
	Random func(p []byte)
	// Listening is told that a socket takes connections (tcp) or datagrams
	// (udp) at a port that the program chose, other than on loopback. It may
	// be called more than once for a port; nil is nobody.
	Listening func(protocol string, port uint16)
	// Traffic returns a network interface's counters, by its name, zeros if there
	// are none; nil is always.
	Traffic func(name string) Traffic
	// Terminal is told how the program sets its terminal, which does its line
	// editing and echo at the other end of the console; before says that it is
	// as it was before the program set anything. nil is nobody.
	Terminal func(mode TerminalMode, before bool)
	// Late counts what the runtime wrote to files while nothing else ran, and
	// TakeLate returns the oldest of it; Late is counted down when that is
	// written. nil is never.
	Late     *atomic.Uint32
	TakeLate func() (fd int32, data []byte)
}

// What Start sets up. It isn't changed afterwards, but for what is atomic.
var (
	config  Config
	poller  Poller
	tree    *fs.Tree
	booted  time.Time
	network atomic.Pointer[socket.Stack]

	process struct {
		mu       sync.RWMutex
		cwd      *fs.Node
		hostname string
		domain   string

		umask atomic.Uint32
	}
)

// Start begins to answer system calls. It is called once, before any user
// package is initialised.
func Start(c Config) {
	config, poller = c, c.Poller
	booted = time.Now()
	process.hostname = c.Hostname
	process.umask.Store(0o022)
	beginLimits()
	if c.Stack != nil {
		SetStack(c.Stack)
	}
	total, _ := c.Memory()
	findHeap(uintptr(total))
	tree = fs.New(int64(total / 2))
	process.cwd = tree.Root()
	plant()
	for _, p := range c.Files {
		if errno := tree.Pack(p); errno != 0 {
			complain("cannot place the image's file " + p.Path + ": " + errno.Error())
		}
	}
	if c.Dir != "" {
		enter(c.Dir)
	}
	openConsole(c.Console)
	started = !Hosted
}

// enter makes a directory and the working directory of it.
func enter(dir string) {
	errno := tree.MakeParents(dir + "/")
	node, errno2 := tree.Lookup(tree.Root(), dir, true)
	if errno == 0 {
		errno = errno2
	}
	if errno == 0 {
		errno = changeDirectory(node)
	}
	if errno != 0 {
		complain("cannot work in " + dir + ": " + errno.Error())
	}
}

// SetStack sets the network stack. Before that, AF_INET and AF_INET6 sockets
// fail with ENETDOWN.
func SetStack(s socket.Stack) { network.Store(&s) }

// Tree returns the machine's file tree, for kernel code that adds to it.
func Tree() *fs.Tree { return tree }

// stack returns the network stack, or nil.
func stack() socket.Stack {
	if s := network.Load(); s != nil {
		return *s
	}
	return nil
}

// Umask sets the file mode creation mask and returns the old one. It may be
// called from the lower half: package golang.org/x/sys/unix makes umask, which
// cannot fail, by the SYSCALL instruction.
//
//go:nosplit
//go:norace
func Umask(mask uint32) uint32 { return process.umask.Swap(mask & 0o777) }

// complain prints a line of the kernel's own on the console.
func complain(line string) { config.Console.Write([]byte("pith: " + line + "\n")) }
