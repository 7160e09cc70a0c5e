package linux

import (
	"math/bits"
	"syscall"
	"time"

	"pith/kernel/socket"
)

// deadline is when a call that waits gives up; the zero deadline is never.
type deadline struct {
	at  time.Time
	set bool
}

func (d deadline) passed() bool { return d.set && !time.Now().Before(d.at) }

// deadline reads a pointer to a struct timespec: how long to wait; nil is for
// ever.
func (c call) deadline(p uintptr) (deadline, Errno) {
	if p == 0 {
		return deadline{}, 0
	}
	ts, errno := get[syscall.Timespec](c.address(p))
	switch {
	case errno != 0:
		return deadline{}, errno
	case !validTime(ts):
		return deadline{}, syscall.EINVAL
	}
	return after(duration(ts)), 0
}

func after(d time.Duration) deadline { return deadline{time.Now().Add(d), true} }

// Events of poll(2) are those of epoll, and these.
const (
	pollNval   = 0x20
	pollRdnorm = 0x40
	pollWrnorm = 0x100
	pollfdSize = 8
)

func sysPoll(c call) (uintptr, Errno) {
	var until deadline
	if ms := int32(c.a3); ms >= 0 {
		until = after(time.Duration(ms) * time.Millisecond)
	}
	return c.poll(until)
}

func sysPpoll(c call) (uintptr, Errno) {
	until, errno := c.deadline(c.a3)
	if errno != 0 {
		return 0, errno
	}
	return c.poll(until)
}

// poll answers poll(2): struct pollfd is a descriptor, the events asked for,
// and those that there are.
func (c call) poll(until deadline) (uintptr, Errno) {
	n := uintptr(uint32(c.a2))
	if n > uintptr(limits.descriptors.Load()) {
		return 0, syscall.EINVAL
	}
	list := make([]byte, n*pollfdSize)
	a := c.address(c.a1)
	if errno := copyIn(list, a); errno != 0 {
		return 0, errno
	}
	var files []*file
	for at := 0; at < len(list); at += pollfdSize {
		f, _ := usable(uintptr(load32(list[at:])))
		files = append(files, f)
	}
	ready := waitAny(files, until, func() int { return scan(list, files) })
	return uintptr(ready), copyOut(a, list)
}

// scan fills in what events there are and returns how many descriptors have
// some.
func scan(list []byte, files []*file) (ready int) {
	for i, f := range files {
		fd := list[i*pollfdSize:]
		var now uint16
		switch {
		case int32(load32(fd)) < 0: // to be ignored
		case f == nil:
			now = pollNval
		default:
			now = pollEvents(f.readiness()) & (load16(fd[4:]) | epollAlways)
		}
		store16(fd[6:], now)
		if now != 0 {
			ready++
		}
	}
	return ready
}

func pollEvents(r socket.Readiness) uint16 {
	now := uint16(r)
	if r&readable != 0 {
		now |= pollRdnorm
	}
	if r&writable != 0 {
		now |= pollWrnorm
	}
	return now
}

// waitAny calls look until it returns more than 0 or the time is up, whenever
// one of the files may have become ready.
func waitAny(files []*file, until deadline, look func() int) int {
	n := look()
	if n > 0 || until.passed() {
		return n
	}
	w := newWaiter()
	for _, f := range files {
		if f != nil {
			f.watch.add(w)
			defer f.watch.remove(w)
		}
	}
	var late <-chan time.Time
	if until.set {
		t := time.NewTimer(time.Until(until.at))
		defer t.Stop()
		late = t.C
	}
	for {
		if n = look(); n > 0 {
			return n
		}
		select {
		case <-w.woken:
		case <-late:
			return look()
		}
	}
}

func sysSelect(c call) (uintptr, Errno) {
	if c.a5 == 0 {
		return c.selectUntil(deadline{})
	}
	tv, errno := get[syscall.Timeval](c.address(c.a5))
	switch {
	case errno != 0:
		return 0, errno
	case tv.Sec < 0 || tv.Usec < 0:
		return 0, syscall.EINVAL
	}
	until := after(duration(syscall.Timespec{Sec: tv.Sec, Nsec: tv.Usec * 1000}))
	n, errno := c.selectUntil(until)
	left := syscall.NsecToTimeval(int64(max(0, time.Until(until.at)))) // as Linux does
	put(c.address(c.a5), &left)
	return n, errno
}

func sysPselect6(c call) (uintptr, Errno) {
	until, errno := c.deadline(c.a5)
	if errno != 0 {
		return 0, errno
	}
	return c.selectUntil(until)
}

// fdSet is as many descriptors as select(2) can watch.
type fdSet [16]uint64

// watched is one descriptor that select watches: which of the three sets ask
// for it.
type watched struct {
	fd   int
	file *file
	sets int
}

// What a descriptor must be for each of select's sets.
var selectWants = [3]socket.Readiness{
	readable | hungUp | broken,
	writable | broken,
	socket.Readiness(syscall.EPOLLPRI),
}

func (c call) selectUntil(until deadline) (uintptr, Errno) {
	n := int(int32(c.a1))
	if n < 0 {
		return 0, syscall.EINVAL
	}
	size := (min(n, len(fdSet{})*64) + 63) / 64 * 8
	pointers := [3]uintptr{c.a2, c.a3, c.a4}
	var sets, result [3]fdSet
	for i, p := range pointers {
		if p == 0 {
			continue
		}
		if errno := copyIn(bytesOf(&sets[i])[:size], c.address(p)); errno != 0 {
			return 0, errno
		}
	}
	list, errno := watchedBy(&sets, n)
	if errno != 0 {
		return 0, errno
	}
	files := make([]*file, len(list))
	for i, w := range list {
		files[i] = w.file
	}
	ready := waitAny(files, until, func() int { return selectScan(list, &result) })
	for i, p := range pointers {
		if p == 0 {
			continue
		}
		if errno := copyOut(c.address(p), bytesOf(&result[i])[:size]); errno != 0 {
			return 0, errno
		}
	}
	return uintptr(ready), 0
}

// watchedBy lists the descriptors below n that are in a set.
func watchedBy(sets *[3]fdSet, n int) (list []watched, errno Errno) {
	for word := range sets[0] {
		for all := sets[0][word] | sets[1][word] | sets[2][word]; all != 0; all &= all - 1 {
			bit := bits.TrailingZeros64(all)
			w := watched{fd: word*64 + bit}
			if w.fd >= n {
				break
			}
			for i := range sets {
				w.sets |= int(sets[i][word]>>bit&1) << i
			}
			if w.file, errno = usable(uintptr(w.fd)); errno != 0 {
				return nil, errno
			}
			list = append(list, w)
		}
	}
	return list, 0
}

// selectScan fills in the result and returns how many bits it set.
func selectScan(list []watched, result *[3]fdSet) (ready int) {
	*result = [3]fdSet{}
	for _, w := range list {
		now := w.file.readiness()
		for i, want := range selectWants {
			if w.sets>>i&1 != 0 && now&want != 0 {
				result[i][w.fd/64] |= 1 << (w.fd % 64)
				ready++
			}
		}
	}
	return ready
}
