package inet

// SYN cookies: where a listener keeps too many handshakes, the SYN-ACK's sequence
// number and time stamp hold all that there is to keep (RFC 4987, section 3.6).
//
// Sequence number: 24 bits hash, 5 bits minutes, 3 bits MSS. Time stamp, lowest 5
// bits: SACK, and the window scale.

// cookieMSS are the sizes that three bits can tell.
var cookieMSS = [8]int{536, 1024, 1220, 1360, 1400, 1440, 1460, 8940}

const (
	cookieMinute = 60e9
	// cookieAge is how many minutes a cookie is good for.
	cookieAge = 2
)

// cookieFor binds a cookie to the peer, its first sequence number, the time, and the
// MSS's place in cookieMSS.
func (s *Stack) cookieFor(t *tuple, irs, minute, size uint32) uint32 {
	hash := uint32(s.cookie.tuple(t, uint64(irs)<<32|uint64(minute<<3|size)))
	return hash<<8 | minute&31<<3 | size
}

// sendCookie answers a SYN and remembers nothing.
func (l *listener) sendCookie(b *batch, e *embryo) {
	s := l.ep.s
	s.stats.Cookies.Add(1)
	l.cookiesUntil = b.now + cookieAge*cookieMinute
	size := uint32(0)
	for int(size+1) < len(cookieMSS) && cookieMSS[size+1] <= e.mss {
		size++
	}
	minute := uint32(b.now / cookieMinute)
	e.iss = s.cookieFor(&e.name, e.irs, minute, size)
	stamp := s.stampOffset(&e.name) + uint32(b.now/1e6)
	if !e.stamped {
		// Without a time stamp there is no place for these.
		e.scale, e.sackOK = noScale, false
	} else {
		stamp = stamp&^31 - 32 | e.cookieBits()
	}
	l.answer(b, e, stamp)
}

// cookieBits are the options that a cookie's time stamp holds.
func (e *embryo) cookieBits() uint32 {
	bits := uint32(15)
	if e.scale != noScale {
		bits = uint32(e.scale)
	}
	if e.sackOK {
		bits |= 16
	}
	return bits
}

// checkCookie fills in e from a segment that acknowledges a cookie, and reports whether it
// does. Where none was given out lately nothing does. Called with mu held.
func (l *listener) checkCookie(p *packet, g *segment, e *embryo) bool {
	if p.b.now >= l.cookiesUntil {
		return false
	}
	s := p.b.s
	iss, irs := g.ack-1, g.seq-1
	now := uint32(p.b.now / cookieMinute)
	e.name = tuple{p.dst, p.src, g.lport, g.rport}
	for age := uint32(0); age < cookieAge; age++ {
		if s.cookieFor(&e.name, irs, now-age, iss&7) != iss {
			continue
		}
		e.iss, e.irs = iss, irs
		e.mss = cookieMSS[iss&7]
		e.scale = noScale
		if p.src.scoped() {
			e.nic = p.nic().index
		}
		if g.stamped {
			e.stamped, e.recent = true, g.stamp
			e.readCookieBits(g.echo)
		}
		return true
	}
	return false
}

func (e *embryo) readCookieBits(stamp uint32) {
	e.sackOK = stamp&16 != 0
	if scale := uint8(stamp & 15); scale != 15 {
		e.scale = scale
	}
}
