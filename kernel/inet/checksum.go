package inet

import (
	"math/bits"

	"pith/kernel/link"
)

// A partial sum is the ones'-complement sum (RFC 1071) of 16-bit words in the
// machine's byte order, not yet folded: the sum doesn't care about the order of
// bytes as long as it is the same everywhere, so the swap waits for the end.
type partial uint64

// add adds two sums; the carry goes round.
func (s partial) add(v uint64) partial {
	r, c := bits.Add64(uint64(s), v, 0)
	return partial(r + c)
}

// word adds one 16-bit number that the header holds in network byte order.
func (s partial) word(v uint16) partial { return s.add(uint64(bits.ReverseBytes16(v))) }

// long adds one 32-bit number that the header holds in network byte order.
func (s partial) long(v uint32) partial { return s.add(uint64(bits.ReverseBytes32(v))) }

// address adds an address, as it stands in a pseudo-header.
func (s partial) address(a address) partial {
	if a.is4() {
		return s.long(uint32(a.lo))
	}
	return s.add(bits.ReverseBytes64(a.hi)).add(bits.ReverseBytes64(a.lo))
}

// bytes adds p, which begins at an even offset of what is summed. An odd last
// byte counts as if a zero followed it.
func (s partial) bytes(p []byte) partial {
	acc, c := uint64(s), uint64(0)
	for len(p) >= 64 {
		q := p[:64:64]
		acc, c = bits.Add64(acc, le64(q), 0)
		acc, c = bits.Add64(acc, le64(q[8:]), c)
		acc, c = bits.Add64(acc, le64(q[16:]), c)
		acc, c = bits.Add64(acc, le64(q[24:]), c)
		acc, c = bits.Add64(acc, le64(q[32:]), c)
		acc, c = bits.Add64(acc, le64(q[40:]), c)
		acc, c = bits.Add64(acc, le64(q[48:]), c)
		acc, c = bits.Add64(acc, le64(q[56:]), c)
		acc, c = bits.Add64(acc, 0, c)
		acc += c
		p = p[64:]
	}
	for len(p) >= 8 {
		acc, c = bits.Add64(acc, le64(p), 0)
		acc += c
		p = p[8:]
	}
	return partial(acc).tail(p)
}

// tail adds fewer than eight bytes.
func (s partial) tail(p []byte) partial {
	var last uint64
	for i, b := range p {
		last |= uint64(b) << (8 * i)
	}
	return s.add(last)
}

// fold gives the 16-bit sum in the machine's byte order.
func (s partial) fold() uint16 {
	v := uint64(s)
	v = v>>32 + v&0xffffffff
	v = v>>32 + v&0xffffffff
	w := uint32(v)
	w = w>>16 + w&0xffff
	w = w>>16 + w&0xffff
	return uint16(w)
}

// sum gives the folded sum as a number to be stored in network byte order.
func (s partial) sum() uint16 { return bits.ReverseBytes16(s.fold()) }

// checksum gives the Internet checksum, to be stored in network byte order.
func (s partial) checksum() uint16 { return ^s.sum() }

// valid reports whether what was summed, its checksum included, is intact.
func (s partial) valid() bool { return s.fold() == 0xffff }

// chain adds all bytes of a packet's pieces.
func (s partial) chain(b *link.Buffer) partial {
	odd := false
	for ; b != nil; b = b.Next {
		if !odd {
			s = s.bytes(b.Bytes())
		} else {
			piece := partial(0).bytes(b.Bytes()).fold()
			s = s.add(uint64(bits.ReverseBytes16(piece)))
		}
		odd = odd != (b.Len&1 == 1)
	}
	return s
}

// pseudoHeader is the sum over the pseudo-header of RFC 9293, section 3.1, and RFC 8200,
// section 8.1. length counts the transport header and its payload, in bytes.
func pseudoHeader(src, dst address, protocol uint8, length int) partial {
	return partial(0).address(src).address(dst).word(uint16(protocol)).long(uint32(length))
}
