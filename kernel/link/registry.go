package link

import (
	"sync"

	"pith/kernel/socket"
)

// Network is a whole stack: what programs see and what cards are attached to.
type Network interface {
	socket.Stack
	Attacher
}

// Options is what a stack is made with.
type Options struct {
	Random   func([]byte) // fills the slice with unpredictable bytes
	Memory   int          // bytes that sockets' queues may hold together
	Hostname string
}

// Factory makes a stack.
type Factory func(Options) (Network, error)

var registry struct {
	mu      sync.Mutex
	factory Factory
	waiting func(Factory)
}

// Register offers a stack. A stack's package calls it as it initialises; the
// image holds one such package.
func Register(f Factory) {
	registry.mu.Lock()
	registry.factory = f
	waiting := registry.waiting
	registry.waiting = nil
	registry.mu.Unlock()
	if waiting != nil {
		waiting(f)
	}
}

// WhenRegistered calls f with the stack that is or will be registered.
func WhenRegistered(f func(Factory)) {
	registry.mu.Lock()
	factory := registry.factory
	if factory == nil {
		registry.waiting = f
	}
	registry.mu.Unlock()
	if factory != nil {
		f(factory)
	}
}
