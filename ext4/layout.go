package ext4

import (
	"hash/crc32"
)

// On the device ext4 is little-endian, its journal big-endian. The compiler
// makes one load or store of each of these.

func le16(b []byte) uint16 { return uint16(b[0]) | uint16(b[1])<<8 }

func le32(b []byte) uint32 {
	_ = b[3]
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

func put16(b []byte, v uint16) { b[0], b[1] = byte(v), byte(v>>8) }

func put32(b []byte, v uint32) {
	_ = b[3]
	b[0], b[1], b[2], b[3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
}

func be32(b []byte) uint32 {
	_ = b[3]
	return uint32(b[3]) | uint32(b[2])<<8 | uint32(b[1])<<16 | uint32(b[0])<<24
}

func putBE32(b []byte, v uint32) {
	_ = b[3]
	b[0], b[1], b[2], b[3] = byte(v>>24), byte(v>>16), byte(v>>8), byte(v)
}

// split16 joins a number of which the two halves lie apart.
func split16(low, high []byte) uint32 { return uint32(le16(low)) | uint32(le16(high))<<16 }

func split32(low, high []byte) uint64 { return uint64(le32(low)) | uint64(le32(high))<<32 }

// castagnoli makes its table at the first use: this package is in every image,
// and most machines have no volume.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// crc32c goes on with a checksum as ext4 and jbd2 make them: Castagnoli's
// polynomial, begun with all ones, not inverted at the end.
func crc32c(crc uint32, b []byte) uint32 { return ^crc32.Update(^crc, castagnoli(), b) }

func crcOf32(crc uint32, v uint32) uint32 {
	return crc32c(crc, []byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)})
}

// crc16 is the checksum of group descriptors where there is no metadata_csum
// (polynomial 0xA001, reflected).
func crc16(crc uint16, b []byte) uint16 {
	for _, c := range b {
		crc ^= uint16(c)
		for range 8 {
			low := crc & 1
			crc >>= 1
			if low != 0 {
				crc ^= 0xa001
			}
		}
	}
	return crc
}

// Bits of a bitmap.

func hasBit(b []byte, i uint32) bool { return b[i/8]&(1<<(i%8)) != 0 }
func setBit(b []byte, i uint32)      { b[i/8] |= 1 << (i % 8) }
func clearBit(b []byte, i uint32)    { b[i/8] &^= 1 << (i % 8) }
