// Package console is what descriptors 0, 1 and 2 of a program are connected
// to: a virtio console, or the debug port where there is none.
//
// It relies on a port that reads and writes bytes. It must not know
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
	out io.Writer

	mu            sync.Mutex
	typed         []byte
	ended         bool // no more input will come
	notify        func(socket.Readiness)
	rows, columns int
}

// limit bounds what is typed ahead, in bytes.
const limit = 64 << 10

// New makes a console that writes to out and reads from in; in may be nil,
// which is the end of input from the start.
func New(out io.Writer, in io.Reader) *Console {
	c := &Console{out: out, ended: in == nil}
	if in != nil {
		go c.listen(in)
	}
	return c
}

// listen collects what is typed.
func (c *Console) listen(in io.Reader) {
	buf := make([]byte, 4096)
	for {
		n, err := in.Read(buf)
		c.mu.Lock()
		if room := limit - len(c.typed); n > room {
			n = room // typed ahead too far: dropped, as on a terminal
		}
		c.typed = append(c.typed, buf[:n]...)
		c.ended = err != nil
		notify := c.notify
		c.mu.Unlock()
		if notify != nil {
			notify(syscall.EPOLLIN)
		}
		if err != nil {
			return
		}
	}
}

// Read takes what was typed; see linux.Console.
func (c *Console) Read(p []byte) (int, syscall.Errno) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.typed) == 0 {
		if c.ended {
			return 0, 0
		}
		return 0, syscall.EAGAIN
	}
	n := copy(p, c.typed)
	c.typed = c.typed[:copy(c.typed, c.typed[n:])]
	return n, 0
}

// Write shows all of p.
func (c *Console) Write(p []byte) (int, syscall.Errno) {
	if n, err := c.out.Write(p); err != nil {
		return n, syscall.EIO
	}
	return len(p), 0
}

// Readiness says whether Read would find something.
func (c *Console) Readiness() socket.Readiness {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.typed) > 0 || c.ended {
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
