package load

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Sample is one request of an honest client, and what came of it.
type Sample struct {
	Due  time.Duration // when the client wanted to ask, from the probe's begin
	Took time.Duration // from then to the right answer, or to the failure
	Err  string        `json:",omitempty"` // why there was no right answer
}

// ProbePatience is how long an honest client waits for its answer.
const ProbePatience = 2 * time.Second

// Probe asks at a small, fixed rate, each request as a client of its own, so that
// none waits for the one before.
type Probe struct {
	begin time.Time
	stop  context.CancelFunc
	asks  sync.WaitGroup

	mu      sync.Mutex
	samples []Sample
}

// StartProbe asks rate times per second until Stop.
func StartProbe(ctx context.Context, rate float64, ask func(context.Context) error) *Probe {
	ctx, stop := context.WithCancel(ctx)
	p := &Probe{begin: time.Now(), stop: stop}
	p.asks.Go(func() {
		const forever = 24 * time.Hour
		Pace(ctx, rate, p.begin, p.begin.Add(forever), func(due time.Time) {
			p.asks.Go(func() { p.ask(ctx, due, ask) })
		})
	})
	return p
}

// ask asks once. A request that Stop cuts off is no sample.
func (p *Probe) ask(ctx context.Context, due time.Time, ask func(context.Context) error) {
	patient, cancel := context.WithDeadline(ctx, due.Add(ProbePatience))
	defer cancel()
	err := ask(patient)
	if ctx.Err() != nil {
		return
	}
	s := Sample{Due: due.Sub(p.begin), Took: time.Since(due)}
	switch {
	case err != nil && patient.Err() != nil:
		s.Err = "no answer in time"
	case err != nil:
		s.Err = err.Error()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.samples = append(p.samples, s)
}

// Now is the time on the probe's clock.
func (p *Probe) Now() time.Duration { return time.Since(p.begin) }

// Samples are those until now, in the order in which they ended.
func (p *Probe) Samples() []Sample {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Sample(nil), p.samples...)
}

// Stop ends the probe; requests that have no answer yet are forgotten.
func (p *Probe) Stop() {
	p.stop()
	p.asks.Wait()
}

// Once asks once over a new connection; an answer that is not the right one is an
// error.
func (w Web) Once(ctx context.Context) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(patience)
	}
	w.Close = true
	c := &webClient{Web: w}
	if err := c.dial(ctx); err != nil {
		return err
	}
	defer c.close()
	stop := context.AfterFunc(ctx, c.end)
	defer stop()
	return c.ask(deadline)
}

// Once asks a question, chosen at random, from a new socket, and not again.
func (d DNS) Once(ctx context.Context) error {
	q := d.Questions[rand.IntN(len(d.Questions))]
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(d.To))
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Now()) })
	defer stop()
	query, id := append([]byte(nil), q.wire...), uint16(rand.Uint32())
	binary.BigEndian.PutUint16(query, id)
	if _, err := conn.Write(query); err != nil {
		return err
	}
	in := make([]byte, 65535)
	for {
		n, err := conn.Read(in)
		if err != nil {
			return err
		}
		if n < 2 || binary.BigEndian.Uint16(in) != id {
			continue // not for this query
		}
		if err := q.check(in[:n]); err != nil {
			return wrongAnswer{err}
		}
		return nil
	}
}
