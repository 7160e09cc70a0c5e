// Package load makes the load that a comparison is measured with: HTTP and UDP,
// in a closed loop (a client asks again when it was answered) and in an open one
// (the rate is given, whatever the answers do).
//
// It relies on the net package and on HdrHistogram for latencies. Its own HTTP
// client reads as little of an answer as it must, because the load shares the
// host's CPUs with what is measured. It must not be pointed at anything but the
// machines of a lab (see package lab).
package load

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Result is what one load came to.
type Result struct {
	Offered  float64 // requests per second that were sent
	Answered float64 // good answers per second
	Errors   int64   // requests that failed or were answered too late
	// Latency is in microseconds, up to 60 s; nil where it was not measured.
	Latency *hdrhistogram.Histogram
}

// Loss is the share of the offered requests that got no good answer, 0 to 1.
func (r Result) Loss() float64 {
	if r.Offered == 0 {
		return 0
	}
	return max(0, 1-r.Answered/r.Offered)
}

// Milliseconds is a quantile (0 to 100) of the latency.
func (r Result) Milliseconds(quantile float64) float64 {
	if r.Latency == nil || r.Latency.TotalCount() == 0 {
		return 0
	}
	return float64(r.Latency.ValueAtPercentile(quantile)) / 1000
}

// Span is when a load counts: what ends before the warm-up is over or after
// the end is not counted.
type Span struct {
	Warmup, Length time.Duration
}

// window is a span with its clock started.
type window struct {
	from, to time.Time
}

func (s Span) start() window {
	from := time.Now().Add(s.Warmup)
	return window{from, from.Add(s.Length)}
}

func (w window) holds(t time.Time) bool { return !t.Before(w.from) && t.Before(w.to) }

func (w window) seconds() float64 { return w.to.Sub(w.from).Seconds() }

// patience is how long an answer may take before the request is an error.
const patience = 10 * time.Second

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, 60_000_000, 3)
}

// tally counts good answers and errors of one client.
type tally struct {
	answered, errors, offered int64
	latency                   *hdrhistogram.Histogram
}

func (t *tally) record(d time.Duration) {
	t.answered++
	t.latency.RecordValue(max(1, d.Microseconds())) // beyond 60 s it is an error before
}

// sum adds clients up.
func sum(w window, tallies []tally) Result {
	r := Result{Latency: newHistogram()}
	for _, t := range tallies {
		r.Answered += float64(t.answered)
		r.Offered += float64(t.answered + t.errors + t.offered)
		r.Errors += t.errors
		if t.latency != nil {
			r.Latency.Merge(t.latency)
		}
	}
	r.Answered /= w.seconds()
	r.Offered /= w.seconds()
	return r
}

// each runs client n times at once and waits for all of them.
func each(n int, client func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { client(i) })
	}
	all.Wait()
}

// dial connects with patience, again and again while the other side refuses or
// is too busy to answer: a lost first packet would otherwise cost a second.
func dial(ctx context.Context, network string, to netip.AddrPort, until time.Time) (net.Conn, error) {
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	d := net.Dialer{Timeout: 3 * time.Second}
	for {
		c, err := d.DialContext(ctx, network, to.String())
		if err == nil || ctx.Err() != nil {
			return c, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}
