package inet

import (
	"sync"

	"pith/kernel/link"
)

// Reassembly of fragments (RFC 791, section 3.2; RFC 8200, section 4.5; overlaps
// are refused as RFC 5722 asks, for both families).
const (
	// fragmentLifetime is how long an incomplete packet waits, in nanoseconds.
	fragmentLifetime = 30e9
	// maxIncomplete bounds how many packets wait, maxPieces how many fragments one
	// may have, maxFragmentMemory the memory of them all in bytes (and no more than
	// an eighth of Config.Memory).
	maxIncomplete     = 64
	maxPieces         = 64
	maxFragmentMemory = 512 << 10
)

// fragmentKey is what the fragments of one packet have in common.
type fragmentKey struct {
	src, dst address
	id       uint32
	protocol uint8
}

// incomplete is a packet of which fragments are missing.
type incomplete struct {
	pieces  []piece // by offset
	total   int     // length, or -1 while the last fragment is missing
	have    int
	memory  int
	network int // where the first piece's IP header lies
	expires int64
}

type piece struct {
	at, len int
	buf     *link.Buffer
}

// reassembler holds the incomplete packets.
type reassembler struct {
	s *Stack

	mu      sync.Mutex
	packets map[fragmentKey]*incomplete
	memory  int
	limit   int
	timer   timer
}

func (r *reassembler) init(s *Stack) {
	r.s = s
	r.packets = make(map[fragmentKey]*incomplete)
	r.limit = min(maxFragmentMemory, s.conf.Memory/8)
}

// reassemble takes one fragment: bytes from offset at on. Once the packet is
// whole p.buf is the whole of it, otherwise nil.
func (p *packet) reassemble(key fragmentKey, at int, more bool) {
	r := &p.b.s.fragments
	buf := p.buf
	p.buf = nil
	length := chainLen(buf)
	if more && length%8 != 0 || length == 0 || at+length > maxPacket-ipv4Len {
		p.malformed()
		buf.Free()
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.memory+footprint(buf) > r.limit && len(r.packets) > 0 {
		r.dropOldest()
	}
	d := r.packets[key]
	if d == nil {
		d = r.open(key, p.b)
	}
	if d.has(at, length) {
		buf.Free()
		return
	}
	if !r.insert(d, piece{at, length, buf}, more) {
		r.drop(key, d)
		buf.Free()
		p.malformed()
		return
	}
	if at == 0 {
		d.network = p.network
	}
	if d.have != d.total {
		return
	}
	p.buf = d.join()
	p.network = d.network
	p.checked = false
	d.pieces = nil
	r.drop(key, d)
}

// open makes room for a new packet. Called with mu held.
func (r *reassembler) open(key fragmentKey, b *batch) *incomplete {
	if len(r.packets) >= maxIncomplete {
		r.dropOldest()
	}
	d := &incomplete{total: -1, expires: b.now + fragmentLifetime}
	r.packets[key] = d
	r.s.timers.arm(&r.timer, r, d.expires)
	return d
}

// has reports whether the very same range has come before: a duplicate.
func (d *incomplete) has(at, length int) bool {
	for _, f := range d.pieces {
		if f.at == at && f.len == length {
			return true
		}
	}
	return false
}

// insert adds a fragment, unless it contradicts the others. Called with mu held.
func (r *reassembler) insert(d *incomplete, f piece, more bool) bool {
	end := f.at + f.len
	if len(d.pieces) == maxPieces || d.total >= 0 && (end > d.total || !more && end != d.total) {
		return false
	}
	i := len(d.pieces)
	for i > 0 && d.pieces[i-1].at >= f.at {
		i--
	}
	if i > 0 && d.pieces[i-1].at+d.pieces[i-1].len > f.at {
		return false
	}
	if i < len(d.pieces) && (end > d.pieces[i].at || !more) {
		return false
	}
	if !more {
		d.total = end
	}
	d.pieces = append(d.pieces, piece{})
	copy(d.pieces[i+1:], d.pieces[i:])
	d.pieces[i] = f
	d.have += f.len
	n := footprint(f.buf)
	d.memory += n
	r.memory += n
	return true
}

// join links the fragments to one packet.
func (d *incomplete) join() *link.Buffer {
	for i := 1; i < len(d.pieces); i++ {
		tail(d.pieces[i-1].buf).Next = d.pieces[i].buf
	}
	return d.pieces[0].buf
}

// drop forgets a packet and frees its fragments. Called with mu held.
func (r *reassembler) drop(key fragmentKey, d *incomplete) {
	for _, f := range d.pieces {
		f.buf.Free()
	}
	r.memory -= d.memory
	delete(r.packets, key)
}

// dropOldest makes room. Called with mu held.
func (r *reassembler) dropOldest() {
	var oldest fragmentKey
	var found *incomplete
	for k, d := range r.packets {
		if found == nil || d.expires < found.expires {
			oldest, found = k, d
		}
	}
	r.drop(oldest, found)
}

// expire implements expirer: it drops what has waited too long.
func (r *reassembler) expire(b *batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.timer.at = 0
	for k, d := range r.packets {
		if d.expires <= b.now {
			r.drop(k, d)
		} else {
			r.s.timers.arm(&r.timer, r, d.expires)
		}
	}
}
