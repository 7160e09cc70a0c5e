package inet

import "pith/kernel/link"

// chainLen counts all bytes of a packet.
func chainLen(b *link.Buffer) int {
	n := 0
	for ; b != nil; b = b.Next {
		n += b.Len
	}
	return n
}

// trim cuts a packet to its first n bytes and frees the pieces behind.
func trim(b *link.Buffer, n int) {
	for b.Len < n && b.Next != nil {
		n -= b.Len
		b = b.Next
	}
	b.Len = min(b.Len, n)
	b.Next.Free()
	b.Next = nil
}

// advance drops a packet's first n bytes, and the pieces that are empty by that. The
// last piece stays even if it is empty.
func advance(b *link.Buffer, n int) *link.Buffer {
	for b.Next != nil && n >= b.Len {
		n -= b.Len
		next := b.Next
		b.Next = nil
		b.Free()
		b = next
	}
	n = min(n, b.Len)
	b.Off += n
	b.Len -= n
	return b
}

// pull makes the first n bytes of a packet lie in its first piece, and reports
// false if there aren't as many.
func pull(b *link.Buffer, n int) bool {
	if b.Len >= n {
		return true
	}
	if len(b.Data)-b.Off < n {
		return false
	}
	for b.Len < n {
		next := b.Next
		if next == nil {
			return false
		}
		k := copy(b.Data[b.Off+b.Len:b.Off+n], next.Bytes())
		b.Len += k
		next.Off += k
		next.Len -= k
		if next.Len == 0 {
			b.Next = next.Next
			next.Next = nil
			next.Free()
		}
	}
	return true
}

// copyOut copies a packet's bytes from offset skip on into p.
func copyOut(p []byte, b *link.Buffer, skip int) int {
	n := 0
	for ; b != nil && n < len(p); b = b.Next {
		if skip >= b.Len {
			skip -= b.Len
			continue
		}
		n += copy(p[n:], b.Bytes()[skip:])
		skip = 0
	}
	return n
}

// appendBytes adds p behind a packet's last piece, with more pieces from the device
// if there is no room. It reports false if none is free; the packet stays the
// caller's.
func appendBytes(dev link.Device, last *link.Buffer, p []byte) bool {
	for {
		end := last.Off + last.Len
		n := copy(last.Data[end:], p)
		last.Len += n
		p = p[n:]
		if len(p) == 0 {
			return true
		}
		next := dev.Alloc()
		if next == nil {
			return false
		}
		next.Off = 0
		last.Next = next
		last = next
	}
}

// tail is a packet's last piece.
func tail(b *link.Buffer) *link.Buffer {
	for b.Next != nil {
		b = b.Next
	}
	return b
}

// footprint is what a packet's pieces take of memory, in bytes.
func footprint(b *link.Buffer) int {
	n := 0
	for ; b != nil; b = b.Next {
		n += len(b.Data)
	}
	return n
}

// keep prepares a received packet for a socket's queue, and gives the memory it will
// hold there, in bytes. Once sockets hold their share of the devices' Buffers,
// packets are copied to ordinary memory: programs that don't read must not starve the
// devices' rings.
func (s *Stack) keep(b *link.Buffer) (*link.Buffer, int) {
	if s.memory.Load() > int64(s.conf.DeviceShare) {
		b = toHeap(b)
	}
	return b, footprint(b)
}

// toHeap replaces a packet by a copy in ordinary memory.
func toHeap(b *link.Buffer) *link.Buffer {
	if b.Next == nil && len(b.Data) != link.BufferSize {
		return b // it is one already
	}
	p := make([]byte, chainLen(b))
	copyOut(p, b, 0)
	b.Free()
	return &link.Buffer{Data: p, Len: len(p)}
}
