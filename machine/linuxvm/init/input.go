//go:build linux

package main

import (
	"os"
	"sync"
)

// input is the program's standard input: a pipe, because the port has no end that a
// reader would see.
type input struct {
	mu   sync.Mutex
	pipe *os.File // nil after the end
	got  int64
	all  int64 // how much there will have been in all, once ended
	done bool  // all is known
}

// open begins to copy from the port, and returns the program's end of the pipe.
func (i *input) open(port *os.File) *os.File {
	r, w, err := os.Pipe()
	die("pipe for the input", err)
	i.pipe = w
	go i.copy(port, w)
	return r
}

func (i *input) copy(port, pipe *os.File) {
	buf := make([]byte, 64<<10)
	for {
		n, err := port.Read(buf)
		if err != nil {
			return
		}
		pipe.Write(buf[:n]) // a program that has closed its input wants no more
		i.mu.Lock()
		i.got += int64(n)
		i.closeAtEnd()
		i.mu.Unlock()
	}
}

// endsAfter takes in how many bytes of input there were, those under way included.
func (i *input) endsAfter(n int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.all, i.done = n, true
	i.closeAtEnd()
}

// closeAtEnd is called with mu held.
func (i *input) closeAtEnd() {
	if i.done && i.got >= i.all && i.pipe != nil {
		i.pipe.Close()
		i.pipe = nil
	}
}
