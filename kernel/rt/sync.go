package rt

import (
	"pith/kernel/poll"
	"pith/kernel/sched"
	"pith/kernel/trap"
)

// syncing is sync(2) as package golang.org/x/sys/unix makes it: by the SYSCALL
// instruction, which ends here, while file systems are above. The thread waits
// until the upper half has done it. The scheduler's lock guards the counts.
var syncing struct {
	fd          uint32 // tells the upper half; 0 before it answers
	asked, done uint64
}

// syncKey names what threads in sync wait for.
const syncKey = 16

func syncAll() uint64 {
	if syncing.fd == 0 {
		return 0 // there is no file system that needs it
	}
	s, t := &sched.Threads, sched.Current()
	s.Lock()
	syncing.asked++
	mine, blocked := syncing.asked, t.Blocked
	t.Blocked = ^uint64(0) // sync isn't interrupted
	s.Unlock()
	poll.Runtime.Interrupt(syncing.fd)
	s.Lock()
	for syncing.done < mine {
		s.Wait(syncKey, 1, 0)
	}
	t.Blocked = blocked
	s.Unlock()
	return 0
}

// watchSync sets the descriptor up that tells of calls.
func watchSync() uint64 {
	_, fd, ok := trap.NewDevice(0, 0)
	if !ok {
		return fail(eNFILE)
	}
	syncing.fd = fd
	return uint64(fd)
}

// syncAsked is how many calls there were, and synced says that the first n are
// done.
func syncAsked() uint64 {
	s := &sched.Threads
	s.Lock()
	n := syncing.asked
	s.Unlock()
	return n
}

func synced(n uint64) uint64 {
	s := &sched.Threads
	s.Lock()
	syncing.done = max(syncing.done, n)
	s.WakeKey(syncKey, ^uint32(0), 1<<30)
	s.Unlock()
	return 0
}
