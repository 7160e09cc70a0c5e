package linuxvm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// The xz container is read here because kernels are packed with the x86 filter
// in front of LZMA2, which the xz library does not know. Its LZMA2 decoder does
// the work. Source: The .xz File Format 1.1.0.
const (
	xzMagic = "\xfd7zXZ\x00"

	xzFilterX86   = 0x04
	xzFilterLZMA2 = 0x21

	xzMaxDict = 256 << 20
)

var errXZ = errors.New("corrupt header")

// unxz unpacks the blocks of the first stream in data. The index behind them
// repeats their sizes and is not read.
func unxz(data []byte) ([]byte, error) {
	if len(data) < 12 || crc32.ChecksumIEEE(data[6:8]) != binary.LittleEndian.Uint32(data[8:]) {
		return nil, errXZ
	}
	check, size, err := xzCheck(data[7])
	if err != nil {
		return nil, err
	}
	var out []byte
	for data = data[12:]; ; {
		if len(data) == 0 {
			return nil, io.ErrUnexpectedEOF
		}
		if data[0] == 0 { // the index
			return out, nil
		}
		block, rest, err := xzBlock(data, maxUnpacked-len(out))
		if err != nil {
			return nil, err
		}
		if len(rest) < size {
			return nil, io.ErrUnexpectedEOF
		}
		if err := verify(check, block, rest[:size]); err != nil {
			return nil, err
		}
		out, data = append(out, block...), rest[size:]
	}
}

// xzCheck is the checksum that a stream's flags name, and its length.
func xzCheck(flags byte) (hash.Hash, int, error) {
	switch flags {
	case 0:
		return nil, 0, nil
	case 1:
		return crc32.NewIEEE(), 4, nil
	case 4:
		return crc64.New(crc64.MakeTable(crc64.ECMA)), 8, nil
	default:
		return nil, 0, fmt.Errorf("checksum of type %d is not supported", flags)
	}
}

// verify compares sums, which xz stores with the least byte first.
func verify(check hash.Hash, block, want []byte) error {
	if check == nil {
		return nil
	}
	check.Reset()
	check.Write(block)
	sum := check.Sum(nil)
	for i := range sum {
		if sum[i] != want[len(want)-1-i] {
			return errors.New("wrong checksum")
		}
	}
	return nil
}

// xzBlock unpacks the block that data begins with, to limit bytes at most, and
// returns what follows its padding.
func xzBlock(data []byte, limit int) (block, rest []byte, err error) {
	header, rest, err := xzHeader(data)
	if err != nil {
		return nil, nil, err
	}
	x86, dict, err := xzFilters(header)
	if err != nil {
		return nil, nil, err
	}
	packed := bytes.NewReader(rest)
	r, err := lzma.Reader2Config{DictCap: dict}.NewReader2(packed)
	if err != nil {
		return nil, nil, err
	}
	block, err = io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, nil, err
	}
	if len(block) > limit {
		return nil, nil, errTooLarge
	}
	used := len(rest) - packed.Len()
	used = (used + 3) &^ 3 // a header is a multiple of four bytes long already
	if used > len(rest) {
		return nil, nil, io.ErrUnexpectedEOF
	}
	if x86 {
		unfilterX86(block)
	}
	return block, rest[used:], nil
}

// xzHeader splits a block's header off, without its length and checksum.
func xzHeader(data []byte) (header, rest []byte, err error) {
	n := (int(data[0]) + 1) * 4
	if n < 8 || n > len(data) {
		return nil, nil, errXZ
	}
	if crc32.ChecksumIEEE(data[:n-4]) != binary.LittleEndian.Uint32(data[n-4:]) {
		return nil, nil, errXZ
	}
	return data[1 : n-4], data[n:], nil
}

// xzFilters reads a block's header: is LZMA2 preceded by the x86 filter, and
// how large is its dictionary?
func xzFilters(header []byte) (x86 bool, dict int, err error) {
	flags, b := header[0], header[1:]
	if flags&0x3c != 0 {
		return false, 0, errXZ
	}
	for _, present := range []byte{flags & 0x40, flags & 0x80} { // packed and unpacked size
		if present == 0 {
			continue
		}
		if _, b, err = xzNumber(b); err != nil {
			return false, 0, err
		}
	}
	for i := range int(flags&3) + 1 {
		var id uint64
		var props []byte
		if id, props, b, err = xzFilter(b); err != nil {
			return false, 0, err
		}
		last := i == int(flags&3)
		switch {
		case id == xzFilterX86 && !last && !x86 && len(props) == 0:
			x86 = true
		case id == xzFilterLZMA2 && last && len(props) == 1:
			dict, err = xzDict(props[0])
		default:
			return false, 0, fmt.Errorf("filter %#x is not supported here", id)
		}
	}
	return x86, dict, err
}

func xzFilter(b []byte) (id uint64, props, rest []byte, err error) {
	if id, b, err = xzNumber(b); err != nil {
		return 0, nil, nil, err
	}
	n, b, err := xzNumber(b)
	if err != nil || n > uint64(len(b)) {
		return 0, nil, nil, errXZ
	}
	return id, b[:n], b[n:], nil
}

func xzDict(bits byte) (int, error) {
	if bits > 40 {
		return 0, errXZ
	}
	size := uint64(2|bits&1) << (bits/2 + 11)
	if size > xzMaxDict {
		return 0, fmt.Errorf("a dictionary of %d MiB is too large", size>>20)
	}
	return max(int(size), lzma.MinDictCap), nil
}

// xzNumber reads seven bits a byte, the least first; the top bit says that more
// follow. A number has nine bytes at most.
func xzNumber(b []byte) (uint64, []byte, error) {
	n, used := binary.Uvarint(b)
	if used <= 0 || used > 9 {
		return 0, nil, errXZ
	}
	return n, b[used:], nil
}

// unfilterX86 undoes the x86 filter in place. The packer had replaced the
// relative target of each CALL (e8) and JMP (e9) that looks like a real one by
// an absolute one. Which of them look real depends on the opcodes shortly
// before: seen has bit n set if the byte n+1 before this one was an opcode that
// was left alone. Source: the format's section 5.3.2 and its reference decoder's
// behaviour.
func unfilterX86(code []byte) {
	seen, last := uint(0), -1
	for i := 0; i+5 <= len(code); i++ {
		if code[i]&0xfe != 0xe8 {
			continue
		}
		if gap := i - last; gap > 3 {
			seen = 0
		} else {
			seen = seen << (gap - 1) & 7
		}
		last = i
		if !plausibleTarget(code[i:i+5], seen) {
			seen = seen<<1 | 1
			continue
		}
		relative(code[i+1:i+5], uint32(i)+5, seen)
		i += 4
	}
}

// topByte says whether b can be the highest byte of a target within 16 MiB.
func topByte(b byte) bool { return b == 0 || b == 0xff }

// newest is the index (1 to 3) of the oldest opcode that seen holds, 0 for none.
func newest(seen uint) uint {
	switch {
	case seen >= 4:
		return 3
	case seen >= 2:
		return 2
	default:
		return seen
	}
}

func plausibleTarget(op []byte, seen uint) bool {
	if seen == 3 || seen > 4 { // two opcodes so close are data
		return false
	}
	if seen != 0 && topByte(op[4-newest(seen)]) {
		return false
	}
	return topByte(op[4])
}

// relative turns the absolute target in b into one relative to pc, the address
// behind the instruction.
func relative(b []byte, pc uint32, seen uint) {
	target := binary.LittleEndian.Uint32(b)
	for {
		target -= pc
		if seen == 0 {
			break
		}
		shift := newest(seen) * 8
		if !topByte(byte(target >> (24 - shift))) {
			break
		}
		target ^= 1<<(32-shift) - 1
	}
	target &= 0x01ffffff
	target |= -(target & 0x01000000)
	binary.LittleEndian.PutUint32(b, target)
}
