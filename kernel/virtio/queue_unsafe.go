package virtio

import "unsafe"

// layOut takes memory for the three parts of a queue of size descriptors.
func (q *Queue) layOut(mem Memory, size int) (QueueSetup, bool) {
	b, phys := mem.Alloc(ringBytes(size))
	if len(b) < ringBytes(size) {
		return QueueSetup{}, false
	}
	avail, used := availOffset(size), usedOffset(size)
	q.desc = descriptors(b, size)
	// SAFETY: b is at least ringBytes long, aligned to 64 bytes and not in the Go
	// heap (Memory, Pack). availOffset and usedOffset are multiples of 16, so all
	// words are aligned, and the last one ends where b does. Every pattern of
	// bits is a valid value of these types.
	q.availHead = (*uint32)(unsafe.Pointer(&b[avail]))
	q.availRing = unsafe.Slice((*uint16)(unsafe.Pointer(&b[avail+4])), size)
	q.usedEvent = (*uint32)(unsafe.Pointer(&b[avail+4+2*size]))
	q.usedHead = (*uint32)(unsafe.Pointer(&b[used]))
	q.usedRing = unsafe.Slice((*usedElement)(unsafe.Pointer(&b[used+4])), size)
	q.availEvent = (*uint32)(unsafe.Pointer(&b[used+4+8*size]))
	return QueueSetup{
		Size:        size,
		Descriptors: phys,
		Available:   phys + uint64(avail),
		Used:        phys + uint64(used),
	}, true
}

// descriptors views b, which holds at least n of them, as descriptors.
func descriptors(b []byte, n int) []descriptor {
	b = b[:n*16] // panics if there are fewer
	// SAFETY: b is aligned to 64 bytes and long enough; descriptor has no
	// pointers, and 16 bytes.
	return unsafe.Slice((*descriptor)(unsafe.Pointer(&b[0])), n)
}
