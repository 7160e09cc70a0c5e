package inet

import (
	"math"
	"sync"
	"time"
)

// expirer is something that waits for a point in time.
type expirer interface {
	// expire is called with no lock held, some time after the point has passed. It
	// may come early or late: the owner keeps its own deadlines.
	expire(b *batch)
}

const never = math.MaxInt64

// slack is how much later than asked a timer may go off, in nanoseconds, so that
// many share a wake-up.
const slack = 2e6

// timer is one owner's place in the heap. The zero timer is not armed.
//
// An owner with several deadlines has one timer for the earliest. A deadline that
// moves away leaves the timer where it is: it goes off in vain, and is set
// anew. So nearly all re-arming, once a packet, costs a comparison.
type timer struct {
	at    int64 // guarded by the owner's lock: when it goes off, never 0 while armed
	when  int64 // guarded by timers.mu, as is index
	index int   // place in the heap plus one, or 0
	owner expirer
}

// timers is the one heap of deadlines of the whole stack. It is driven by one
// timer of the Go runtime, which is set to the earliest deadline and not at
// all when there is none.
type timers struct {
	s *Stack

	mu      sync.Mutex
	heap    []*timer
	alarm   *time.Timer
	alarmAt int64 // when alarm goes off, or never
	running bool  // run is at work and will set the alarm itself
	closed  bool
}

func (t *timers) init(s *Stack) {
	t.s = s
	t.alarmAt = never
}

// arm makes x go off at the given time or earlier. The owner's lock is held.
func (t *timers) arm(x *timer, owner expirer, when int64) {
	if x.at != 0 && x.at <= when {
		return
	}
	when += slack
	x.at = when
	t.mu.Lock()
	x.owner = owner
	x.when = when
	if x.index == 0 {
		t.heap = append(t.heap, x)
		x.index = len(t.heap)
	}
	t.up(x.index - 1)
	t.setAlarm()
	t.mu.Unlock()
}

// disarm takes x out of the heap. The owner's lock is held.
func (t *timers) disarm(x *timer) {
	if x.at == 0 {
		return
	}
	x.at = 0
	t.mu.Lock()
	if x.index != 0 {
		t.remove(x)
	}
	t.mu.Unlock()
}

// close stops all timers for good.
func (t *timers) close() {
	t.mu.Lock()
	t.closed = true
	if t.alarm != nil {
		t.alarm.Stop()
	}
	t.mu.Unlock()
}

// setAlarm sets the runtime's timer if the earliest deadline got earlier.
// Called with mu held.
func (t *timers) setAlarm() {
	if t.running || t.closed || len(t.heap) == 0 || t.heap[0].when >= t.alarmAt {
		return
	}
	t.alarmAt = t.heap[0].when
	wait := max(time.Duration(t.alarmAt-t.s.conf.Now()), 0)
	if t.alarm == nil {
		t.alarm = time.AfterFunc(wait, t.run)
		return
	}
	t.alarm.Reset(wait)
}

// run serves all timers that are due.
func (t *timers) run() {
	t.mu.Lock()
	if t.running {
		t.mu.Unlock()
		return
	}
	t.running = true
	t.alarmAt = never
	t.mu.Unlock()

	b := t.s.begin()
	for {
		owner := t.pop(b.now)
		if owner == nil {
			b.flush()
			break
		}
		owner.expire(&b)
	}

	t.mu.Lock()
	t.running = false
	t.setAlarm()
	t.mu.Unlock()
}

// pop takes the first timer out of the heap if it is due.
func (t *timers) pop(now int64) expirer {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || len(t.heap) == 0 || t.heap[0].when > now {
		return nil
	}
	x := t.heap[0]
	t.remove(x)
	return x.owner
}

// remove takes x out of the heap. Called with mu held.
func (t *timers) remove(x *timer) {
	i, last := x.index-1, len(t.heap)-1
	t.swap(i, last)
	t.heap[last] = nil
	t.heap = t.heap[:last]
	x.index = 0
	if i < last {
		t.down(i)
		t.up(i)
	}
}

func (t *timers) swap(i, j int) {
	h := t.heap
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i+1, j+1
}

func (t *timers) up(i int) {
	for i > 0 && t.heap[i].when < t.heap[(i-1)/2].when {
		t.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (t *timers) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(t.heap) {
			return
		}
		if child+1 < len(t.heap) && t.heap[child+1].when < t.heap[child].when {
			child++
		}
		if t.heap[i].when <= t.heap[child].when {
			return
		}
		t.swap(i, child)
		i = child
	}
}
