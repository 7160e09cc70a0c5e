package linktest

import (
	"encoding/binary"

	"pith/kernel/link"
)

// etherLen is the length of an Ethernet II header.
const etherLen = 14

// flatten returns a chain's bytes in one slice.
func flatten(b *link.Buffer) []byte {
	var all []byte
	for ; b != nil; b = b.Next {
		all = append(all, b.Bytes()...)
	}
	return all
}

// segments cuts a frame as a card with TCP segmentation offload does: each
// segment gets the headers, with length, identification, sequence number,
// flags and checksums adapted.
func segments(frame []byte, o link.Offload) [][]byte {
	if o.Segmentation == link.SegmentNone {
		return [][]byte{frame}
	}
	size, head := int(o.SegmentSize), int(o.HeaderLen)
	payload := frame[head:]
	var out [][]byte
	for i := 0; i == 0 || i*size < len(payload); i++ {
		part := payload[i*size : min((i+1)*size, len(payload))]
		last := (i+1)*size >= len(payload)
		s := append(append([]byte(nil), frame[:head]...), part...)
		adapt(s, o, i, last)
		out = append(out, s)
	}
	return out
}

// adapt rewrites segment i's headers.
func adapt(s []byte, o link.Offload, i int, last bool) {
	ip := s[etherLen:]
	tcp := s[o.ChecksumStart:]
	length := uint16(len(tcp))
	if o.Segmentation == link.SegmentTCP4 {
		binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
		id := binary.BigEndian.Uint16(ip[4:])
		binary.BigEndian.PutUint16(ip[4:], id+uint16(i))
		header := ip[:int(ip[0]&15)*4]
		binary.BigEndian.PutUint16(ip[10:], 0)
		binary.BigEndian.PutUint16(ip[10:], ^sum(header, 0))
		binary.BigEndian.PutUint16(tcp[16:], sum(ip[12:20], 6+uint32(length)))
	} else {
		binary.BigEndian.PutUint16(ip[4:], uint16(len(ip)-40))
		binary.BigEndian.PutUint16(tcp[16:], sum(ip[8:40], 6+uint32(length)))
	}
	seq := binary.BigEndian.Uint32(tcp[4:])
	binary.BigEndian.PutUint32(tcp[4:], seq+uint32(i)*uint32(o.SegmentSize))
	if !last {
		tcp[13] &^= 0x01 | 0x08 // FIN and PSH belong to the last one
	}
}

// finishChecksum does what Offload.NeedsChecksum asks for.
func finishChecksum(frame []byte, o link.Offload) {
	start := int(o.ChecksumStart)
	s := ^sum(frame[start:], 0)
	if s == 0 {
		s = 0xffff // zero would mean "none" in UDP
	}
	binary.BigEndian.PutUint16(frame[start+int(o.ChecksumOffset):], s)
}

// sum is the Internet checksum of RFC 1071, not yet complemented.
func sum(b []byte, acc uint32) uint16 {
	for ; len(b) >= 2; b = b[2:] {
		acc += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		acc += uint32(b[0]) << 8
	}
	for acc > 0xffff {
		acc = acc>>16 + acc&0xffff
	}
	return uint16(acc)
}
