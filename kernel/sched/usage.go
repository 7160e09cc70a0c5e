package sched

import "pith/kernel/clock"

// ThreadTime is the CPU time of the running thread, in ns.
func (s *Scheduler) ThreadTime() int64 {
	t := Current()
	return t.Ran + clock.Now() - t.ranFrom
}

// ProcessTime is the CPU time of all threads, in ns. Those that ended count too.
func (s *Scheduler) ProcessTime() int64 {
	s.mu.Lock()
	total, now := s.buried, clock.Now()
	s.Each(func(t *Thread) {
		if t.idle {
			return
		}
		total += t.Ran
		if t.state == Running {
			total += now - t.ranFrom
		}
	})
	s.mu.Unlock()
	return total
}
