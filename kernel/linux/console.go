package linux

import (
	"sync"
	"syscall"

	"pith/kernel/fs"
	"pith/kernel/socket"
)

// console is an open file on the console.
type console struct {
	file
	device Console
	node   *fs.Node
}

// theConsole hands the device's notifications to all files open on it.
var theConsole sharedConsole

type sharedConsole struct {
	device Console
	watch  watchers

	mu       sync.Mutex
	settings termios
}

// polled reports whether reads return at once, with nothing if nothing was typed:
// without line editing, VMIN 0 and VTIME 0 (termios(3)).
func (c *sharedConsole) polled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	mode := c.settings.mode()
	return mode.Local&syscall.ICANON == 0 && mode.Min == 0 && mode.Time == 0
}

// openConsole sets up descriptors 0, 1 and 2.
func openConsole(device Console) {
	theConsole.device = device
	theConsole.settings = cooked
	device.Notify(theConsole.watch.notify)
	node, _ := tree.Lookup(tree.Root(), "/dev/console", true)
	for fd := range uintptr(3) {
		fds.replace(fd, newConsole(node, syscall.O_RDWR), false)
	}
}

// newConsole opens the console once more.
func newConsole(node *fs.Node, flags uintptr) *file {
	c := &console{device: theConsole.device, node: node}
	c.begin(c, flags, true)
	theConsole.watch.add(&c.watch)
	return &c.file
}

func (c *console) read(p []byte) (int, Errno) {
	n, errno := c.device.Read(p)
	if errno == syscall.EAGAIN && theConsole.polled() {
		return 0, 0
	}
	return n, errno
}

func (c *console) write(p []byte) (int, Errno) { return c.device.Write(p) }

func (c *console) readiness() socket.Readiness { return c.device.Readiness() | writable }

func (c *console) stat(st *syscall.Stat_t) Errno {
	c.node.Stat(st)
	return 0
}

func (c *console) close() { theConsole.watch.remove(&c.watch) }

// winsize is struct winsize of ioctl_tty(2).
type winsize struct{ rows, columns, x, y uint16 }

// Requests of ioctl_tty(2) that package syscall lacks.
const (
	tcflsh  = 0x540b
	tcsbrk  = 0x5409
	tiocgsi = 0x5429 // TIOCGSID
)

// termios is the kernel's struct termios: 19 control characters.
type termios struct {
	iflag, oflag, cflag, lflag uint32
	line                       uint8
	cc                         [19]uint8
}

// TerminalMode is what the terminal's own end must know of a struct termios: the
// input, output and local modes, and VMIN and VTIME.
type TerminalMode struct {
	Input, Output, Local uint32
	Min, Time            uint8
}

// Indices of control characters.
const (
	vTime = 5
	vMin  = 6
)

func (t *termios) mode() TerminalMode {
	return TerminalMode{Input: t.iflag, Output: t.oflag, Local: t.lflag, Min: t.cc[vMin], Time: t.cc[vTime]}
}

// cooked is how a terminal is set at first, which the terminal at the other
// end of the console takes care of.
var cooked = termios{
	iflag: syscall.ICRNL | syscall.IXON,
	oflag: syscall.OPOST | syscall.ONLCR,
	cflag: syscall.B38400 | syscall.CS8 | syscall.CREAD,
	lflag: syscall.ISIG | syscall.ICANON | syscall.ECHO | syscall.ECHOE | syscall.ECHOK | syscall.IEXTEN,
	cc:    [19]uint8{3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26},
}

func (c *console) ioctl(_ call, request uintptr, arg address) (uintptr, Errno) {
	rows, columns, terminal := c.device.WindowSize()
	if !terminal {
		return 0, syscall.ENOTTY
	}
	switch request {
	case syscall.TCGETS:
		theConsole.mu.Lock()
		settings := theConsole.settings
		theConsole.mu.Unlock()
		return 0, put(arg, &settings)
	case syscall.TCSETS, syscall.TCSETS + 1, syscall.TCSETS + 2:
		return 0, setTerminal(arg)
	case tcflsh, tcsbrk:
		return 0, 0
	case syscall.TIOCGWINSZ:
		return 0, put(arg, &winsize{rows: uint16(rows), columns: uint16(columns)})
	case syscall.TIOCGPGRP, tiocgsi:
		one := int32(1)
		return 0, put(arg, &one)
	case syscall.TIOCSPGRP, syscall.TIOCSCTTY, syscall.TIOCSWINSZ:
		return 0, 0
	}
	return 0, syscall.ENOTTY
}

// setTerminal keeps a terminal's settings, and has the terminal set so, which is
// at the other end of the console and does the line editing and the echo.
func setTerminal(arg address) Errno {
	settings, errno := get[termios](arg)
	if errno != 0 {
		return errno
	}
	theConsole.mu.Lock()
	defer theConsole.mu.Unlock() // so that the last to set it is the last to tell
	changed := theConsole.settings.mode() != settings.mode()
	theConsole.settings = settings
	if changed && config.Terminal != nil {
		config.Terminal(settings.mode(), settings.mode() == cooked.mode())
	}
	return 0
}
