package load

import (
	"context"
	"errors"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	// silence is how long a server that is being asked may answer nothing at
	// all before it counts as one that no longer answers.
	silence = 5 * time.Second
	// grace is how long answers are waited for after the last request was due.
	grace = 2 * time.Second
)

// Outcome is what a load at a given rate came to. Every request that was due is
// in one of Answered, Wrong and Lost.
type Outcome struct {
	Due      int64 // requests that were due
	Answered int64 // with the right answer
	Wrong    int64 // with another one
	Lost     int64 // with none until the end and its grace
	Elapsed  time.Duration
	Last     time.Duration // when the last answer came, from the load's begin
	// Latency is in microseconds, up to 60 s, of the right answers, from the
	// time at which a request was due: what waits behind a server that stalls
	// has waited (no coordinated omission).
	Latency *hdrhistogram.Histogram
	// Silent reports that the server answered nothing for so long that the load
	// gave up; SilentFrom is when that began, from the load's begin.
	Silent     bool
	SilentFrom time.Duration
	FirstWrong string // what was wrong with the first wrong answer
}

// watch is the state that all clients of one load share.
type watch struct {
	begin    time.Time
	answered atomic.Int64 // when the last answer came, ns from begin
	due      atomic.Int64
	asked    atomic.Bool // all that was due was sent
	wrong    atomic.Pointer[string]
	failed   atomic.Pointer[error]
}

// fail ends the load by an error of this side's.
func (w *watch) fail(err error, giveUp context.CancelFunc) {
	w.failed.CompareAndSwap(nil, &err)
	giveUp()
}

// failure is the error that ended the load, or ctx's.
func (w *watch) failure(ctx context.Context) error {
	if err := w.failed.Load(); err != nil {
		return *err
	}
	return ctx.Err()
}

// ErrNoPorts says that the load can't open more connections.
var ErrNoPorts = errors.New("the load has no free port left for another connection: use fewer --clients, or keep connections alive")

// noPorts reports whether the kernel has no local port for a connection (EAGAIN is
// what a datagram socket gets).
func noPorts(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EAGAIN)
}

func (w *watch) sawAnswer() { w.answered.Store(int64(time.Since(w.begin))) }

// sawWrong keeps the first reason.
func (w *watch) sawWrong(err error) {
	text := err.Error()
	w.wrong.CompareAndSwap(nil, &text)
}

// guard ends the load when nothing was answered for too long.
func (w *watch) guard(ctx context.Context, giveUp context.CancelFunc) {
	tick := time.NewTicker(silence / 20)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if time.Since(w.begin)-time.Duration(w.answered.Load()) > silence && w.due.Load() > 0 {
			giveUp()
			return
		}
	}
}

// score is one client's part of an outcome.
type score struct {
	answered, wrong int64
	latency         *hdrhistogram.Histogram
}

func (s *score) right(d time.Duration) {
	s.answered++
	s.latency.RecordValue(min(max(1, d.Microseconds()), s.latency.HighestTrackableValue()))
}

// outcome adds the clients up.
func (w *watch) outcome(scores []score, silent bool) Outcome {
	o := Outcome{Due: w.due.Load(), Elapsed: time.Since(w.begin), Latency: newHistogram(), Silent: silent, Last: time.Duration(w.answered.Load())}
	for _, s := range scores {
		o.Answered += s.answered
		o.Wrong += s.wrong
		o.Latency.Merge(s.latency)
	}
	o.Lost = max(0, o.Due-o.Answered-o.Wrong)
	if silent {
		o.SilentFrom = time.Duration(w.answered.Load())
	}
	if text := w.wrong.Load(); text != nil {
		o.FirstWrong = *text
	}
	return o
}

func newScores(n int) []score {
	scores := make([]score, n)
	for i := range scores {
		scores[i].latency = newHistogram()
	}
	return scores
}
