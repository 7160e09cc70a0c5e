package load

import (
	"context"
	"errors"
	"time"
)

// asker is one connection's client.
type asker interface {
	connected() bool
	dial(ctx context.Context) error
	// ask asks once and judges the answer: a wrongAnswer is an error. After any
	// error the connection is of no use.
	ask(deadline time.Time) error
	// aborter is what ends an ask over the present connection, from any goroutine.
	aborter() func()
	close()
}

// pool asks over connections of TCP, one request at a time on each.
type pool struct {
	askers []asker
	fresh  bool // a new connection for every request
}

// rate asks at a fixed rate (per second) for length. A request for which no
// connection is free waits, and its latency counts from when it was due. When ctx
// ends, the outcome is that of what was asked until then, with ctx's error.
func (p pool) rate(ctx context.Context, rate float64, length time.Duration) (Outcome, error) {
	for _, a := range p.askers {
		defer a.close()
	}
	scores := newScores(len(p.askers))
	p.connect(ctx)
	watch := &watch{begin: time.Now()}
	end := watch.begin.Add(length)
	running, giveUp := context.WithCancel(ctx)
	defer giveUp()
	go watch.guard(running, giveUp)
	queue := make(chan time.Time, int(rate*length.Seconds())+1)
	go func() {
		defer close(queue)
		Pace(running, rate, watch.begin, end, func(due time.Time) {
			watch.due.Add(1)
			queue <- due
		})
	}()
	each(len(p.askers), func(i int) {
		if err := p.serve(running, p.askers[i], &scores[i], queue, end.Add(grace), watch); err != nil {
			watch.fail(err, giveUp)
		}
	})
	err := watch.failure(ctx)
	return watch.outcome(scores, running.Err() != nil && err == nil), err
}

// connect makes the first connections before the clock starts. One that fails is
// made again, and its time counts.
func (p pool) connect(ctx context.Context) {
	if p.fresh {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	each(len(p.askers), func(i int) { p.askers[i].dial(ctx) })
}

// serve asks what is due, until the queue or the time has ended. An error is of
// this side's.
func (p pool) serve(ctx context.Context, a asker, s *score, queue <-chan time.Time, end time.Time, w *watch) error {
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	for due := range queue {
		if err := connect(ctx, a); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		hurry := context.AfterFunc(ctx, a.aborter())
		err := a.ask(earlier(end, time.Now().Add(silence)))
		hurry()
		switch {
		case err == nil:
			s.right(time.Since(due))
			w.sawAnswer()
		case errors.As(err, new(wrongAnswer)):
			s.wrong++
			w.sawAnswer()
			w.sawWrong(err)
		}
		if err != nil || p.fresh {
			a.close()
		}
	}
	return nil
}

// connect connects if need be, again and again while the other side does not
// take it.
func connect(ctx context.Context, a asker) error {
	for ctx.Err() == nil {
		if a.connected() {
			return nil
		}
		switch err := a.dial(ctx); {
		case err == nil:
			return nil
		case noPorts(err):
			return ErrNoPorts
		}
		pause(ctx, 10*time.Millisecond)
	}
	return ctx.Err()
}

// wrongAnswer is an answer that is not the right one.
type wrongAnswer struct{ error }

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
