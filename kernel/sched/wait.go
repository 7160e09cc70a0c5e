package sched

import (
	"pith/kernel/apic"
	"pith/kernel/clock"
)

func bucket(key uintptr) int { return int(key>>2^key>>10^key>>18) & 255 }

// Wait blocks the current thread until WakeKey names key, the deadline passes
// (0 is none), or a signal comes. The caller holds the lock, and holds it
// again when Wait returns Woken, TimedOut or Interrupted.
func (s *Scheduler) Wait(key uintptr, mask uint32, deadline int64) int {
	t := Current()
	if t.Pending&^t.Blocked != 0 {
		return Interrupted
	}
	t.state, t.key, t.mask, t.result = Blocked, key, mask, Woken
	s.enqueue(t)
	if deadline != 0 {
		s.sleep(t, deadline)
	}
	s.leave()
	return t.result
}

// WakeKey wakes at most n threads that wait for key and share a bit of mask.
// The caller holds the lock. It returns how many there were.
func (s *Scheduler) WakeKey(key uintptr, mask uint32, n int) int {
	woken := 0
	for r := s.keys[bucket(key)].head; r != 0 && woken < n; {
		t := r.Thread()
		r = t.next
		if t.key == key && t.mask&mask != 0 {
			s.unblock(t, Woken)
			woken++
		}
	}
	return woken
}

// Requeue moves at most n waiters from one key to another.
func (s *Scheduler) Requeue(from, to uintptr, n int) int {
	moved := 0
	for r := s.keys[bucket(from)].head; r != 0 && moved < n; {
		t := r.Thread()
		r = t.next
		if t.key == from {
			s.dequeue(t)
			t.key = to
			s.enqueue(t)
			moved++
		}
	}
	return moved
}

// Interrupt ends a thread's wait because a signal came, or brings its CPU into
// the kernel if it runs. The caller holds the lock.
func (s *Scheduler) Interrupt(t *Thread) {
	switch t.state {
	case Blocked:
		s.unblock(t, Interrupted)
	case Running:
		if c := &s.cpus[t.cpu]; c != s.this() {
			apic.Send(c.local.APICID, apic.WakeVector)
		}
	}
}

func (s *Scheduler) enqueue(t *Thread) {
	q := &s.keys[bucket(t.key)]
	t.next, t.prev = 0, q.tail
	if q.tail == 0 {
		q.head = t.Ref()
	} else {
		q.tail.Thread().next = t.Ref()
	}
	q.tail = t.Ref()
}

func (s *Scheduler) dequeue(t *Thread) {
	q := &s.keys[bucket(t.key)]
	if t.prev == 0 {
		q.head = t.next
	} else {
		t.prev.Thread().next = t.next
	}
	if t.next == 0 {
		q.tail = t.prev
	} else {
		t.next.Thread().prev = t.prev
	}
	t.next, t.prev = 0, 0
}

// unblock ends a wait.
func (s *Scheduler) unblock(t *Thread, result int) {
	s.dequeue(t)
	s.cancel(t)
	t.key, t.result = 0, result
	s.ready(t.Ref())
}

// sleep enters t into its CPU's list of time-outs.
func (s *Scheduler) sleep(t *Thread, deadline int64) {
	c := s.this()
	t.wakeAt, t.timerCPU = deadline, c.local.ID
	var prev Ref
	next := c.sleepers
	for next != 0 && next.Thread().wakeAt <= deadline {
		prev, next = next, next.Thread().tNext
	}
	t.tPrev, t.tNext = prev, next
	if prev == 0 {
		c.sleepers = t.Ref()
	} else {
		prev.Thread().tNext = t.Ref()
	}
	if next != 0 {
		next.Thread().tPrev = t.Ref()
	}
}

// cancel takes t out of the time-outs, if it is there.
func (s *Scheduler) cancel(t *Thread) {
	if t.wakeAt == 0 {
		return
	}
	if t.tPrev == 0 {
		s.cpus[t.timerCPU].sleepers = t.tNext
	} else {
		t.tPrev.Thread().tNext = t.tNext
	}
	if t.tNext != 0 {
		t.tNext.Thread().tPrev = t.tPrev
	}
	t.wakeAt, t.tNext, t.tPrev = 0, 0, 0
}

// expire wakes the threads of c whose time has come.
func (s *Scheduler) expire(c *CPU, now int64) {
	for c.sleepers != 0 && c.sleepers.Thread().wakeAt <= now {
		s.unblock(c.sleepers.Thread(), TimedOut)
		c.resched = true
	}
}

// Tick is the timer's interrupt.
func (s *Scheduler) Tick() {
	c := s.this()
	now := clock.Now()
	s.mu.Lock()
	c.armed = 0
	s.expire(c, now)
	t := Current()
	if c.profile != 0 && now >= c.profile {
		c.profile = 0
		if !t.idle && s.OnProfile != nil {
			s.OnProfile(t)
		}
	}
	s.arm(c, now)
	s.mu.Unlock()
}

// slack is how much later than asked a timer may fire rather than be set anew.
const slack = 50_000

// arm sets c's timer to what is due first, if it is not set early enough
// already: an interrupt that comes too early is cheaper than a new setting.
func (s *Scheduler) arm(c *CPU, now int64) {
	var due int64
	if c.sleepers != 0 {
		due = c.sleepers.Thread().wakeAt
	}
	if c.run.head != 0 && (due == 0 || c.sliceEnd < due) {
		due = c.sliceEnd
	}
	busy := !Ref(c.local.Thread).Thread().idle
	if s.profileEvery != 0 && busy {
		if c.profile == 0 {
			c.profile = now + s.profileEvery
		}
		if due == 0 || c.profile < due {
			due = c.profile
		}
	}
	if due == 0 || c.armed != 0 && c.armed <= due+slack {
		return
	}
	c.armed = due
	clock.SetTimer(due-now, c.local.ID == 0)
}

// SetProfile starts or, with 0, stops profiling ticks on every CPU.
func (s *Scheduler) SetProfile(every int64) {
	s.mu.Lock()
	s.profileEvery = every
	for i := 0; i < s.n; i++ {
		s.cpus[i].profile = 0
		if every != 0 && s.cpus[i].halted.Load() == 0 && &s.cpus[i] != s.this() {
			apic.Send(s.cpus[i].local.APICID, apic.WakeVector)
		}
	}
	s.arm(s.this(), clock.Now())
	s.mu.Unlock()
}

// Rearm looks again at what this CPU's timer must be set to.
func (s *Scheduler) Rearm() {
	s.mu.Lock()
	s.arm(s.this(), clock.Now())
	s.mu.Unlock()
}
