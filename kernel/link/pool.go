package link

import "sync"

// Pool is a free list of Buffers carved from device-visible memory.
type Pool struct {
	grow func() []*Buffer

	mu   sync.Mutex
	free *Buffer // linked through Next
}

// NewPool returns a Pool that asks grow for more Buffers when it is empty;
// grow may return nil, and then Get does. grow is called with no lock held.
func NewPool(grow func() []*Buffer) *Pool { return &Pool{grow: grow} }

// Get returns an empty Buffer with Off == Headroom, or nil if there is none.
func (p *Pool) Get() *Buffer {
	p.mu.Lock()
	b := p.free
	if b != nil {
		p.free = b.Next
	}
	p.mu.Unlock()
	if b == nil {
		b = p.refill()
	}
	if b == nil {
		return nil
	}
	b.Next, b.Off, b.Len = nil, Headroom, 0
	return b
}

// refill adds what grow returns and takes one of it.
func (p *Pool) refill() *Buffer {
	fresh := p.grow()
	if len(fresh) == 0 {
		return nil
	}
	for _, b := range fresh {
		b.pool = p
	}
	for _, b := range fresh[1:] {
		b.Free()
	}
	return fresh[0]
}

// GetChain returns up to n empty Buffers, linked through Next, and their count:
// those that are free already or, where they don't suffice, one more that Get
// makes. They are not one packet: the caller takes the chain apart. Callers that
// need all n call again until they get none.
func (p *Pool) GetChain(n int) (head *Buffer, count int) {
	head, count = p.takeFree(n)
	if count == n {
		return head, count
	}
	b := p.Get()
	if b == nil {
		return head, count
	}
	b.Next = head
	return b, count + 1
}

// takeFree cuts up to n Buffers from the front of the free list.
func (p *Pool) takeFree(n int) (head *Buffer, count int) {
	if n <= 0 {
		return nil, 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	head = p.free
	var last *Buffer
	for b := head; b != nil && count < n; b = b.Next {
		b.Off, b.Len = Headroom, 0
		last = b
		count++
	}
	if last != nil {
		p.free, last.Next = last.Next, nil
	}
	return head, count
}

// Free returns the whole chain to the pools that its pieces came from, with one
// lock for each run of pieces of one pool. Free of nil is allowed.
func (b *Buffer) Free() {
	for b != nil {
		p, last := b.pool, b
		for last.Next != nil && last.Next.pool == p {
			last = last.Next
		}
		rest := last.Next
		if p != nil {
			p.mu.Lock()
			last.Next = p.free
			p.free = b
			p.mu.Unlock()
		}
		b = rest
	}
}
