package virtio

import "sync"

// Fanout shares one interrupt among several waiting goroutines, where a device
// has one line for all its queues (section 4.2.3.4), or fewer vectors than
// queues. No goroutine of its own stands between: whoever waits first waits for
// the interrupt, and wakes the others when it comes.
type Fanout struct {
	source Waiter

	mu      sync.Mutex
	wake    sync.Cond // signals changes of fired and leading
	fired   uint64    // interrupts so far
	leading bool      // someone is in source.Wait
}

// NewFanout returns a Fanout of source, which nobody else may wait for.
func NewFanout(source Waiter) *Fanout {
	f := &Fanout{source: source}
	f.wake.L = &f.mu
	return f
}

// Subscribe returns a Waiter that returns once for one or more interrupts,
// whoever saw them. Each subscriber is for one goroutine at a time.
func (f *Fanout) Subscribe() Waiter { return &subscriber{fanout: f} }

type subscriber struct {
	fanout *Fanout
	seen   uint64 // guarded by fanout.mu
}

func (s *subscriber) Wait() {
	f := s.fanout
	f.mu.Lock()
	for s.seen == f.fired {
		if f.leading {
			f.wake.Wait()
			continue
		}
		f.lead()
	}
	s.seen = f.fired
	f.mu.Unlock()
}

// lead waits for the interrupt in the name of all. f.mu is held on entry and
// return, not meanwhile.
func (f *Fanout) lead() {
	f.leading = true
	f.mu.Unlock()
	f.source.Wait()
	f.mu.Lock()
	f.leading = false
	f.fired++
	f.wake.Broadcast()
}
