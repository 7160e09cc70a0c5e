package rt

import (
	"sync/atomic"

	"pith/kernel/cpu"
	"pith/kernel/mm"
	"pith/kernel/sched"
)

// The runtime writes a heap dump to a file of the program's with all goroutines
// stopped, when package linux can't be called. The bytes wait here, and package
// linux writes them before it answers its next call.

// Late is how many pages wait.
var Late atomic.Uint32

// lateWrites is a list of pages: the next one's address, the descriptor, how many
// bytes there are, and the bytes. The scheduler's lock guards it.
type lateWrites struct{ first, last uintptr }

var late lateWrites

// Where a page's words and bytes are.
const (
	lateNext, lateFD, lateSize, lateData = 0, 8, 16, 24
	lateRoom                             = mm.PageSize - lateData
)

// stored tells whether a descriptor of package linux is a file's.
var stored func(fd int32) bool

// SetStored gives that function, which must neither lock nor allocate.
func SetStored(f func(fd int32) bool) { stored = f }

// write is write(2) to a file of package linux's.
func (l *lateWrites) write(fd, addr, n uintptr) uint64 {
	const eNOSPC = 28
	s := &sched.Threads
	s.Lock()
	done := uintptr(0)
	for done < n {
		page := l.last
		if page == 0 || uintptr(cpu.Load64(page+lateFD)) != fd || cpu.Load64(page+lateSize) == lateRoom {
			if page = l.add(fd); page == 0 {
				break
			}
		}
		used := uintptr(cpu.Load64(page + lateSize))
		part := min(n-done, lateRoom-used)
		for i := uintptr(0); i < part; i++ {
			cpu.Store8(page+lateData+used+i, cpu.Load8(addr+done+i))
		}
		cpu.Store64(page+lateSize, uint64(used+part))
		done += part
	}
	s.Unlock()
	if done < n && done == 0 {
		return fail(eNOSPC)
	}
	return uint64(done)
}

// add appends an empty page; 0 is no memory.
func (l *lateWrites) add(fd uintptr) uintptr {
	physical := mm.Memory.AllocPages(0)
	if physical == 0 {
		return 0
	}
	page := mm.Virtual(physical)
	cpu.Store64(page+lateFD, uint64(fd))
	if l.last == 0 {
		l.first = page
	} else {
		cpu.Store64(l.last+lateNext, uint64(page))
	}
	l.last = page
	Late.Add(1)
	return page
}

// take removes the oldest page from the list; 0 is none.
func (l *lateWrites) take() uintptr {
	s := &sched.Threads
	s.Lock()
	page := l.first
	if page != 0 {
		l.first = uintptr(cpu.Load64(page + lateNext))
		if l.first == 0 {
			l.last = 0
		}
	}
	s.Unlock()
	return page
}
