package inet

import "pith/kernel/link"

// datagram is one received packet in a socket's queue; buf begins with the payload.
type datagram struct {
	buf      *link.Buffer
	src, dst address
	size     int // memory it holds, in bytes
	nic      int
	sport    uint16
	ttl      uint8
}

// datagrams is a queue of received packets: a ring that grows as needed.
type datagrams struct {
	ring  []datagram // a power of two
	head  int
	count int
	bytes int // memory of all, in bytes
}

func (q *datagrams) push(d datagram) {
	if q.count == len(q.ring) {
		q.grow()
	}
	q.ring[(q.head+q.count)&(len(q.ring)-1)] = d
	q.count++
	q.bytes += d.size
}

func (q *datagrams) grow() {
	bigger := make([]datagram, max(8, 2*len(q.ring)))
	n := copy(bigger, q.ring[q.head:])
	copy(bigger[n:], q.ring[:q.head])
	q.ring, q.head = bigger, 0
}

// first gives the oldest packet. The queue is not empty.
func (q *datagrams) first() *datagram { return &q.ring[q.head] }

// pop removes the oldest packet. The queue is not empty.
func (q *datagrams) pop() datagram {
	d := q.ring[q.head]
	q.ring[q.head].buf = nil
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.count--
	q.bytes -= d.size
	return d
}

// drain frees all packets and gives the memory they held.
func (q *datagrams) drain() int {
	total := q.bytes
	for q.count > 0 {
		d := q.pop()
		d.buf.Free()
	}
	q.ring = nil
	return total
}

// reserve takes bytes out of what all sockets may hold; false means that too much is held.
func (s *Stack) reserve(bytes int) bool {
	if s.memory.Add(int64(bytes)) <= int64(s.conf.Memory) {
		return true
	}
	s.memory.Add(int64(-bytes))
	return false
}

// release gives back what was reserved.
func (s *Stack) release(bytes int) { s.memory.Add(int64(-bytes)) }
