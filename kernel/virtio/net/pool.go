package net

import (
	"sync"

	"pith/kernel/link"
	"pith/kernel/virtio"
)

// DefaultBuffers is how many buffers a pool of New's own may hold: 8 MiB. They are
// taken as needed.
const DefaultBuffers = 4096

// growth is how many buffers a pool takes at a time: 128 KiB.
const growth = 64

// NewPool returns a pool of at most limit buffers in memory of mem. Several cards
// may share it.
func NewPool(mem virtio.Memory, limit int) *link.Pool {
	g := &grower{mem: mem, left: limit}
	return link.NewPool(g.grow)
}

type grower struct {
	mem virtio.Memory

	mu   sync.Mutex
	left int // buffers still allowed
}

func (g *grower) grow() []*link.Buffer {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(growth, g.left)
	if n == 0 {
		return nil
	}
	virt, phys := g.mem.Alloc(n * link.BufferSize)
	if virt == nil {
		return nil
	}
	g.left -= n
	return carve(virt, phys, n)
}

// carve cuts memory into n buffers.
func carve(virt []byte, phys uint64, n int) []*link.Buffer {
	buffers := make([]link.Buffer, n)
	list := make([]*link.Buffer, n)
	for i := range buffers {
		b := &buffers[i]
		at := i * link.BufferSize
		b.Data = virt[at : at+link.BufferSize : at+link.BufferSize]
		b.Phys = phys + uint64(at)
		list[i] = b
	}
	return list
}
