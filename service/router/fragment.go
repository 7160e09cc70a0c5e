package router

import (
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
	"sync"

	"pith/service/packet"
)

// Limits of what waits to be put together.
const (
	maxDatagrams   = 256
	maxPieces      = 64
	fragmentTime   = 30e9 // nanoseconds
	maxDatagramLen = 65535
)

// fragmentKey names a datagram (RFC 791; RFC 8200, section 4.5).
type fragmentKey struct {
	src, dst netip.Addr
	id       uint32
	protocol uint8
}

// datagram is one that comes in pieces.
type datagram struct {
	first   *packet.Packet // the piece at offset 0, cloned
	pieces  []piece
	total   int // payload bytes; 0: not known yet
	largest int // of the pieces, as IP packets
	until   int64
}

type piece struct {
	at   int
	data []byte
}

// fragments puts datagrams together, so that rules see them whole. Pieces that overlap
// end a datagram (RFC 5722).
type fragments struct {
	mu  sync.Mutex
	all map[fragmentKey]*datagram
}

func (t *fragments) init() { t.all = map[fragmentKey]*datagram{} }

// add takes a piece, and returns the whole when it was the last. The whole has
// Largest set.
func (t *fragments) add(p *packet.Packet, now int64) *packet.Packet {
	k := fragmentKey{p.Src, p.Dst, p.FragID, p.Protocol}
	if p.Version == 6 {
		k.protocol = 0
	}
	header := p.HeaderEnd()
	data := p.Frame.Bytes()[header:]
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.all[k]
	if d == nil {
		if len(t.all) >= maxDatagrams {
			t.dropOldest()
		}
		d = &datagram{until: now + fragmentTime}
		t.all[k] = d
	}
	if !d.add(p, data) {
		delete(t.all, k)
		return nil
	}
	if !d.whole() {
		return nil
	}
	delete(t.all, k)
	return d.join()
}

// dropOldest makes room: a datagram that is to be whole is so soon. mu is held.
func (t *fragments) dropOldest() {
	var oldest fragmentKey
	until := int64(math.MaxInt64)
	for k, d := range t.all {
		if d.until < until {
			oldest, until = k, d.until
		}
	}
	delete(t.all, oldest)
}

func (t *fragments) sweep(now int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, d := range t.all {
		if d.until < now {
			delete(t.all, k)
		}
	}
}

// add reports false if the piece can't be.
func (d *datagram) add(p *packet.Packet, data []byte) bool {
	at, end := p.FragOffset, p.FragOffset+len(data)
	if len(data) == 0 || end > maxDatagramLen-60 || p.Frame.Rest > 0 || len(d.pieces) >= maxPieces || p.More && len(data)%8 != 0 {
		return false
	}
	if !p.More {
		if d.total != 0 && d.total != end {
			return false
		}
		d.total = end
	}
	for _, q := range d.pieces {
		if at < q.at+len(q.data) && q.at < end || d.total != 0 && q.at+len(q.data) > d.total {
			return false
		}
	}
	if d.total != 0 && end > d.total {
		return false
	}
	if at == 0 {
		clone := *p
		if clone.Frame = p.Frame.Clone(); clone.Frame == nil {
			return false
		}
		d.first = &clone
	}
	d.largest = max(d.largest, p.Length)
	d.pieces = append(d.pieces, piece{at, slices.Clone(data)})
	return true
}

func (d *datagram) whole() bool {
	n := 0
	for _, q := range d.pieces {
		n += len(q.data)
	}
	return d.first != nil && d.total > 0 && n == d.total
}

// join makes the datagram of its pieces.
func (d *datagram) join() *packet.Packet {
	p := d.first
	header := p.HeaderEnd()
	old := p.Frame.Bytes()
	f := packet.NewFrame(header + d.total)
	b := f.Bytes()
	copy(b, old[:header])
	for _, q := range d.pieces {
		copy(b[header+q.at:], q.data)
	}
	id := p.FragID
	if p.Version == 4 {
		h := b[p.L3:header]
		binary.BigEndian.PutUint16(h[2:], uint16(len(b)-p.L3))
		binary.BigEndian.PutUint16(h[6:], 0)
		binary.BigEndian.PutUint16(h[10:], 0)
		binary.BigEndian.PutUint16(h[10:], packet.Checksum(h))
	} else {
		b[p.NextAt] = b[p.FragAt]
		copy(b[p.FragAt:], b[p.FragAt+8:])
		f.Len -= 8
		b = f.Bytes()
		binary.BigEndian.PutUint16(b[p.L3+4:], uint16(len(b)-p.L3-40))
	}
	whole := &packet.Packet{}
	if whole.Parse(f) != packet.OK || whole.IsFragment() {
		return nil
	}
	whole.FragID, whole.Largest = id, d.largest
	return whole
}

// split cuts a packet into fragments for an MTU; one that came in pieces no larger than
// these were.
func (r *Router) split(p *packet.Packet, mtu int) []*packet.Packet {
	if p.Largest > 0 {
		mtu = min(mtu, p.Largest)
	}
	id := p.FragID
	if id == 0 {
		id = r.identity.Add(1)
	}
	b := p.Frame.Bytes()
	if p.Frame.Offload.NeedsChecksum {
		p.SumTransport()
	}
	header := 40
	if p.Version == 4 {
		header = int(b[p.L3]&15) * 4
	}
	extra := 0
	if p.Version == 6 {
		extra = 8
	}
	room := (mtu - header - extra) &^ 7
	if room < 8 || p.Frame.Rest > 0 {
		r.drop(dropFragment)
		return nil
	}
	payload := b[p.L3+header : p.L3+p.Length]
	var list []*packet.Packet
	for at := 0; at < len(payload); at += room {
		n := min(room, len(payload)-at)
		f, out := packet.Ethernet(packet.MAC{}, packet.MAC{}, 0, p.EtherType, header+extra+n)
		copy(out, b[p.L3:p.L3+header])
		copy(out[header+extra:], payload[at:at+n])
		more := at+n < len(payload)
		if p.Version == 4 {
			fragment4(out[:header], uint16(id), at, n, more)
		} else {
			fragment6(out, id, at, n, more)
		}
		list = append(list, &packet.Packet{Frame: f, EtherType: p.EtherType, L3: packet.EthernetLen, Version: p.Version, Src: p.Src, Dst: p.Dst, Length: header + extra + n})
	}
	return list
}

func fragment4(h []byte, id uint16, at, n int, more bool) {
	field := uint16(at / 8)
	if more {
		field |= 0x2000
	}
	binary.BigEndian.PutUint16(h[2:], uint16(len(h)+n))
	binary.BigEndian.PutUint16(h[4:], id)
	binary.BigEndian.PutUint16(h[6:], field)
	binary.BigEndian.PutUint16(h[10:], 0)
	binary.BigEndian.PutUint16(h[10:], packet.Checksum(h))
}

func fragment6(h []byte, id uint32, at, n int, more bool) {
	field := uint16(at)
	if more {
		field |= 1
	}
	binary.BigEndian.PutUint16(h[4:], uint16(8+n))
	h[40], h[41] = h[6], 0
	h[6] = packet.Fragment
	binary.BigEndian.PutUint16(h[42:], field)
	binary.BigEndian.PutUint32(h[44:], id)
}
