package dns

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

// query is a question as it came, taken apart. It refers to the packet.
type query struct {
	id       uint16
	flags    uint16
	question []byte // name, type and class as they were sent
	name     []byte // folded
	storage  [256]byte
	labels   labels
	kind     uint16
	class    uint16

	edns    bool
	version uint8
	size    uint16 // what the asker can take over UDP, octets
	do      bool
	cookie  []byte // the option's value; nil where there is none
}

// Flags of the header (RFC 1035, section 4.1.1).
const (
	flagQR = 1 << 15
	flagAA = 1 << 10
	flagTC = 1 << 9
	flagRD = 1 << 8
	flagRA = 1 << 7
	flagAD = 1 << 5
	flagCD = 1 << 4
)

// Outcomes of parse besides DNS's own response codes.
const (
	parsed = 0
	ignore = -1 // no query at all: an answer could start a loop
)

// parse takes a packet apart. It returns parsed, ignore, or the response code to
// refuse it with.
func (q *query) parse(msg []byte) int {
	q.question, q.name, q.cookie = nil, nil, nil
	q.edns, q.do, q.version, q.size = false, false, 0, dns.MinMsgSize
	if len(msg) < 12 {
		return ignore
	}
	q.id, q.flags = binary.BigEndian.Uint16(msg), binary.BigEndian.Uint16(msg[2:])
	if q.flags&flagQR != 0 {
		return ignore
	}
	if q.flags>>11&15 != dns.OpcodeQuery {
		return dns.RcodeNotImplemented
	}
	if binary.BigEndian.Uint16(msg[4:]) != 1 {
		return dns.RcodeFormatError
	}
	at, ok := q.parseQuestion(msg)
	if !ok {
		return dns.RcodeFormatError
	}
	return q.parseRest(msg, at)
}

// parseQuestion reads the question's name, which is never compressed, type and
// class.
func (q *query) parseQuestion(msg []byte) (int, bool) {
	at := 12
	for {
		if at >= len(msg) || msg[at] > 63 || at-12 > 254 {
			return 0, false
		}
		if msg[at] == 0 {
			break
		}
		at += int(msg[at]) + 1
	}
	at++
	if at+4 > len(msg) || at-12 > 255 {
		return 0, false
	}
	q.name = lowered(q.storage[:0], msg[12:at])
	q.labels.scan(q.name)
	q.kind, q.class = binary.BigEndian.Uint16(msg[at:]), binary.BigEndian.Uint16(msg[at+2:])
	q.question = msg[12 : at+4]
	return at + 4, true
}

// parseRest walks the other sections for the OPT record.
func (q *query) parseRest(msg []byte, at int) int {
	before := int(binary.BigEndian.Uint16(msg[6:])) + int(binary.BigEndian.Uint16(msg[8:]))
	total := before + int(binary.BigEndian.Uint16(msg[10:]))
	for i := range total {
		start := at
		if at = skipName(msg, at); at < 0 || at+10 > len(msg) {
			return dns.RcodeFormatError
		}
		kind, length := binary.BigEndian.Uint16(msg[at:]), int(binary.BigEndian.Uint16(msg[at+8:]))
		end := at + 10 + length
		if end > len(msg) {
			return dns.RcodeFormatError
		}
		if kind == dns.TypeOPT {
			if q.edns || i < before || msg[start] != 0 || !q.parseOPT(msg[at:end]) {
				return dns.RcodeFormatError
			}
		}
		at = end
	}
	if q.edns && q.version != 0 {
		return dns.RcodeBadVers
	}
	return parsed
}

// parseOPT reads an OPT record from its type on (RFC 6891, section 6.1.2).
func (q *query) parseOPT(rr []byte) bool {
	q.edns = true
	q.size = max(binary.BigEndian.Uint16(rr[2:]), dns.MinMsgSize)
	q.version = rr[5]
	q.do = rr[6]&0x80 != 0
	for rr = rr[10:]; len(rr) > 0; {
		if len(rr) < 4 {
			return false
		}
		code, length := binary.BigEndian.Uint16(rr), int(binary.BigEndian.Uint16(rr[2:]))
		if 4+length > len(rr) {
			return false
		}
		if code == dns.EDNS0COOKIE && q.cookie == nil {
			if length != 8 && (length < 16 || length > 40) { // RFC 7873, section 4
				return false
			}
			q.cookie = rr[4 : 4+length]
		}
		rr = rr[4+length:]
	}
	return true
}

// skipName returns the offset behind a name, -1 where there is none.
func skipName(msg []byte, at int) int {
	for at < len(msg) {
		switch c := msg[at]; {
		case c == 0:
			return at + 1
		case c >= 0xc0:
			return at + 2
		case c > 63:
			return -1
		default:
			at += int(c) + 1
		}
	}
	return -1
}
