package sched

import (
	"sync/atomic"

	"pith/kernel/apic"
	"pith/kernel/clock"
	"pith/kernel/cpu"
	"pith/kernel/mm"
)

// MaxCPUs is how many CPUs are used at most.
const MaxCPUs = 64

// slice is how long a thread runs while others wait for its CPU, in ns.
const slice = 4_000_000

// queue is a list of threads that are ready, linked by next.
type queue struct {
	head, tail Ref
}

func (q *queue) push(r Ref) {
	r.Thread().next = 0
	if q.tail == 0 {
		q.head = r
	} else {
		q.tail.Thread().next = r
	}
	q.tail = r
}

func (q *queue) pushFront(r Ref) {
	r.Thread().next = q.head
	q.head = r
	if q.tail == 0 {
		q.tail = r
	}
}

func (q *queue) pop() Ref {
	r := q.head
	if r == 0 {
		return 0
	}
	q.head = r.Thread().next
	if q.head == 0 {
		q.tail = 0
	}
	return r
}

// CPU is the scheduler's record of one CPU.
type CPU struct {
	local    cpu.Local
	run      queue
	idle     Ref
	sleepers Ref
	armed    int64 // what the timer is set to; 0 if it is not
	sliceEnd int64
	zombie   Ref // a thread that ended and whose stack was in use until now
	resched  bool
	online   atomic.Uint32
	halted   atomic.Uint32 // in the idle loop
	stale    atomic.Uint32 // must drop its translations
	renewal  renewal
	profile  int64 // next profiling tick; 0 if none
}

// Scheduler is all CPUs with their threads.
type Scheduler struct {
	mu     cpu.SpinLock
	cpus   [MaxCPUs]CPU
	n      int
	lastID int32
	buried int64 // CPU time of threads that ended
	all    Ref
	keys   [256]queueOfKey

	// StartPC is where a new thread begins; package trap sets it.
	StartPC uintptr
	// ProfileEvery is the profiling interval in ns; 0 is off.
	profileEvery int64
	// OnProfile is called for a thread at each profiling tick.
	OnProfile func(t *Thread)
}

// queueOfKey holds those that wait for keys of one hash, linked both ways.
type queueOfKey struct{ head, tail Ref }

// Threads is the one scheduler.
var Threads Scheduler

// Lock and Unlock guard what other packages decide under the scheduler's lock.
func (s *Scheduler) Lock()   { s.mu.Lock() }
func (s *Scheduler) Unlock() { s.mu.Unlock() }

// CPUs returns how many CPUs run.
func (s *Scheduler) CPUs() int { return s.n }

// AddCPU makes the record of the next CPU and returns its number and Local.
// A CPU begins as its own idle thread.
func (s *Scheduler) AddCPU(apicID uint32) (*cpu.Local, bool) {
	if s.n == MaxCPUs {
		return nil, false
	}
	idle := s.newThread()
	if idle == 0 {
		return nil, false
	}
	c := &s.cpus[s.n]
	t := idle.Thread()
	t.idle, t.cpu, t.state = true, uint32(s.n), Running
	s.lastID-- // idle threads have no number of their own
	t.ID = 0
	c.idle = idle
	c.local.Self = localAddress(&c.local)
	c.local.ID, c.local.APICID = uint32(s.n), apicID
	c.local.Thread, c.local.KernelStack = uintptr(idle), t.top
	s.n++
	return &c.local, true
}

// Online says that the running CPU takes part.
func (s *Scheduler) Online() { s.this().online.Store(1) }

// APICID returns the interrupt address of CPU i.
func (s *Scheduler) APICID(i int) uint32 { return s.cpus[i].local.APICID }

func (s *Scheduler) this() *CPU { return &s.cpus[cpu.This().ID] }

// pick takes the next thread to run on c: its own, else another CPU's.
func (s *Scheduler) pick(c *CPU) Ref {
	if r := c.run.pop(); r != 0 {
		return r
	}
	for i := 0; i < s.n; i++ {
		other := &s.cpus[(int(c.local.ID)+1+i)%s.n]
		if r := other.run.pop(); r != 0 {
			return r
		}
	}
	return 0
}

// leave gives the CPU to the next thread. The caller holds the lock and has
// put the current thread where it will be found again. leave returns, with
// the lock held, when the current thread runs again.
func (s *Scheduler) leave() {
	c := s.this()
	next := s.pick(c)
	if next == 0 {
		next = c.idle
	}
	if uintptr(next) == c.local.Thread {
		next.Thread().state = Running
		return
	}
	s.switchTo(c, next)
}

func (s *Scheduler) switchTo(c *CPU, next Ref) {
	now := clock.Now()
	cur, t := Ref(c.local.Thread).Thread(), next.Thread()
	cur.Ran += now - cur.ranFrom
	t.ranFrom = now
	t.state, t.cpu = Running, c.local.ID
	c.local.Thread, c.local.KernelStack = uintptr(next), t.top
	c.sliceEnd = now + slice
	c.renewal.look(now)
	if !t.idle {
		s.arm(c, now)
	}
	switchStack(spOf(cur), t.sp, uintptr(next), t.fs)
	s.bury()
}

// bury frees the thread that ended on this CPU.
func (s *Scheduler) bury() {
	c := s.this()
	if c.zombie == 0 {
		return
	}
	t := c.zombie.Thread()
	c.zombie = 0
	s.buried += t.Ran
	s.forget(t.Ref())
	mm.Memory.FreePages(t.stackPages, stackOrder)
}

func (s *Scheduler) forget(r Ref) {
	if s.all == r {
		s.all = r.Thread().allNext
		return
	}
	for p := s.all; p != 0; p = p.Thread().allNext {
		if p.Thread().allNext == r {
			p.Thread().allNext = r.Thread().allNext
			return
		}
	}
}

// Begun is the first thing that a new thread does: it gives the lock back that
// it was switched to with.
func (s *Scheduler) Begun() {
	s.bury()
	s.mu.Unlock()
}

// Spawn makes a thread that starts with a copy of frame. 0 means no memory.
func (s *Scheduler) Spawn(frame *cpu.Frame) Ref {
	s.mu.Lock()
	r := s.newThread()
	if r == 0 {
		s.mu.Unlock()
		return 0
	}
	t := r.Thread()
	at := t.top - cpu.FrameSize
	*(*cpu.Frame)(cpu.Pointer(at)) = *frame
	cpu.Store64(at-8, uint64(s.StartPC)) // switchStack returns there
	cpu.Store64(at-16, 0)                // and pops BP first
	t.sp = at - 16
	cur := Current()
	t.Blocked, t.cpu = cur.Blocked, cpu.This().ID
	s.ready(r)
	s.mu.Unlock()
	return r
}

// Exit ends the current thread. It does not return.
func (s *Scheduler) Exit() {
	s.mu.Lock()
	t := Current()
	t.state = Dead
	s.this().zombie = t.Ref()
	s.leave()
	panic("BUG: an ended thread ran again")
}

// Yield lets others run that are ready on this CPU.
func (s *Scheduler) Yield() {
	s.mu.Lock()
	c := s.this()
	if c.run.head != 0 {
		t := Current()
		t.state = Runnable
		c.run.push(t.Ref())
		s.leave()
	}
	s.mu.Unlock()
}

// ready makes a thread runnable: on an idle CPU if there is one, its last one
// preferred. The caller holds the lock.
func (s *Scheduler) ready(r Ref) {
	t := r.Thread()
	t.state = Runnable
	c := &s.cpus[t.cpu]
	if c.halted.Load() == 0 {
		for i := 0; i < s.n; i++ {
			if s.cpus[i].online.Load() != 0 && s.cpus[i].halted.Load() != 0 && s.cpus[i].run.head == 0 {
				c = &s.cpus[i]
				break
			}
		}
	}
	c.run.push(r)
	self := s.this()
	if c == self {
		if Current().idle {
			return
		}
		s.arm(c, clock.Now())
		return
	}
	apic.Send(c.local.APICID, apic.WakeVector)
}

// Idle is the life of a CPU that has nothing to do. It does not return.
func (s *Scheduler) Idle() {
	c := s.this()
	for {
		s.mu.Lock()
		s.expire(c, clock.Now())
		if next := s.pick(c); next != 0 {
			s.wakeUp(c)
			s.switchTo(c, next)
			s.mu.Unlock()
			continue
		}
		c.halted.Store(1)
		s.arm(c, clock.Now())
		s.mu.Unlock()
		cpu.WaitForInterrupt()
		s.wakeUp(c)
	}
}

// wakeUp ends the idle state: translations that changed meanwhile are dropped.
// The store comes before the look at stale, as FlushOthers has them the other
// way round, so that one of the two sees the other.
func (s *Scheduler) wakeUp(c *CPU) {
	c.halted.Store(0)
	s.answerFlush(c)
}

func (s *Scheduler) answerFlush(c *CPU) {
	if c.stale.Load() != 0 {
		cpu.WriteCR3(cpu.ReadCR3())
		c.stale.Store(0)
	}
}

// AnswerFlush drops this CPU's translations if another asked for it.
func (s *Scheduler) AnswerFlush() { s.answerFlush(s.this()) }

// FlushOthers makes all other CPUs drop their translations before it returns;
// idle ones do it when they wake up.
func (s *Scheduler) FlushOthers() {
	if s.n < 2 {
		return
	}
	self := s.this()
	for i := 0; i < s.n; i++ {
		c := &s.cpus[i]
		if c == self || c.online.Load() == 0 {
			continue
		}
		c.stale.Store(1)
		if c.halted.Load() == 0 {
			apic.Send(c.local.APICID, apic.FlushVector)
		}
	}
	for i := 0; i < s.n; i++ {
		c := &s.cpus[i]
		for c != self && c.online.Load() != 0 && c.halted.Load() == 0 && c.stale.Load() != 0 {
			s.answerFlush(self)
			cpu.Pause()
		}
	}
}

// Preempt is called at the end of each interrupt that came while a thread
// ran. It tells whether another should run now.
func (s *Scheduler) Preempt() bool {
	c := s.this()
	if c.run.head == 0 {
		c.resched = false
		return false
	}
	return c.resched || clock.Now() >= c.sliceEnd
}

// Reschedule puts the current thread behind others and runs the next.
func (s *Scheduler) Reschedule() {
	s.mu.Lock()
	c := s.this()
	c.resched = false
	if c.run.head != 0 {
		t := Current()
		t.state = Runnable
		c.run.push(t.Ref())
		s.leave()
	}
	s.mu.Unlock()
}

// Each calls f for every thread, idle ones included, with the lock held.
func (s *Scheduler) Each(f func(t *Thread)) {
	for r := s.all; r != 0; r = r.Thread().allNext {
		f(r.Thread())
	}
}
