package bench

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"pith/bench/lab"
)

// Ports of the measured program (bench/server).
const (
	webPort  = 8080
	echoPort = 9000
)

// Shape is the size of a machine.
type Shape struct {
	CPUs   int
	Memory int64 // bytes
	Trace  bool  // the instance is a Stager; its start takes longer
}

// Target is one way to run the measured program.
type Target interface {
	// Name is what the report calls it.
	Name() string
	// Prepare does all that is not part of a start, such as building.
	Prepare(ctx context.Context) error
	// Start starts an instance in the lab's network. It returns at once; the
	// program may not answer yet.
	Start(ctx context.Context, l *lab.Lab, s Shape) (Instance, error)
	// Shipped is what has to be shipped to run it: one file, or a few.
	Shipped() []string
	// Machine reports whether it runs in a virtual machine. Memory and idle
	// wake-ups are measured of machines only.
	Machine() bool
}

// Instance is the measured program, running.
type Instance interface {
	Addr() netip.Addr
	Started() time.Time      // just before its process was executed
	PID() int                // of the process that runs it: the VMM, or the program
	Threads() ([]int, error) // ids of the threads that run the program's code
	Facts() (Facts, error)
	Done() <-chan struct{} // closed when it has ended
	Stop(ctx context.Context) error
}

// Facts is what an instance says about what runs it.
type Facts struct {
	Accelerator string // "tcg", "kvm"; "none" on the host itself
	CPU         string // the CPU model
}

func (f Facts) String() string { return fmt.Sprintf("accel %s, cpu %s", f.Accelerator, f.CPU) }

func web(i Instance) netip.AddrPort  { return netip.AddrPortFrom(i.Addr(), webPort) }
func echo(i Instance) netip.AddrPort { return netip.AddrPortFrom(i.Addr(), echoPort) }

// shortQueue is how many frames wait in a tap device while a machine starts.
// Connection attempts that wait there would be the first thing that it gets to
// do, and the slower it starts, the more there would be.
const shortQueue = 8

// serveQueue is how many frames wait there while it serves: the kernel's own
// default for tap devices.
const serveQueue = 1000
