package linux

import (
	"syscall"

	"pith/kernel/fs"
	"pith/kernel/socket"
)

// device numbers of Linux's devices.txt, as st_rdev encodes them.
const (
	devNull    = 1<<8 | 3
	devZero    = 1<<8 | 5
	devFull    = 1<<8 | 7
	devRandom  = 1<<8 | 8
	devUrandom = 1<<8 | 9
	devTTY     = 5<<8 | 0
	devConsole = 5<<8 | 1
)

// devices is what there is in /dev.
var devices = []struct {
	number uint64
	name   string
}{
	{devNull, "null"}, {devZero, "zero"}, {devFull, "full"}, {devRandom, "random"}, {devUrandom, "urandom"},
	{devTTY, "tty"}, {devConsole, "console"},
}

// deviceName returns a device's name in /dev, or "".
func deviceName(number uint64) string {
	for _, d := range devices {
		if d.number == number {
			return d.name
		}
	}
	return ""
}

// memoryDevice is an open /dev/null, zero, full, random or urandom.
type memoryDevice struct {
	file
	node *fs.Node
}

// openDevice opens a character device node; ENXIO if there is no such device.
func openDevice(node *fs.Node, flags uintptr) (*file, Errno) {
	switch node.Rdev() {
	case devNull, devZero, devFull, devRandom, devUrandom:
		d := &memoryDevice{node: node}
		d.begin(d, flags, false)
		return &d.file, 0
	case devConsole:
		return newConsole(node, flags), 0
	case devTTY:
		if _, _, terminal := theConsole.device.WindowSize(); !terminal {
			return nil, syscall.ENXIO
		}
		return newConsole(node, flags), 0
	}
	return nil, syscall.ENXIO
}

func (d *memoryDevice) read(p []byte) (int, Errno) {
	switch d.node.Rdev() {
	case devNull:
		return 0, 0
	case devZero, devFull:
		clear(p)
	default:
		config.Random(p)
	}
	return len(p), 0
}

func (d *memoryDevice) write(p []byte) (int, Errno) {
	if d.node.Rdev() == devFull {
		return 0, syscall.ENOSPC
	}
	return len(p), 0
}

func (d *memoryDevice) readAt(p []byte, _ int64) (int, Errno)  { return d.read(p) }
func (d *memoryDevice) writeAt(p []byte, _ int64) (int, Errno) { return d.write(p) }
func (d *memoryDevice) seek(int64, int) (int64, Errno)         { return 0, 0 }
func (d *memoryDevice) readiness() socket.Readiness            { return readable | writable }
func (d *memoryDevice) close()                                 {}

func (d *memoryDevice) stat(st *syscall.Stat_t) Errno {
	d.node.Stat(st)
	return 0
}
