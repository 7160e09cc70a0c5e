package kernel

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"

	"pith/kernel/link"
)

// claimable is a card that the program may take from the network stack. The stack's
// receive goroutines stay: once the card is claimed they call the program with each
// frame, so that a frame goes from one ring to another on one goroutine.
type claimable struct {
	link.Device
	owner atomic.Pointer[owner]
}

// owner is what a program that claimed a card is called with.
type owner struct {
	receive []func(frame *link.Buffer, o link.Offload) // by queue
	done    func(queue int)
}

// Poll implements link.Device.
func (c *claimable) Poll(queue, budget int, deliver func(*link.Buffer, link.Offload)) int {
	o := c.owner.Load()
	if o == nil {
		return c.Device.Poll(queue, budget, deliver)
	}
	n := c.Device.Poll(queue, budget, o.receive[queue])
	if n > 0 {
		o.done(queue)
	}
	return n
}

// Transmit implements link.Device: what the stack sends on a card that is no
// longer its own is lost.
func (c *claimable) Transmit(queue int, frame *link.Buffer, o link.Offload) bool {
	if c.owner.Load() != nil {
		frame.Free()
		return false
	}
	return c.Device.Transmit(queue, frame, o)
}

// claims are the cards by their names, for claimCard.
var claims struct {
	mu    sync.Mutex
	cards map[string]*claimable
}

// offerCard makes a card claimable.
func offerCard(name string, d link.Device) link.Device {
	c := &claimable{Device: d}
	claims.mu.Lock()
	defer claims.mu.Unlock()
	if claims.cards == nil {
		claims.cards = map[string]*claimable{}
	}
	claims.cards[name] = c
	return c
}

// findCard returns a card for a program that is about to claim it, nil if there is
// none of that name. Package service/packet/port calls it by its linker name.
func findCard(name string) link.Device {
	claims.mu.Lock()
	defer claims.mu.Unlock()
	if c := claims.cards[name]; c != nil && c.owner.Load() == nil {
		return c.Device
	}
	return nil
}

// claimCard takes a card from the network stack for good. receive owns each frame; it
// and done, which follows each batch of a queue, must not block. Package
// service/packet/port calls it by its linker name.
func claimCard(name string, receive func(queue int, frame *link.Buffer, o link.Offload), done func(queue int)) error {
	claims.mu.Lock()
	c := claims.cards[name]
	claims.mu.Unlock()
	if c == nil {
		return errors.New("this machine has no card " + name)
	}
	o := &owner{done: done}
	for i := range c.Queues() {
		o.receive = append(o.receive, func(frame *link.Buffer, off link.Offload) { receive(i, frame, off) })
	}
	if !c.owner.CompareAndSwap(nil, o) {
		return errors.New("card " + name + " is claimed already")
	}
	return nil
}

// cardName is the name of the card with an index.
func cardName(i int) string { return "eth" + strconv.Itoa(i) }
