package ninep

// Types of messages (Linux, include/net/9p/9p.h). A reply's type is one more than
// its request's, or that of an error.
const (
	replyError = 7

	typeStatfs   = 8
	typeLopen    = 12
	typeLcreate  = 14
	typeSymlink  = 16
	typeMknod    = 18
	typeReadlink = 22
	typeGetattr  = 24
	typeSetattr  = 26
	typeReaddir  = 40
	typeFsync    = 50
	typeLink     = 70
	typeMkdir    = 72
	typeRenameat = 74
	typeUnlinkat = 76
	typeVersion  = 100
	typeAttach   = 104
	typeWalk     = 110
	typeRead     = 116
	typeWrite    = 118
	typeClunk    = 120
)

const (
	headerSize = 4 + 1 + 2 // size, type, tag
	qidSize    = 1 + 4 + 8
	errorSize  = headerSize + 4
	ioSize     = headerSize + 4 + 8 + 4 // the head of a read's or write's request

	noTag  = 0xffff
	noFid  = 0xffffffff
	noUser = 0xffffffff
)

// request is a message to the server, being written. All numbers are
// little-endian.
type request struct{ b []byte }

func newRequest(typ uint8) *request {
	r := &request{make([]byte, headerSize, 64)}
	r.b[4] = typ
	return r
}

// finish completes the head of a message that more bytes follow.
func (r *request) finish(tag uint16, more int) {
	put32(r.b, uint32(len(r.b)+more))
	r.b[5], r.b[6] = byte(tag), byte(tag>>8)
}

func put32(b []byte, v uint32) {
	b[0], b[1], b[2], b[3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
}

func (r *request) u16(v uint16) *request {
	r.b = append(r.b, byte(v), byte(v>>8))
	return r
}

func (r *request) u32(v uint32) *request {
	return r.u16(uint16(v)).u16(uint16(v >> 16))
}

func (r *request) u64(v uint64) *request {
	return r.u32(uint32(v)).u32(uint32(v >> 32))
}

// text appends a string, which has at most 4 KiB.
func (r *request) text(s string) *request {
	r.u16(uint16(len(s)))
	r.b = append(r.b, s...)
	return r
}

// fields is what is left of a reply, being read. Reading beyond its end gives
// zeros, and sets short.
type fields struct {
	b     []byte
	short bool
}

func (f *fields) take(n int) []byte {
	if n > len(f.b) {
		f.b, f.short = nil, true
		return make([]byte, n)
	}
	p := f.b[:n:n]
	f.b = f.b[n:]
	return p
}

func (f *fields) u8() uint8 { return f.take(1)[0] }

func (f *fields) u16() uint16 {
	p := f.take(2)
	return uint16(p[0]) | uint16(p[1])<<8
}

func (f *fields) u32() uint32 { return uint32(f.u16()) | uint32(f.u16())<<16 }
func (f *fields) u64() uint64 { return uint64(f.u32()) | uint64(f.u32())<<32 }

func (f *fields) text() string { return string(f.take(int(f.u16()))) }

// qid is the server's name for a node: path is its number, and typ tells
// directories and symbolic links from the rest.
type qid struct {
	typ     uint8
	version uint32
	path    uint64
}

// Bits of qid.typ.
const (
	qidDirectory = 0x80
	qidLink      = 0x02
)

func (f *fields) qid() qid { return qid{f.u8(), f.u32(), f.u64()} }
