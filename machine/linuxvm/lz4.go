package linuxvm

import (
	"encoding/binary"
	"errors"
)

// lz4Magic begins a legacy LZ4 frame, the only one that kernels use (LZ4 Frame
// Format 1.6, "Legacy frame"): blocks that unpack to 8 MiB each, the last one
// to less, each behind its packed length.
const (
	lz4Magic     = "\x02\x21\x4c\x18"
	lz4BlockSize = 8 << 20
)

var errLZ4 = errors.New("corrupt block")

func unlz4(data []byte) ([]byte, error) {
	var out []byte
	for data = data[len(lz4Magic):]; len(data) > 4; {
		n := uint64(binary.LittleEndian.Uint32(data))
		if n > uint64(len(data)-4) {
			return nil, errLZ4
		}
		before := len(out)
		var err error
		if out, err = lz4Block(out, data[4:4+n]); err != nil {
			return nil, err
		}
		data = data[4+n:]
		if len(out)-before < lz4BlockSize {
			break
		}
	}
	return out, nil
}

// lz4Block appends what one block unpacks to (LZ4 Block Format): sequences of
// literals and a match in what was written before them in the block.
func lz4Block(out, src []byte) ([]byte, error) {
	start := len(out)
	for len(src) > 0 {
		token := src[0]
		literals, src1, ok := lz4Length(int(token>>4), src[1:])
		if !ok || literals > len(src1) || len(out)-start+literals > lz4BlockSize {
			return nil, errLZ4
		}
		out = append(out, src1[:literals]...)
		src = src1[literals:]
		if len(src) == 0 {
			return out, nil
		}
		if len(src) < 2 {
			return nil, errLZ4
		}
		distance := int(binary.LittleEndian.Uint16(src))
		match, rest, ok := lz4Length(int(token&15), src[2:])
		match += 4
		if !ok || distance == 0 || distance > len(out)-start || len(out)-start+match > lz4BlockSize {
			return nil, errLZ4
		}
		for range match { // one by one: a match may overlap its own output
			out = append(out, out[len(out)-distance])
		}
		src = rest
	}
	return out, nil
}

// lz4Length reads a length that goes on in further bytes while it is 15, then
// while those are 255.
func lz4Length(n int, src []byte) (int, []byte, bool) {
	if n < 15 {
		return n, src, true
	}
	for i, b := range src {
		n += int(b)
		if n > lz4BlockSize {
			return 0, nil, false
		}
		if b != 255 {
			return n, src[i+1:], true
		}
	}
	return 0, nil, false
}
