package dns

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// limiter bounds equal answers to one network over UDP, where the sender's address
// may be forged (response-rate limiting). Its memory is fixed.
type limiter struct {
	rate   int32 // answers a second
	slip   uint8 // each how many'th dropped answer is sent truncated; 0: none
	seed   maphash.Seed
	shards [64]shard
}

// ways is how many accounts may share a place before the oldest is forgotten.
const ways = 4

type shard struct {
	mu       sync.Mutex
	accounts [256][ways]account
}

type account struct {
	key     uint64
	second  int64
	left    int32
	dropped uint8
}

// verdict is what to do with an answer.
type verdict int

const (
	send verdict = iota
	drop
	truncate
)

func newLimiter(rate, slip int) *limiter {
	if rate <= 0 {
		return nil
	}
	return &limiter{rate: int32(rate), slip: uint8(slip), seed: maphash.MakeSeed()}
}

// check counts an answer. name is the question's, or the zone's where the name
// isn't there: a flood of made-up names is one flood.
func (l *limiter) check(from netip.Addr, rcode int, name []byte, now time.Time) verdict {
	var buf [16 + 1 + 256]byte
	bits := 56
	if from = from.Unmap(); from.Is4() {
		bits = 24
	}
	prefix, err := from.WithZone("").Prefix(bits)
	if err != nil {
		return send
	}
	address := prefix.Addr().As16()
	n := copy(buf[:], address[:])
	buf[n] = byte(rcode)
	n += 1 + copy(buf[n+1:], name)
	key := maphash.Bytes(l.seed, buf[:n])
	s := &l.shards[key%64]
	s.mu.Lock()
	defer s.mu.Unlock()
	return l.charge(&s.accounts[key>>6%256], key, now.Unix())
}

// charge takes one answer off an account.
func (l *limiter) charge(set *[ways]account, key uint64, second int64) verdict {
	a := &set[0]
	for i := range set {
		if set[i].key == key {
			a = &set[i]
			break
		}
		if set[i].second < a.second {
			a = &set[i]
		}
	}
	if a.key != key || a.second != second {
		dropped := a.dropped
		if a.key != key {
			dropped = 0
		}
		*a = account{key, second, l.rate, dropped}
	}
	if a.left > 0 {
		a.left--
		return send
	}
	a.dropped++
	if l.slip > 0 && a.dropped%l.slip == 0 {
		return truncate
	}
	return drop
}
