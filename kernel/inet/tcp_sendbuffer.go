package inet

import (
	"sync"

	"pith/kernel/link"
)

// chunkSize is the unit in which send buffers take memory, in bytes.
const chunkSize = 4096

type chunk [chunkSize]byte

// chunks keeps free ones, shared by all connections, until the collector runs.
var chunks = sync.Pool{New: func() any { return new(chunk) }}

// sendBuffer holds the bytes that a program sent and the peer hasn't
// acknowledged. An empty one holds no memory.
type sendBuffer struct {
	base  uint32 // sequence number of the first byte
	len   int    // bytes
	skip  int    // where the first byte lies in the first chunk
	ring  []*chunk
	first int // a ring, a power of two
	count int
}

func (b *sendBuffer) at(i int) *chunk { return b.ring[(b.first+i)&(len(b.ring)-1)] }

// write appends as much of p as there is memory for, and reports how much.
func (b *sendBuffer) write(s *Stack, p []byte) int {
	n := 0
	for n < len(p) {
		end := b.skip + b.len
		if end == b.count*chunkSize && !b.grow(s) {
			break
		}
		k := copy(b.at(end / chunkSize)[end%chunkSize:], p[n:])
		b.len += k
		n += k
	}
	return n
}

// grow adds one chunk. The first is always granted, so no connection starves.
func (b *sendBuffer) grow(s *Stack) bool {
	if !s.reserve(chunkSize) {
		if b.count > 0 {
			return false
		}
		s.memory.Add(chunkSize)
	}
	if b.count == len(b.ring) {
		bigger := make([]*chunk, max(2, 2*len(b.ring)))
		for i := range b.count {
			bigger[i] = b.at(i)
		}
		b.ring, b.first = bigger, 0
	}
	b.ring[(b.first+b.count)&(len(b.ring)-1)] = chunks.Get().(*chunk)
	b.count++
	return true
}

// discard drops the first n bytes.
func (b *sendBuffer) discard(s *Stack, n int) {
	b.base += uint32(n)
	b.len -= n
	b.skip += n
	for b.skip >= chunkSize || b.len == 0 && b.count > 0 {
		b.dropFirst(s)
		b.skip = max(b.skip-chunkSize, 0)
	}
	if b.len == 0 {
		b.skip = 0
	}
}

func (b *sendBuffer) dropFirst(s *Stack) {
	chunks.Put(b.ring[b.first])
	b.ring[b.first] = nil
	b.first = (b.first + 1) & (len(b.ring) - 1)
	b.count--
	s.release(chunkSize)
}

// clear drops everything.
func (b *sendBuffer) clear(s *Stack) {
	b.discard(s, b.len)
	b.ring = nil
}

// copyTo appends n bytes, from sequence number seq on, to a frame's first and only
// piece, with more pieces from dev as needed.
func (b *sendBuffer) copyTo(dev link.Device, f *link.Buffer, seq uint32, n int) bool {
	at := b.skip + int(seq-b.base)
	for n > 0 {
		c := b.at(at / chunkSize)
		p := c[at%chunkSize:]
		p = p[:min(len(p), n)]
		if !appendBytes(dev, tail(f), p) {
			return false
		}
		at += len(p)
		n -= len(p)
	}
	return true
}
