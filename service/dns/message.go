package dns

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

// message is an answer that is being written. Names are compressed against
// those before them (RFC 1035, section 4.1.4).
type message struct {
	buf      []byte // the message from its first octet
	limit    int    // most octets, the OPT record not counted
	flags    uint16
	rcode    int
	counts   [3]uint16 // answer, authority, additional
	names    [64]uint16
	known    int
	rotation int // which record of a set comes first
}

// Sections.
const (
	answerSection = iota
	authoritySection
	additionalSection
)

// questionName is the offset of the question's name in each message.
const questionName = 12

// begin starts a message with a question, which may be nil.
func (m *message) begin(buf []byte, question []byte, limit int) {
	m.buf = append(buf[:0], make([]byte, 12)...)
	m.buf = append(m.buf, question...)
	m.limit, m.flags, m.rcode, m.counts, m.known = limit, 0, 0, [3]uint16{}, 0
	if len(question) > 0 {
		m.learn(question[:len(question)-4], questionName)
	}
}

// learn notes where a name's suffixes stand.
func (m *message) learn(name []byte, at int) {
	for i := 0; i < len(name) && name[i] != 0 && at+i < 0x4000 && m.known < len(m.names); i += int(name[i]) + 1 {
		m.names[m.known] = uint16(at + i)
		m.known++
	}
}

// name writes a name, compressed if that is allowed for where it stands.
func (m *message) name(name string, compress bool) {
	start := len(m.buf)
	for i := 0; name[i] != 0; i += int(name[i]) + 1 {
		if at, ok := m.seen(name[i:]); ok && compress {
			m.buf = append(m.buf, name[:i]...)
			m.learnPart(start, i)
			m.buf = append(m.buf, 0xc0|byte(at>>8), byte(at))
			return
		}
	}
	m.buf = append(m.buf, name...)
	m.learn(m.buf[start:], start)
}

// learnPart notes the labels of a name whose rest is a pointer.
func (m *message) learnPart(start, length int) {
	for i := 0; i < length && start+i < 0x4000 && m.known < len(m.names); i += int(m.buf[start+i]) + 1 {
		m.names[m.known] = uint16(start + i)
		m.known++
	}
}

// seen looks for a name among those that were written.
func (m *message) seen(name string) (int, bool) {
	for _, at := range m.names[:m.known] {
		if m.equal(int(at), name) {
			return int(at), true
		}
	}
	return 0, false
}

// equal compares the name at an offset with another, letters folded.
func (m *message) equal(at int, name string) bool {
	for i := 0; ; {
		c := m.buf[at]
		if c >= 0xc0 {
			at = int(c&0x3f)<<8 | int(m.buf[at+1])
			continue
		}
		if c != name[i] {
			return false
		}
		if c == 0 {
			return true
		}
		for k := 1; k <= int(c); k++ {
			if fold(m.buf[at+k]) != fold(name[i+k]) {
				return false
			}
		}
		at, i = at+int(c)+1, i+int(c)+1
	}
}

func fold(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// ownerIsQuestion as an owner stands for the question's name.
const ownerIsQuestion = ""

// add writes a whole set, or nothing if it doesn't fit.
func (m *message) add(section int, owner string, set *rrset) bool {
	start, known := len(m.buf), m.known
	n := len(set.records)
	for i := range n {
		m.record(owner, set, set.records[(i+m.rotation)%n])
		if len(m.buf) > m.limit {
			m.buf, m.known = m.buf[:start], known
			return false
		}
	}
	m.counts[section] += uint16(n)
	return true
}

// record writes one record.
func (m *message) record(owner string, set *rrset, data string) {
	if owner == ownerIsQuestion {
		m.buf = append(m.buf, 0xc0, questionName)
	} else {
		m.name(owner, true)
	}
	m.buf = binary.BigEndian.AppendUint16(m.buf, set.kind)
	m.buf = binary.BigEndian.AppendUint16(m.buf, dns.ClassINET)
	m.buf = binary.BigEndian.AppendUint32(m.buf, set.ttl)
	at := len(m.buf)
	m.buf = append(m.buf, 0, 0)
	m.data(set.kind, data)
	binary.BigEndian.PutUint16(m.buf[at:], uint16(len(m.buf)-at-2))
}

// data writes a record's data; only the names of RFC 1035's own types may be
// compressed (RFC 3597, section 4).
func (m *message) data(kind uint16, data string) {
	names := 0
	switch kind {
	case dns.TypeNS, dns.TypeCNAME, dns.TypePTR:
		names = 1
	case dns.TypeMX:
		names = 1
		m.buf, data = append(m.buf, data[:2]...), data[2:]
	case dns.TypeSOA:
		names = 2
	}
	for range names {
		end := 0
		for data[end] != 0 {
			end += int(data[end]) + 1
		}
		m.name(data[:end+1], true)
		data = data[end+1:]
	}
	m.buf = append(m.buf, data...)
}

// finish writes the OPT record, if the query had one, and the header.
func (m *message) finish(q *query, size uint16, cookie []byte) []byte {
	if q.edns {
		m.opt(q, size, cookie)
		m.counts[additionalSection]++
	}
	flags := flagQR | m.flags | q.flags&(flagRD|flagCD|15<<11) | uint16(m.rcode&15)
	h := m.buf[:12]
	binary.BigEndian.PutUint16(h, q.id)
	binary.BigEndian.PutUint16(h[2:], flags)
	binary.BigEndian.PutUint16(h[4:], 0)
	if len(q.question) > 0 {
		binary.BigEndian.PutUint16(h[4:], 1)
	}
	for i, n := range m.counts {
		binary.BigEndian.PutUint16(h[6+2*i:], n)
	}
	return m.buf
}

// optSpace is what the OPT record needs at most: itself and a cookie.
const optSpace = 11 + 4 + 24

func (m *message) opt(q *query, size uint16, cookie []byte) {
	m.buf = append(m.buf, 0)
	m.buf = binary.BigEndian.AppendUint16(m.buf, dns.TypeOPT)
	m.buf = binary.BigEndian.AppendUint16(m.buf, size)
	do := byte(0)
	if q.do {
		do = 0x80
	}
	m.buf = append(m.buf, byte(m.rcode>>4), 0, do, 0)
	if cookie == nil {
		m.buf = append(m.buf, 0, 0)
		return
	}
	m.buf = binary.BigEndian.AppendUint16(m.buf, uint16(4+len(cookie)))
	m.buf = binary.BigEndian.AppendUint16(m.buf, dns.EDNS0COOKIE)
	m.buf = binary.BigEndian.AppendUint16(m.buf, uint16(len(cookie)))
	m.buf = append(m.buf, cookie...)
}
