// Package mm manages memory: physical frames, page tables, and the regions of
// the program's address space that are backed on their first use.
//
// It relies on package cpu. It must not know threads or system calls. All of
// it runs with interrupts off, on a kernel stack; nothing allocates from Go's heap.
// Page-table terms are those of Intel's SDM 3, section 4.5.
package mm

import "pith/kernel/cpu"

// Sizes of pages, in bytes.
const (
	PageSize  = 4096
	LargePage = 2 << 20
	pageShift = 12
	maxOrder  = 10 // blocks of 4 MiB
)

// DirectMap is where physical address zero appears in the address space.
const DirectMap = 0xffff_8000_0000_0000

// Virtual returns the address through which the kernel reaches phys.
func Virtual(phys uintptr) uintptr { return phys + DirectMap }

// Physical is Virtual's inverse.
func Physical(virt uintptr) uintptr { return virt - DirectMap }

// A free block's frame carries its order and this mark in the frame table.
const freeMark = 0x80

// maxSpans bounds the stretches of RAM that frames keeps in reserve.
const maxSpans = 32

// span is a stretch of RAM, [start, end).
type span struct{ start, end uintptr }

// frames is a buddy allocator. A free block's links stand in its own first
// bytes; the table has one byte a frame. RAM that was never needed is kept in
// reserve, untouched, so that the host need not back it: a link in each block of
// a large machine costs the host a large page each at the start.
type frames struct {
	reserve  [maxSpans]span
	reserves int
	table    uintptr // address of the frame table
	count    uintptr // frames in it, from physical zero
	free     [maxOrder + 1]uintptr
	left     uintptr // free frames
	total    uintptr
}

func (f *frames) mark(frame uintptr) uint8       { return cpu.Load8(f.table + frame) }
func (f *frames) setMark(frame uintptr, m uint8) { cpu.Store8(f.table+frame, m) }

func link(phys uintptr) uintptr { return Virtual(phys) }

// push puts a block on its free list.
func (f *frames) push(phys uintptr, order int) {
	head := f.free[order]
	cpu.Store64(link(phys), uint64(head))
	cpu.Store64(link(phys)+8, 0)
	if head != 0 {
		cpu.Store64(link(head)+8, uint64(phys))
	}
	f.free[order] = phys
	f.setMark(phys>>pageShift, freeMark|uint8(order))
}

// remove takes a block out of its free list.
func (f *frames) remove(phys uintptr, order int) {
	next := uintptr(cpu.Load64(link(phys)))
	prev := uintptr(cpu.Load64(link(phys) + 8))
	if prev == 0 {
		f.free[order] = next
	} else {
		cpu.Store64(link(prev), uint64(next))
	}
	if next != 0 {
		cpu.Store64(link(next)+8, uint64(prev))
	}
	f.setMark(phys>>pageShift, 0)
}

// alloc returns the physical address of 1<<order contiguous frames, 0 if there
// are none. Their contents are arbitrary.
func (f *frames) alloc(order int) uintptr {
	for {
		if block := f.take(order); block != 0 {
			f.left -= 1 << order
			return block
		}
		if !f.open(order) {
			return 0
		}
	}
}

// take splits a block off the free lists, 0 if none is large enough.
func (f *frames) take(order int) uintptr {
	for o := order; o <= maxOrder; o++ {
		block := f.free[o]
		if block == 0 {
			continue
		}
		f.remove(block, o)
		for o > order {
			o--
			f.push(block+PageSize<<o, o)
		}
		return block
	}
	return 0
}

// openOrder is what the reserve is taken in, where no more is asked for at
// once: a host's large page, so that splitting a block touches no other.
const openOrder = 9

// open moves the next block of the reserve to the free lists: the largest
// aligned one that the stretch begins with. It reports false if none is left.
func (f *frames) open(wanted int) bool {
	for i := 0; i < f.reserves; i++ {
		r := &f.reserve[i]
		if r.start >= r.end {
			continue
		}
		order := max(wanted, openOrder)
		for r.start&(PageSize<<order-1) != 0 || r.start+PageSize<<order > r.end {
			order--
		}
		f.join(r.start, order)
		r.start += PageSize << order
		return true
	}
	return false
}

// release gives a block back. A block may be released in smaller pieces than
// it was allocated in.
func (f *frames) release(phys uintptr, order int) {
	f.left += 1 << order
	f.join(phys, order)
}

// join puts a block on its free list, together with its free buddies.
func (f *frames) join(phys uintptr, order int) {
	for order < maxOrder {
		buddy := phys ^ (PageSize << order)
		if buddy>>pageShift >= f.count || f.mark(buddy>>pageShift) != freeMark|uint8(order) {
			break
		}
		f.remove(buddy, order)
		phys &^= PageSize << order
		order++
	}
	f.push(phys, order)
}

// add makes [start, end) available. RAM beyond maxSpans stretches is not used.
func (f *frames) add(start, end uintptr) {
	start = (start + PageSize - 1) &^ (PageSize - 1)
	end &^= PageSize - 1
	if start >= end || f.reserves == maxSpans {
		return
	}
	f.reserve[f.reserves] = span{start, end}
	f.reserves++
	f.total += (end - start) >> pageShift
	f.left += (end - start) >> pageShift
}
