// Package profile is where the kernel, which stands below package os, finds the
// agent that takes profiles, which stands above it (package agent), if the image
// holds one.
//
// It relies on the standard library's atomics. It must not know a profile's format.
package profile

import (
	"io"
	"sync/atomic"
)

// Taker takes a profile of a kind over some seconds, and writes it to out as
// messages of abi.ControlProfile. It may block for so long.
type Taker func(kind string, seconds int, out io.Writer)

var registered atomic.Pointer[Taker]

// Register offers a taker. Its package calls it as it initialises.
func Register(t Taker) { registered.Store(&t) }

// Registered is the taker, nil where the image holds none.
func Registered() Taker {
	t := registered.Load()
	if t == nil {
		return nil
	}
	return *t
}
