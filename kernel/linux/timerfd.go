package linux

import (
	"sync"
	"syscall"
	"time"

	"pith/kernel/socket"
)

// timerfd is a timer that is read (timerfd_create(2)).
type timerfd struct {
	file
	realtime bool // its absolute times are those of the wall clock
	inode    uint64

	mu       sync.Mutex
	timer    *time.Timer
	due      time.Time // zero: not armed
	interval time.Duration
	count    uint64 // expirations not read yet
	round    uint64 // grows with each settime: tells late callbacks
}

// Clocks of clock_gettime(2).
const (
	clockRealtime        = 0
	clockMonotonic       = 1
	clockProcessTime     = 2
	clockThreadTime      = 3
	clockMonotonicRaw    = 4
	clockRealtimeCoarse  = 5
	clockMonotonicCoarse = 6
	clockBoottime        = 7
	clockRealtimeAlarm   = 8
	clockBoottimeAlarm   = 9
	clockTAI             = 11 // nobody has told of leap seconds: the same as clockRealtime

	timerAbsolute = 1 // TFD_TIMER_ABSTIME, TIMER_ABSTIME
)

// itimerspec is struct itimerspec.
type itimerspec struct{ interval, value syscall.Timespec }

func sysTimerfdCreate(c call) (uintptr, Errno) {
	if c.a2&^(syscall.O_NONBLOCK|syscall.O_CLOEXEC) != 0 {
		return 0, syscall.EINVAL
	}
	switch c.a1 {
	case clockRealtime, clockMonotonic, clockBoottime, clockRealtimeAlarm, clockBoottimeAlarm:
	default:
		return 0, syscall.EINVAL
	}
	t := &timerfd{realtime: c.a1 == clockRealtime || c.a1 == clockRealtimeAlarm, inode: nextInode()}
	t.begin(t, syscall.O_RDWR|c.a2, true)
	return install(&t.file, c.a2)
}

func timerOf(fd uintptr) (*timerfd, Errno) {
	f, errno := open(fd)
	if errno != 0 {
		return nil, errno
	}
	t, ok := f.object.(*timerfd)
	if !ok {
		return nil, syscall.EINVAL
	}
	return t, 0
}

func validTime(t syscall.Timespec) bool { return t.Sec >= 0 && t.Nsec >= 0 && t.Nsec < 1e9 }

// duration returns a time as a Duration, the longest one if it is longer.
func duration(t syscall.Timespec) time.Duration {
	if t.Sec >= 1<<33 {
		return 1<<63 - 1
	}
	return time.Duration(t.Sec)*time.Second + time.Duration(t.Nsec)
}

func sysTimerfdSettime(c call) (uintptr, Errno) {
	t, errno := timerOf(c.a1)
	if errno != 0 {
		return 0, errno
	}
	set, errno := get[itimerspec](c.address(c.a3))
	switch {
	case errno != 0:
		return 0, errno
	case c.a2&^3 != 0 || !validTime(set.value) || !validTime(set.interval):
		return 0, syscall.EINVAL
	}
	old := t.set(set, c.a2&timerAbsolute != 0)
	if c.a4 == 0 {
		return 0, 0
	}
	return 0, put(c.address(c.a4), &old)
}

// set arms the timer, or disarms it, and returns how it was set.
func (t *timerfd) set(to itimerspec, absolute bool) itimerspec {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.get()
	if t.timer != nil {
		t.timer.Stop()
	}
	t.round++
	t.count, t.due, t.interval = 0, time.Time{}, duration(to.interval)
	if to.value == (syscall.Timespec{}) {
		return old
	}
	t.due = t.when(to.value, absolute)
	if time.Until(t.due) <= 0 {
		t.fire()
		return old
	}
	t.arm()
	return old
}

// when returns the time that a timespec means.
func (t *timerfd) when(at syscall.Timespec, absolute bool) time.Time {
	switch {
	case !absolute:
		return time.Now().Add(duration(at))
	case t.realtime:
		return time.Unix(at.Sec, at.Nsec)
	}
	now := monotonic()
	return time.Now().Add(duration(at) - now)
}

// arm starts the timer. The caller holds t.mu.
func (t *timerfd) arm() {
	round := t.round
	t.timer = time.AfterFunc(time.Until(t.due), func() { t.expire(round) })
}

func (t *timerfd) expire(round uint64) {
	t.mu.Lock()
	if round != t.round {
		t.mu.Unlock()
		return
	}
	t.fire()
	t.mu.Unlock()
}

// fire counts an expiration. The caller holds t.mu.
func (t *timerfd) fire() {
	t.count++
	if t.interval > 0 {
		t.repeat()
	} else {
		t.due = time.Time{}
	}
	t.watch.notify(readable)
}

// repeat arms an interval timer again, and counts the expirations that were
// missed meanwhile. The caller holds t.mu.
func (t *timerfd) repeat() {
	if missed := time.Since(t.due) / t.interval; missed > 0 {
		t.count += uint64(missed)
		t.due = t.due.Add(missed * t.interval)
	}
	t.due = t.due.Add(t.interval)
	t.arm()
}

// get returns how the timer is set. The caller holds t.mu.
func (t *timerfd) get() (s itimerspec) {
	s.interval = syscall.NsecToTimespec(int64(t.interval))
	if !t.due.IsZero() {
		s.value = syscall.NsecToTimespec(max(1, int64(time.Until(t.due))))
	}
	return s
}

func sysTimerfdGettime(c call) (uintptr, Errno) {
	t, errno := timerOf(c.a1)
	if errno != 0 {
		return 0, errno
	}
	t.mu.Lock()
	s := t.get()
	t.mu.Unlock()
	return 0, put(c.address(c.a2), &s)
}

func (t *timerfd) read(p []byte) (int, Errno) {
	if len(p) < 8 {
		return 0, syscall.EINVAL
	}
	t.mu.Lock()
	count := t.count
	t.count = 0
	t.mu.Unlock()
	if count == 0 {
		return 0, syscall.EAGAIN
	}
	store64(p, count)
	return 8, 0
}

func (t *timerfd) write([]byte) (int, Errno) { return 0, syscall.EINVAL }

func (t *timerfd) readiness() socket.Readiness {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count > 0 {
		return readable
	}
	return 0
}

func (t *timerfd) stat(st *syscall.Stat_t) Errno {
	anonymous(st, 0o600, t.inode)
	return 0
}

func (t *timerfd) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.round++
	if t.timer != nil {
		t.timer.Stop()
	}
}
