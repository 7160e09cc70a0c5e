package ext4

import (
	"math/bits"
	"syscall"
)

// nextFree is the first bit at or behind from that is clear in both bitmaps, or
// limit. busy may be nil.
func nextFree(used, busy []byte, from, limit uint32) uint32 {
	for i := from; i < limit; {
		word := wordAt(used, busy, i) | (1<<(i%64) - 1)
		if word != ^uint64(0) {
			return min(i&^63+uint32(bits.TrailingZeros64(^word)), limit)
		}
		i = i&^63 + 64
	}
	return limit
}

// nextUsed is the first bit at or behind from that is set in one, or limit.
func nextUsed(used, busy []byte, from, limit uint32) uint32 {
	for i := from; i < limit; {
		word := wordAt(used, busy, i) &^ (1<<(i%64) - 1)
		if word != 0 {
			return min(i&^63+uint32(bits.TrailingZeros64(word)), limit)
		}
		i = i&^63 + 64
	}
	return limit
}

// wordAt is the 64 bits around bit i.
func wordAt(used, busy []byte, i uint32) uint64 {
	at := i / 64 * 8
	word := split32(used[at:], used[at+4:])
	if busy != nil {
		word |= split32(busy[at:], busy[at+4:])
	}
	return word
}

// available is how many blocks can be given out now.
func (f *FS) available() uint64 { return f.freeBlocks - f.busyBlocks }

// goodPiece is how many blocks in one piece are worth a search in other groups.
const goodPiece = 256

// allocate takes up to want blocks in one piece, at goal if possible. The caller has
// made sure that there are some (see available).
func (f *FS) allocate(goal uint64, want uint32) (block uint64, n uint32, errno Errno) {
	if goal <= uint64(f.s.firstBlock) || goal >= f.s.blocks {
		goal = uint64(f.s.firstBlock)
	}
	first := uint32((goal - uint64(f.s.firstBlock)) / uint64(f.s.perGroup))
	from := uint32(goal - f.s.groupStart(first))
	if block, n, errno = f.take(first, from, want); n > 0 || errno != 0 {
		return block, n, errno
	}
	for _, least := range []uint32{min(want, goodPiece), 1} {
		for i := range f.s.groups {
			number := (first + i) % f.s.groups
			if block, n, errno = f.takeAnywhere(number, from, want, least); n > 0 || errno != 0 {
				return block, n, errno
			}
			from = 0
		}
	}
	return 0, 0, syscall.ENOSPC
}

// takeAnywhere takes up to want blocks of a group, in a piece of at least least,
// rather behind bit from than before it.
func (f *FS) takeAnywhere(number, from, want, least uint32) (uint64, uint32, Errno) {
	g := &f.groups[number]
	if g.freeBlocks-g.busyCount < least {
		return 0, 0, 0
	}
	b, errno := f.blockBitmap(number)
	if errno != 0 {
		return 0, 0, errno
	}
	limit := f.s.groupBlocks(number)
	for _, begin := range []uint32{from, 0} {
		for at := nextFree(b.data, g.busy, begin, limit); at < limit; {
			end := nextUsed(b.data, g.busy, at, limit)
			if end-at >= least {
				return f.take(number, at, want)
			}
			at = nextFree(b.data, g.busy, end, limit)
		}
		if begin == 0 {
			break
		}
	}
	return 0, 0, 0
}

// take takes the free blocks of a group from bit from on, up to want; none if the
// first one isn't free.
func (f *FS) take(number, from, want uint32) (uint64, uint32, Errno) {
	g := &f.groups[number]
	if g.freeBlocks-g.busyCount == 0 {
		return 0, 0, 0
	}
	b, errno := f.blockBitmap(number)
	if errno != 0 {
		return 0, 0, errno
	}
	limit := min(f.s.groupBlocks(number), from+want)
	n := nextUsed(b.data, g.busy, from, limit) - from
	if n == 0 {
		return 0, 0, 0
	}
	if n > g.freeBlocks {
		return 0, 0, f.damaged("a group has more free blocks than it counts")
	}
	data := f.change(b)
	for i := range n {
		setBit(data, from+i)
	}
	g.freeBlocks -= n
	f.freeBlocks -= uint64(n)
	g.blockSum = f.s.bitmapSum(data, f.s.perGroup)
	return f.s.groupStart(number) + uint64(from), n, f.storeGroup(number)
}

// release frees blocks. They can be used again when the transaction is on the
// device.
func (f *FS) release(block uint64, n uint32) Errno {
	for n > 0 {
		number := uint32((block - uint64(f.s.firstBlock)) / uint64(f.s.perGroup))
		from := uint32(block - f.s.groupStart(number))
		part := min(n, f.s.groupBlocks(number)-from)
		if errno := f.releaseIn(number, from, part); errno != 0 {
			return errno
		}
		block, n = block+uint64(part), n-part
	}
	return 0
}

func (f *FS) releaseIn(number, from, n uint32) Errno {
	g := &f.groups[number]
	b, errno := f.blockBitmap(number)
	if errno != 0 {
		return errno
	}
	if nextFree(b.data, nil, from, from+n) != from+n || g.freeBlocks+n > f.s.groupBlocks(number) {
		return f.damaged("a block is freed that is free")
	}
	data := f.change(b)
	if g.busy == nil {
		g.busy = make([]byte, f.s.blockSize)
	}
	for i := from; i < from+n; i++ {
		clearBit(data, i)
		setBit(g.busy, i)
	}
	g.freeBlocks += n
	g.busyCount += n
	f.freeBlocks += uint64(n)
	f.busyBlocks += uint64(n)
	t := f.j.running
	t.freed = append(t.freed, freed{number, from, n})
	g.blockSum = f.s.bitmapSum(data, f.s.perGroup)
	return f.storeGroup(number)
}

// freed is blocks of a group that a transaction frees.
type freed struct{ group, from, n uint32 }

// reuse lets blocks be given out again: the transaction that freed them is on the
// device.
func (f *FS) reuse(r freed) {
	g := &f.groups[r.group]
	for i := r.from; i < r.from+r.n; i++ {
		clearBit(g.busy, i)
	}
	g.busyCount -= r.n
	f.busyBlocks -= uint64(r.n)
	if g.busyCount == 0 {
		g.busy = nil
	}
}
