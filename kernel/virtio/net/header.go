package net

import (
	"pith/kernel/link"
	"pith/kernel/virtio"
)

// headerSize is the length of struct virtio_net_hdr (section 5.1.6), in bytes:
// flags, gso_type (8 bits each), hdr_len, gso_size, csum_start, csum_offset,
// num_buffers (16 bits each).
const headerSize = 12

// Header flags and gso_type values.
const (
	flagNeedsChecksum = 1
	flagDataValid     = 2

	gsoNone = 0
	gsoTCP4 = 1
	gsoTCP6 = 4
	gsoECN  = 0x80
)

// encode writes o as a header. It reports false for what f doesn't include, or
// section 5.1.6.2.1 forbids.
func encode(h []byte, o *link.Offload, f *link.Features) bool {
	if !o.NeedsChecksum && o.Segmentation == link.SegmentNone {
		virtio.Store64(h, 0)
		virtio.Store32(h[8:], 0)
		return true
	}
	if !o.NeedsChecksum || !f.TxChecksum {
		return false
	}
	gso := uint64(gsoNone)
	switch o.Segmentation {
	case link.SegmentNone:
	case link.SegmentTCP4:
		if !f.TSO4 || o.SegmentSize == 0 {
			return false
		}
		gso = gsoTCP4
	case link.SegmentTCP6:
		if !f.TSO6 || o.SegmentSize == 0 {
			return false
		}
		gso = gsoTCP6
	default:
		return false
	}
	virtio.Store64(h, flagNeedsChecksum|gso<<8|uint64(o.HeaderLen)<<16|
		uint64(o.SegmentSize)<<32|uint64(o.ChecksumStart)<<48)
	virtio.Store32(h[8:], uint32(o.ChecksumOffset))
	return true
}

// header is a received header, read once: the device could still change it.
type header struct {
	low  uint64 // all up to csum_start
	high uint32 // csum_offset, num_buffers
}

func readHeader(h []byte) header { return header{virtio.Load64(h), virtio.Load32(h[8:])} }

func (h header) buffers() int { return int(h.high >> 16) }

// decode says what the header means for a frame of size bytes. It reports false
// if it can't be true for it.
func (h header) decode(o *link.Offload, size int, f *rxFeatures) bool {
	flags, gso := uint8(h.low), uint8(h.low>>8)
	if flags&(flagNeedsChecksum|flagDataValid) == 0 && gso == gsoNone {
		return true
	}
	if !f.checksum {
		return false
	}
	o.ChecksumValid = flags&flagDataValid != 0
	if flags&flagNeedsChecksum != 0 {
		o.NeedsChecksum = true
		o.ChecksumStart, o.ChecksumOffset = uint16(h.low>>48), uint16(h.high)
		if int(o.ChecksumStart)+int(o.ChecksumOffset)+2 > size {
			return false
		}
	}
	if gso == gsoNone {
		return true
	}
	return h.decodeSegments(o, size, f, gso&^gsoECN)
}

// decodeSegments is the part of decode for merged segments.
func (h header) decodeSegments(o *link.Offload, size int, f *rxFeatures, gso uint8) bool {
	switch {
	case gso == gsoTCP4 && f.tso4:
		o.Segmentation = link.SegmentTCP4
	case gso == gsoTCP6 && f.tso6:
		o.Segmentation = link.SegmentTCP6
	default:
		return false
	}
	o.HeaderLen, o.SegmentSize = uint16(h.low>>16), uint16(h.low>>32)
	if int(o.HeaderLen) > size {
		o.HeaderLen = 0 // only a hint (section 5.1.6.4.1)
	}
	return o.SegmentSize != 0 && o.NeedsChecksum
}

// rxFeatures is what of a received header may be set.
type rxFeatures struct {
	checksum, tso4, tso6, mergeable bool
}
