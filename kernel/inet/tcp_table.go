package inet

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// tcpTable finds connections by their tuple. Look-ups take no lock: nodes never
// change once they can be found, except for their links. A look-up beside a change sees
// the table as it was before or after.
type tcpTable struct {
	buckets atomic.Pointer[[]atomic.Pointer[tcpNode]]

	mu    sync.Mutex
	count int
}

// tcpNode is one connection's place in the table: ep's, or tw's in TIME-WAIT.
type tcpNode struct {
	name tuple
	hash uint32
	ep   *tcpEndpoint
	tw   *timeWait
	next atomic.Pointer[tcpNode]
}

func (t *tcpTable) init() {
	list := make([]atomic.Pointer[tcpNode], 64)
	t.buckets.Store(&list)
}

// flowHash spreads tuples over the buckets. The seed keeps outsiders from choosing
// tuples that meet in one.
func (s *Stack) flowHash(name *tuple) uint32 {
	hi, lo := bits.Mul64(name.local.hi^name.local.lo^s.hashSeed.k0, name.remote.hi^s.hashSeed.k1)
	// What is multiplied holds no two things that an outsider chooses both.
	ports := uint64(name.lport)<<16 | uint64(name.rport)
	hi, lo = bits.Mul64(hi^lo^ports, name.remote.lo^s.hashSeed.k0^s.hashSeed.k1)
	return uint32(hi ^ lo)
}

// find looks a connection up.
func (t *tcpTable) find(name *tuple, hash uint32) *tcpNode {
	list := *t.buckets.Load()
	for n := list[int(hash)&(len(list)-1)].Load(); n != nil; n = n.next.Load() {
		if n.hash == hash && n.name == *name {
			return n
		}
	}
	return nil
}

// insert adds a connection unless its tuple is taken.
func (t *tcpTable) insert(s *Stack, c *tcpEndpoint) bool {
	name := c.tuple()
	hash := s.flowHash(&name)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.find(&name, hash) != nil {
		return false
	}
	t.add(&tcpNode{name: name, hash: hash, ep: c})
	return true
}

// add links a node in. Called with mu held.
func (t *tcpTable) add(n *tcpNode) {
	list := *t.buckets.Load()
	if t.count >= 2*len(list) {
		list = t.grow(list)
	}
	t.count++
	b := &list[int(n.hash)&(len(list)-1)]
	n.next.Store(b.Load())
	b.Store(n)
}

// grow quadruples the buckets. The nodes are made anew: readers may still follow the old.
func (t *tcpTable) grow(old []atomic.Pointer[tcpNode]) []atomic.Pointer[tcpNode] {
	list := make([]atomic.Pointer[tcpNode], 4*len(old))
	for i := range old {
		for n := old[i].Load(); n != nil; n = n.next.Load() {
			c := &tcpNode{name: n.name, hash: n.hash, ep: n.ep, tw: n.tw}
			b := &list[int(n.hash)&(len(list)-1)]
			c.next.Store(b.Load())
			b.Store(c)
		}
	}
	t.buckets.Store(&list)
	return list
}

// remove takes a connection out.
func (t *tcpTable) remove(c *tcpEndpoint) {
	name := c.tuple()
	hash := c.s.flowHash(&name)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unlink(hash, func(n *tcpNode) bool { return n.ep == c })
}

// removeWait takes a connection in TIME-WAIT out.
func (t *tcpTable) removeWait(w *timeWait, hash uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unlink(hash, func(n *tcpNode) bool { return n.tw == w })
}

// replace puts a TIME-WAIT in a connection's place.
func (t *tcpTable) replace(c *tcpEndpoint, w *timeWait) {
	hash := c.s.flowHash(&w.name)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.add(&tcpNode{name: w.name, hash: hash, tw: w}) // in front of the other: look-ups find one of them
	t.unlink(hash, func(n *tcpNode) bool { return n.ep == c })
}

// unlink takes out the node that is the one. Called with mu held.
func (t *tcpTable) unlink(hash uint32, is func(*tcpNode) bool) {
	list := *t.buckets.Load()
	link := &list[int(hash)&(len(list)-1)]
	for n := link.Load(); n != nil; n = link.Load() {
		if is(n) {
			link.Store(n.next.Load())
			t.count--
			return
		}
		link = &n.next
	}
}
