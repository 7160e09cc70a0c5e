package kernel

import (
	"sync/atomic"
	"time"

	"pith/abi"
	"pith/kernel/clock"
	"pith/kernel/rt"
)

// How often the host is asked for the time: at first often, because the boot only
// knows when the host began to start the machine; later now and then, because the
// two count differently fast and the host may have been asleep.
const (
	firstQuestions = 4
	soon           = 20 * time.Millisecond
	later          = 2 * time.Minute
)

// wallTime sets the wall clock by the host's.
type wallTime struct {
	asked atomic.Int64 // when the open question was sent, by clock.Now; 0 is none
}

// keep asks for good. The driver may be one that never answers.
func (w *wallTime) keep() {
	for i := 0; ; i++ {
		w.ask()
		if i < firstQuestions {
			time.Sleep(soon)
		} else {
			time.Sleep(later)
		}
	}
}

func (w *wallTime) ask() {
	w.asked.Store(clock.Now())
	rt.Announce(abi.ControlTime)
}

// answer takes the host's time. It was read between question and answer: so the
// clock is right if it is not before it, nor later by more than the whole way took,
// and is left alone then.
func (w *wallTime) answer(host int64) {
	asked := w.asked.Swap(0)
	if asked == 0 || host <= 0 {
		return
	}
	clock.Confine(host, host+clock.Now()-asked)
}
