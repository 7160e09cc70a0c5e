// Package flood makes the loads of those who mean harm, to see what honest clients
// of a service notice of them: requests at many times what it can answer, clients
// that never finish what they say, connections and SYNs in heaps, requests and
// Ethernet frames that break the rules of their protocols.
//
// It relies on package load for the pace, and on packet(7) of Linux for frames. What
// it does is bounded in rate, connections and time. It must not be pointed at
// anything but the machines of a lab (see package lab).
package flood

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"pith/bench/load"
	"pith/service/packet"
)

// Protocols that a victim may speak.
const (
	HTTP = "web"
	DNS  = "dns"
)

// Victim is the service that is attacked.
type Victim struct {
	Protocol string // HTTP or DNS
	Addr     netip.AddrPort
	MAC      packet.MAC
	Device   string // the lab's interface, for frames
	Query    []byte // a right DNS query
}

// Strength bounds an attack.
type Strength struct {
	Rate   float64 // requests, connections, SYNs or frames per second
	Conns  int     // connections at a time
	Length time.Duration
	Seed   uint64 // of random choices
}

// Attack is one way to do harm.
type Attack struct {
	Name string
	What string // for people
	// Times reports whether the rate is a multiple of what the service can
	// answer; otherwise it is a rate of its own.
	Times bool
	run   func(context.Context, *attack) error
}

// Attacks are all that there are, in the order of a report.
var Attacks = []Attack{
	{"overload", "right requests at many times what the service can answer", true, overload},
	{"slow", "clients that send a byte each second and never finish", false, slow},
	{"connections", "connections opened in heaps, held, and reset", false, connections},
	{"syn", "TCP SYNs from addresses that nobody has", false, syns},
	{"malformed", "requests that break the rules of their protocol", false, malformed},
	{"frames", "Ethernet frames whose headers lie", false, frames},
}

// Names are the attacks' names.
func Names() []string {
	var names []string
	for _, a := range Attacks {
		names = append(names, a.Name)
	}
	return names
}

// Find is the attack with a name.
func Find(name string) (Attack, bool) {
	for _, a := range Attacks {
		if a.Name == name {
			return a, true
		}
	}
	return Attack{}, false
}

// attack is one under way.
type attack struct {
	Victim
	Strength
	end  time.Time
	sent atomic.Int64
}

// random is a source of the attack's choices.
func (a *attack) random() *rand.Rand { return rand.New(rand.NewPCG(a.Seed, 0)) }

// Run attacks for s.Length, and returns how many requests, connections or frames
// were sent. That the victim refuses or ends is no error.
func (k Attack) Run(ctx context.Context, v Victim, s Strength) (sent int64, err error) {
	if s.Rate <= 0 || s.Conns < 1 || s.Length <= 0 {
		return 0, fmt.Errorf("flood: a rate of %v, %d connections, %v: each must be more than nothing", s.Rate, s.Conns, s.Length)
	}
	a := &attack{Victim: v, Strength: s, end: time.Now().Add(s.Length)}
	within, cancel := context.WithDeadline(ctx, a.end)
	defer cancel()
	if err := k.run(within, a); err != nil {
		return a.sent.Load(), fmt.Errorf("flood %s: %w", k.Name, err)
	}
	return a.sent.Load(), ctx.Err()
}

// pace calls send at the attack's rate until its end.
func (a *attack) pace(ctx context.Context, send func()) {
	load.Pace(ctx, a.Rate, time.Now(), a.end, func(time.Time) {
		if ctx.Err() == nil {
			send()
		}
	})
}
