package linux

import (
	"sync"
	"sync/atomic"
	"syscall"

	"pith/kernel/fs"
)

// advisory is the advisory locks of all files: flock(2), and those of fcntl(2).
var advisory = struct {
	mu      sync.Mutex
	whole   map[*fs.Node]map[*file]bool // flock: true is exclusive
	ranges  map[*fs.Node][]rangeLock
	changed *sync.Cond
	ever    atomic.Bool // a range was locked at some time
}{whole: map[*fs.Node]map[*file]bool{}, ranges: map[*fs.Node][]rangeLock{}}

func init() { advisory.changed = sync.NewCond(&advisory.mu) }

// rangeLock is one open file description lock.
type rangeLock struct {
	owner      *file
	start, end int64 // end is exclusive
	write      bool
}

func sysFlock(c call) (uintptr, Errno) {
	f, errno := usable(c.a1)
	if errno != 0 {
		return 0, errno
	}
	p, ok := f.object.(placed)
	if !ok {
		return 0, syscall.EBADF
	}
	how := c.a2 &^ syscall.LOCK_NB
	if how != syscall.LOCK_SH && how != syscall.LOCK_EX && how != syscall.LOCK_UN {
		return 0, syscall.EINVAL
	}
	advisory.mu.Lock()
	defer advisory.mu.Unlock()
	node := p.place()
	if how == syscall.LOCK_UN {
		unlock(node, f)
		return 0, 0
	}
	for flockConflict(node, f, how == syscall.LOCK_EX) {
		if c.a2&syscall.LOCK_NB != 0 {
			return 0, syscall.EWOULDBLOCK
		}
		advisory.changed.Wait()
	}
	if advisory.whole[node] == nil {
		advisory.whole[node] = map[*file]bool{}
	}
	advisory.whole[node][f] = how == syscall.LOCK_EX
	advisory.changed.Broadcast() // an exclusive lock may have become a shared one
	return 0, 0
}

// flockConflict reports whether another file's lock excludes the wanted one.
// The caller holds advisory.mu.
func flockConflict(node *fs.Node, f *file, exclusive bool) bool {
	for other, otherExclusive := range advisory.whole[node] {
		if other != f && (exclusive || otherExclusive) {
			return true
		}
	}
	return false
}

// unlock drops a file's flock lock. The caller holds advisory.mu.
func unlock(node *fs.Node, f *file) {
	delete(advisory.whole[node], f)
	if len(advisory.whole[node]) == 0 {
		delete(advisory.whole, node)
	}
	advisory.changed.Broadcast()
}

// releaseLocks drops all locks of a file that is closed.
func releaseLocks(f *file) {
	p, ok := f.object.(placed)
	if !ok {
		return
	}
	advisory.mu.Lock()
	defer advisory.mu.Unlock()
	node := p.place()
	if len(advisory.whole[node]) == 0 && len(advisory.ranges[node]) == 0 {
		return
	}
	unlock(node, f)
	setRange(node, rangeLock{owner: f, end: 1<<63 - 1}, false)
	advisory.changed.Broadcast()
}

// span reads a struct flock and returns what it covers.
func (f *file) span(a address) (l syscall.Flock_t, start, end int64, errno Errno) {
	l, errno = get[syscall.Flock_t](a)
	if errno != 0 {
		return l, 0, 0, errno
	}
	start = l.Start
	if r, ok := f.object.(*regular); ok {
		switch l.Whence {
		case seekCur:
			r.mu.Lock()
			start += r.offset
			r.mu.Unlock()
		case seekEnd:
			start += r.size()
		}
	}
	end = start + l.Len
	if l.Len == 0 {
		end = 1<<63 - 1
	}
	if end < start {
		start, end = end, start
	}
	if start < 0 || l.Whence < seekSet || l.Whence > seekEnd {
		return l, 0, 0, syscall.EINVAL
	}
	return l, start, end, 0
}

// theProcess owns all record locks of fcntl: they belong to a process, and there
// is only one. They conflict with locks of open files alone.
var theProcess file

// lockable checks a lock against the access mode.
func (f *file) lockable(l syscall.Flock_t) Errno {
	switch {
	case l.Type == syscall.F_RDLCK && !f.mayRead(), l.Type == syscall.F_WRLCK && !f.mayWrite():
		return syscall.EBADF
	case l.Type < 0 || l.Type > syscall.F_UNLCK:
		return syscall.EINVAL
	}
	return 0
}

// dropRecords drops the process's locks on a file: closing any of its
// descriptors does that.
func dropRecords(f *file) {
	p, ok := f.object.(placed)
	if !ok || !advisory.ever.Load() {
		return
	}
	advisory.mu.Lock()
	defer advisory.mu.Unlock()
	if node := p.place(); len(advisory.ranges[node]) > 0 {
		setRange(node, rangeLock{owner: &theProcess, end: 1<<63 - 1}, false)
		advisory.changed.Broadcast()
	}
}

// rangeLock is F_GETLK, F_SETLK, F_SETLKW, F_OFD_GETLK, F_OFD_SETLK and
// F_OFD_SETLKW.
func (f *file) rangeLock(command uintptr, a address) Errno {
	l, start, end, errno := f.span(a)
	if errno != 0 {
		return errno
	}
	ofd := command == fOfdGetlk || command == fOfdSetlk || command == fOfdSetlkw
	query := command == fOfdGetlk || command == syscall.F_GETLK
	if ofd && l.Pid != 0 || l.Type < 0 || l.Type > syscall.F_UNLCK || query && l.Type == syscall.F_UNLCK && !ofd {
		return syscall.EINVAL
	}
	if !query {
		if errno := f.lockable(l); errno != 0 {
			return errno
		}
	}
	p, ok := f.object.(placed)
	if !ok { // a pipe, a socket: nobody looks at their locks
		return 0
	}
	owner := &theProcess
	if ofd {
		owner = f
	}
	node := p.place()
	want := rangeLock{owner, start, end, l.Type == syscall.F_WRLCK}
	advisory.mu.Lock()
	defer advisory.mu.Unlock()
	if query {
		return getRange(node, want, l, a)
	}
	for l.Type != syscall.F_UNLCK && rangeConflict(node, want) != nil {
		if command == fOfdSetlk || command == syscall.F_SETLK {
			return syscall.EAGAIN
		}
		advisory.changed.Wait()
	}
	advisory.ever.Store(true)
	setRange(node, want, l.Type != syscall.F_UNLCK)
	advisory.changed.Broadcast()
	return 0
}

// getRange is F_GETLK and F_OFD_GETLK: it tells of one lock that is in the way.
func getRange(node *fs.Node, want rangeLock, l syscall.Flock_t, a address) Errno {
	other := rangeConflict(node, want)
	if other == nil {
		l.Type = syscall.F_UNLCK
		return put(a, &l)
	}
	l.Type, l.Whence, l.Pid = syscall.F_RDLCK, seekSet, -1
	if other.owner == &theProcess {
		l.Pid = int32(processID())
	}
	if other.write {
		l.Type = syscall.F_WRLCK
	}
	l.Start, l.Len = other.start, other.end-other.start
	if other.end == 1<<63-1 {
		l.Len = 0
	}
	return put(a, &l)
}

// rangeConflict returns another file's lock that excludes the wanted one. The
// caller holds advisory.mu.
func rangeConflict(node *fs.Node, want rangeLock) *rangeLock {
	for i, l := range advisory.ranges[node] {
		if l.owner != want.owner && l.start < want.end && want.start < l.end && (l.write || want.write) {
			return &advisory.ranges[node][i]
		}
	}
	return nil
}

// setRange makes a range of the owner's locks what l says, or unlocked. The
// caller holds advisory.mu.
func setRange(node *fs.Node, l rangeLock, locked bool) {
	var kept []rangeLock
	for _, old := range advisory.ranges[node] {
		if old.owner != l.owner || old.end < l.start || l.end < old.start || (old.end == l.start || l.end == old.start) && !(locked && old.write == l.write) {
			kept = append(kept, old)
			continue
		}
		if locked && old.write == l.write { // one lock, where they overlap or touch
			l.start, l.end = min(l.start, old.start), max(l.end, old.end)
			continue
		}
		if old.start < l.start {
			kept = append(kept, rangeLock{old.owner, old.start, l.start, old.write})
		}
		if old.end > l.end {
			kept = append(kept, rangeLock{old.owner, l.end, old.end, old.write})
		}
	}
	if locked {
		kept = append(kept, l)
	}
	if len(kept) == 0 {
		delete(advisory.ranges, node)
		return
	}
	advisory.ranges[node] = kept
}
