package rt

import (
	"pith/kernel/apic"
	"pith/kernel/diag"
	"pith/kernel/mm"
	"pith/kernel/poll"
	"pith/kernel/sched"
	"pith/kernel/trap"
)

// System calls of our own, by which the upper half asks the lower one.
const (
	FirstPrivate    = 0x10000 + iota
	privateWake     // wake one that waits in epoll
	privatePrepare  // make room for a descriptor's readiness
	privatePages    // contiguous zeroed memory, by order
	privateDevice   // map device registers
	privateLine     // interrupt line: number, registers to acknowledge
	privateMessage  // message-signalled interrupt
	privateSignal   // signal to the process
	privateMapped   // whether the program's memory is there: address, size, access
	privateMemory   // total, or with 1 free, bytes
	privateAnnounce // control message: address, size
	privateLate     // the oldest page of late writes
	privateFree     // give back a page that privateLate returned
	privateAlias    // show memory at another address: address, size, protection, flags, source
	privateSource   // what memory is shown first: address, size
	privateAliased  // whether memory is shown: start, end
	privateSignals  // a descriptor that tells of each signal that is sent
	privateTake     // take a pending signal: mask, 1 to only look
	privateSync     // a descriptor that tells of sync by the instruction
	privateAsked    // how often it was asked for
	privateSynced   // how many of these are done
	privateLimit    // what of memory may be shown: start, end, limit
)

func private(nr uint64, a, b, c, d, e uintptr) uint64 {
	switch nr {
	case privateWake:
		poll.Runtime.Wake()
		return 0
	case privatePrepare:
		if !poll.Runtime.Prepare(uint32(a)) {
			return fail(eNOMEM)
		}
		return 0
	case privatePages:
		return uint64(mm.Memory.AllocPages(int(a)))
	case privateDevice:
		return uint64(mm.Memory.MapDevice(a, b))
	case privateLine:
		return line(uint32(a), b, c)
	case privateMessage:
		vector, fd, ok := trap.NewDevice(0, 0)
		if !ok {
			return fail(eNFILE)
		}
		// Spread devices over CPUs by their vectors.
		target := sched.Threads.APICID(int(vector) % sched.Threads.CPUs())
		return uint64(target)<<40 | uint64(vector)<<32 | uint64(fd)
	case privateSignal:
		return kill(1, int(a))
	case privateMapped:
		if mm.Memory.Mapped(a, b, mm.Prot(c)) {
			return 1
		}
		return 0
	case privateMemory:
		total, free := mm.Memory.Stats()
		if a == 1 {
			return uint64(free)
		}
		return uint64(total)
	case privateAnnounce:
		diag.Message(a, b)
		return 0
	case privateLate:
		return uint64(late.take())
	case privateFree:
		mm.Memory.FreePages(a-mm.Virtual(0), 0)
		return 0
	case privateAlias:
		at, errno := mm.Memory.Alias(a, b, mm.Prot(c), d&mapFixed != 0, d&mapNoReplace != 0, e)
		if errno != 0 {
			return fail(errno)
		}
		return uint64(at)
	case privateSource:
		return uint64(mm.Memory.SourceOf(a, b))
	case privateAliased:
		if mm.Memory.Aliased(a, b) {
			return 1
		}
		return 0
	case privateSignals:
		return watchSignals()
	case privateTake:
		return takeSignal(uint64(a), b)
	case privateSync:
		return watchSync()
	case privateAsked:
		return syncAsked()
	case privateSynced:
		return synced(uint64(a))
	case privateLimit:
		return result(mm.Memory.SetLimit(a, b, c))
	}
	return fail(eNOSYS)
}

// line routes an interrupt line of a virtio device on MMIO to a new vector.
func line(gsi uint32, status, ack uintptr) uint64 {
	vector, fd, ok := trap.NewDevice(status, ack)
	if !ok {
		return fail(eNFILE)
	}
	target := sched.Threads.APICID(int(vector) % sched.Threads.CPUs())
	const levelBit, lowBit = 1 << 31, 1 << 30
	number := gsi &^ (levelBit | lowBit)
	if !apic.Route(number, vector, target, gsi&levelBit != 0, gsi&lowBit != 0) {
		return fail(eNODEV)
	}
	return uint64(fd)
}
