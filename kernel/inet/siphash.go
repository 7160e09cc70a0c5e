package inet

import "math/bits"

// secret keys a hash that outsiders can't predict.
type secret struct{ k0, k1 uint64 }

// hash is SipHash-2-4 (Aumasson and Bernstein, 2012) of four words. It guards
// initial sequence numbers (RFC 6528), ports (RFC 6056) and SYN cookies.
func (s secret) hash(words ...uint64) uint64 {
	v0, v1 := s.k0^0x736f6d6570736575, s.k1^0x646f72616e646f6d
	v2, v3 := s.k0^0x6c7967656e657261, s.k1^0x7465646279746573
	round := func() {
		v0 += v1
		v1 = bits.RotateLeft64(v1, 13) ^ v0
		v0 = bits.RotateLeft64(v0, 32)
		v2 += v3
		v3 = bits.RotateLeft64(v3, 16) ^ v2
		v0 += v3
		v3 = bits.RotateLeft64(v3, 21) ^ v0
		v2 += v1
		v1 = bits.RotateLeft64(v1, 17) ^ v2
		v2 = bits.RotateLeft64(v2, 32)
	}
	for _, w := range words {
		v3 ^= w
		round()
		round()
		v0 ^= w
	}
	length := uint64(len(words)) << 59 // the count of bytes, modulo 256, in the top byte
	v3 ^= length
	round()
	round()
	v0 ^= length
	v2 ^= 0xff
	for range 4 {
		round()
	}
	return v0 ^ v1 ^ v2 ^ v3
}

// tuple hashes a connection's addresses and ports.
func (s secret) tuple(t *tuple, extra uint64) uint64 {
	return s.hash(t.local.hi, t.local.lo, t.remote.hi, t.remote.lo,
		uint64(t.lport)<<16|uint64(t.rport), extra)
}
