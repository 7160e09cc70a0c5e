// Package poll is the kernel's side of the Go runtime's network poller: which
// descriptors the runtime registered with its epoll instance, and which of
// them became ready. Devices' interrupts arrive by the same way.
//
// It relies on packages cpu, mm and sched. Ready may be called from anywhere:
// a goroutine, a trap, an interrupt; it neither blocks nor allocates. The
// others run in the lower half. Semantics: epoll(7), edge triggered; a
// descriptor may be reported spuriously, which the runtime allows.
package poll

import (
	"sync/atomic"

	"pith/kernel/cpu"
	"pith/kernel/mm"
	"pith/kernel/sched"
)

// Numbers of the descriptors that belong to the lower half. Those of programs
// are far below.
const (
	EpollFD    = 1 << 24
	EventFD    = EpollFD + 1
	FirstIRQFD = EpollFD + 16 // one for each device interrupt
	maxIRQ     = 240
)

// slot is what is known of one descriptor, 32 bytes.
type slot struct {
	data     uint64        // the runtime's, handed back with each event
	interest atomic.Uint32 // events asked for; 0 while not registered
	pending  atomic.Uint32 // events not yet reported
	queued   atomic.Uint32 // in the ready list
	next     uint32        // descriptor+1 of the next in the ready list
	_        uint64
}

const (
	slotSize     = 32
	slotsPerPage = mm.PageSize / slotSize
	maxFDs       = 1 << 17
)

// Poller is the one epoll instance of the runtime.
type Poller struct {
	pages   [maxFDs / slotsPerPage]atomic.Uintptr // addresses of pages of slots
	irqs    [maxIRQ]slot
	ready   atomic.Uint32 // newest of the ready list, descriptor+1
	waiters atomic.Uint32
	counter atomic.Uint64 // the eventfd that breaks a wait
	evData  uint64
	evSet   bool
	left    uint32 // ready list that did not fit into the last answer
	key     uint32 // its address is what waiters wait for
}

// Runtime is that instance.
var Runtime Poller

// slot returns a descriptor's slot, or nil if it has none yet.
func (p *Poller) slot(fd uint32) *slot {
	if fd >= FirstIRQFD && fd < FirstIRQFD+maxIRQ {
		return &p.irqs[fd-FirstIRQFD]
	}
	if fd >= maxFDs {
		return nil
	}
	page := p.pages[fd/slotsPerPage].Load()
	if page == 0 {
		return nil
	}
	return (*slot)(cpu.Pointer(page + uintptr(fd%slotsPerPage)*slotSize))
}

// Known tells whether fd has a slot. It may be called from anywhere.
func (p *Poller) Known(fd uint32) bool { return p.slot(fd) != nil }

// Prepare makes sure that fd has a slot. false: out of range or memory.
func (p *Poller) Prepare(fd uint32) bool {
	if p.slot(fd) != nil {
		return true
	}
	if fd >= maxFDs {
		return false
	}
	phys := mm.Memory.AllocPages(0)
	if phys == 0 {
		return false
	}
	if !p.pages[fd/slotsPerPage].CompareAndSwap(0, mm.Virtual(phys)) {
		mm.Memory.FreePages(phys, 0)
	}
	return true
}

// Mark records events of fd. It tells whether somebody waits who must be woken
// (by Wake in the lower half). fd must have been prepared.
func (p *Poller) Mark(fd uint32, events uint32) (wake bool) {
	s := p.slot(fd)
	if s == nil {
		return false
	}
	s.pending.Or(events)
	if s.interest.Load() == 0 {
		return false // Add looks at pending
	}
	return p.enqueue(s, fd)
}

func (p *Poller) enqueue(s *slot, fd uint32) bool {
	if s.queued.Swap(1) == 0 {
		for {
			head := p.ready.Load()
			s.next = head
			if p.ready.CompareAndSwap(head, fd+1) {
				break
			}
		}
	}
	return p.waiters.Load() != 0
}

// Wake wakes one thread that waits for events. Lower half only.
func (p *Poller) Wake() {
	s := &sched.Threads
	s.Lock()
	s.WakeKey(p.waitKey(), ^uint32(0), 1)
	s.Unlock()
}

// Interrupt is Mark and Wake for the lower half.
func (p *Poller) Interrupt(fd uint32) {
	const epollIn = 1
	if p.Mark(fd, epollIn) {
		p.Wake()
	}
}

// Outcomes of Set, as Linux's error numbers.
const (
	absent   = 2  // ENOENT
	noMemory = 12 // ENOMEM
	exists   = 17 // EEXIST
)

// Set registers fd with the runtime's data, or changes how it is registered.
// Events that came before count. It returns an error number: fd must not be
// registered before the one, and must be for the other.
func (p *Poller) Set(fd uint32, events uint32, data uint64, change bool) int {
	if fd == EventFD {
		p.evData, p.evSet = data, true
		return 0
	}
	if !p.Prepare(fd) {
		return noMemory
	}
	s := p.slot(fd)
	switch registered := s.interest.Load() != 0; {
	case registered && !change:
		return exists
	case !registered && change:
		return absent
	}
	s.data = data
	s.interest.Store(events&^(1<<31) | 8 | 16) // errors and hang-ups always
	if s.pending.Load() != 0 && p.enqueue(s, fd) {
		p.Wake() // it waits already, and nobody else will tell it
	}
	return 0
}

// Has tells whether fd is waited for.
func (p *Poller) Has(fd uint32) bool {
	s := p.slot(fd)
	return s != nil && s.interest.Load() != 0
}

// Remove forgets fd. Forget does the same for a descriptor that was closed and
// drops its events too.
func (p *Poller) Remove(fd uint32) {
	if s := p.slot(fd); s != nil {
		s.interest.Store(0)
	}
}

// Forget drops all that is known of fd, whose number may be used again.
func (p *Poller) Forget(fd uint32) {
	if s := p.slot(fd); s != nil {
		s.interest.Store(0)
		s.pending.Store(0)
	}
}

// Signal adds to the eventfd's counter and wakes a waiter.
func (p *Poller) Signal(n uint64) {
	p.counter.Add(n)
	p.Wake()
}

// Drain empties the eventfd's counter. 0 means that there was nothing.
func (p *Poller) Drain() uint64 { return p.counter.Swap(0) }

// eventSize is struct epoll_event's, packed on x86-64: events, data.
const eventSize = 12

// Wait writes at most max events to the program's memory at addr and returns
// how many. deadline is in clock.Now's terms, 0 for none; poll does not wait.
// A signal ends the wait with sched.Interrupted as a negative count.
func (p *Poller) Wait(addr uintptr, max int, poll bool, deadline int64) int {
	s := &sched.Threads
	s.Lock()
	n := 0
	for {
		if !poll {
			// Before the look at the list: whoever adds to it looks at
			// waiters afterwards, so that one of the two sees the other.
			p.waiters.Add(1)
		}
		n = p.collect(addr, max)
		if n != 0 || poll {
			break
		}
		outcome := s.Wait(p.waitKey(), 1, deadline)
		p.waiters.Add(^uint32(0))
		if outcome == sched.TimedOut {
			n = p.collect(addr, max)
			s.Unlock()
			return n
		}
		if outcome == sched.Interrupted {
			s.Unlock()
			return -sched.Interrupted
		}
	}
	if !poll {
		p.waiters.Add(^uint32(0))
	}
	s.Unlock()
	return n
}

// collect moves events from the ready list to addr. The caller holds the
// scheduler's lock.
func (p *Poller) collect(addr uintptr, max int) int {
	n := 0
	if p.evSet && p.counter.Load() != 0 {
		n = p.put(addr, n, 1, p.evData)
	}
	if p.left == 0 {
		p.left = p.reverse(p.ready.Swap(0))
	}
	for p.left != 0 && n < max {
		fd := p.left - 1
		s := p.slot(fd)
		p.left = s.next
		s.queued.Store(0) // before pending is taken: later events queue it again
		interest := s.interest.Load()
		if interest == 0 {
			continue // keeps what is pending for Add
		}
		if events := s.pending.Swap(0) & interest; events != 0 {
			n = p.put(addr, n, events, s.data)
		}
	}
	return n
}

// reverse turns the list round, so that the oldest is served first.
func (p *Poller) reverse(list uint32) uint32 {
	var out uint32
	for list != 0 {
		s := p.slot(list - 1)
		next := s.next
		s.next = out
		out, list = list, next
	}
	return out
}

func (p *Poller) put(addr uintptr, n int, events uint32, data uint64) int {
	at := addr + uintptr(n)*eventSize
	cpu.Store32(at, events)
	cpu.Store32(at+4, uint32(data))
	cpu.Store32(at+8, uint32(data>>32))
	return n + 1
}
