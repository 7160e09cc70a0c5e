package virtio

import "sync"

// packAlign is the alignment of what Pack gives out: a cache line, and more than
// any part of a virtqueue needs (section 2.7).
const packAlign = 64

// packPage is how much Pack asks for at a time.
const packPage = 4096

// Pack returns a Memory that cuts small pieces from pages of mem, for devices
// with many small queues and buffers. Its pieces are aligned to 64 bytes only.
// It may be used from several goroutines.
func Pack(mem Memory) Memory { return &packer{mem: mem} }

type packer struct {
	mem Memory

	mu   sync.Mutex
	virt []byte
	phys uint64
}

func (p *packer) Alloc(size int) ([]byte, uint64) {
	padded := (size + packAlign - 1) &^ (packAlign - 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if padded > packPage/2 {
		return p.mem.Alloc(size)
	}
	if padded > len(p.virt) {
		p.virt, p.phys = p.mem.Alloc(packPage)
	}
	if padded > len(p.virt) {
		return nil, 0
	}
	virt, phys := p.virt[:size:size], p.phys
	p.virt, p.phys = p.virt[padded:], p.phys+uint64(padded)
	return virt, phys
}
