// Package console is what descriptors 0, 1 and 2 of a program are connected
// to: first the debug port, then a port of a virtio console where there is one.
//
// It relies on ports that read and write bytes. It must not know
// descriptors. It belongs to the upper half; reading goes on in a goroutine
// of its own, which is parked while nothing is typed.
package console

import (
	"io"
	"sync"
	"syscall"

	"pith/kernel/socket"
)

// Console implements linux.Console.
type Console struct {
	writing sync.Mutex // keeps what is written apart, and guards out
	out     io.Writer

	mu            sync.Mutex
	room          sync.Cond // signals that typed was read
	open          func() io.Reader
	typed         []byte
	received      int  // bytes of input that came in all
	total         int  // how many there will be, -1 if that is not known yet
	asked         bool // open was called
	notify        func(socket.Readiness)
	rows, columns int
}

// limit bounds what is typed ahead, in bytes; then the host waits.
const limit = 64 << 10

// New makes a console that writes to out and has no input.
func New(out io.Writer) *Console {
	c := &Console{out: out}
	c.room.L = &c.mu
	return c
}

// Output has the console write to another port from now on.
func (c *Console) Output(out io.Writer) {
	c.writing.Lock()
	c.out = out
	c.writing.Unlock()
}

// Input gives the console input. open is called in a goroutine of its own when
// the program first reads: input that it does not want stays with the host. It is
// to be called before any Read.
func (c *Console) Input(open func() io.Reader) {
	c.mu.Lock()
	c.open, c.total = open, -1
	c.mu.Unlock()
}

// EndInput says how many bytes of input there are in all. Those that did not
// come yet are still read.
func (c *Console) EndInput(total int) {
	c.mu.Lock()
	c.total = max(total, 0)
	notify := c.notify
	c.mu.Unlock()
	if notify != nil {
		notify(syscall.EPOLLIN)
	}
}

// listen collects what is typed.
func (c *Console) listen() {
	in := c.open()
	buf := make([]byte, 4096)
	for {
		n, err := in.Read(buf)
		c.take(buf[:n])
		if err != nil {
			c.mu.Lock()
			total := c.received
			c.mu.Unlock()
			c.EndInput(total)
			return
		}
	}
}

// take waits until there is room for p.
func (c *Console) take(p []byte) {
	c.mu.Lock()
	for len(c.typed) > 0 && len(c.typed)+len(p) > limit {
		c.room.Wait()
	}
	c.typed = append(c.typed, p...)
	c.received += len(p)
	notify := c.notify
	c.mu.Unlock()
	if notify != nil && len(p) > 0 {
		notify(syscall.EPOLLIN)
	}
}

// Read takes what was typed; see linux.Console.
func (c *Console) Read(p []byte) (int, syscall.Errno) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.asked && c.open != nil {
		c.asked = true
		go c.listen()
	}
	if len(c.typed) == 0 {
		if c.ended() {
			return 0, 0
		}
		return 0, syscall.EAGAIN
	}
	n := copy(p, c.typed)
	c.typed = c.typed[:copy(c.typed, c.typed[n:])]
	c.room.Signal()
	return n, 0
}

// ended tells whether no more input will come. mu is held.
func (c *Console) ended() bool { return c.total >= 0 && c.received >= c.total }

// Write shows all of p.
func (c *Console) Write(p []byte) (int, syscall.Errno) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if n, err := c.out.Write(p); err != nil {
		return n, syscall.EIO
	}
	return len(p), 0
}

// Readiness says whether Read would find something.
func (c *Console) Readiness() socket.Readiness {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.typed) > 0 || c.ended() {
		return syscall.EPOLLIN | syscall.EPOLLOUT
	}
	return syscall.EPOLLOUT
}

// Notify sets the callback for changes of Readiness.
func (c *Console) Notify(f func(socket.Readiness)) {
	c.mu.Lock()
	c.notify = f
	c.mu.Unlock()
}

// WindowSize is the terminal's size; ok is false if it was never set.
func (c *Console) WindowSize() (rows, columns int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rows, c.columns, c.rows > 0 && c.columns > 0
}

// SetWindowSize notes the terminal's size, in characters.
func (c *Console) SetWindowSize(rows, columns int) {
	c.mu.Lock()
	c.rows, c.columns = rows, columns
	c.mu.Unlock()
}
