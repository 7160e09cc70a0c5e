package linuxvm

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz/lzma"
)

// maxUnpacked bounds what a kernel or module may unpack to, in bytes.
const maxUnpacked = 512 << 20

var errTooLarge = fmt.Errorf("unpacks to more than %d MiB", maxUnpacked>>20)

// codec is one way a kernel or a module may be compressed.
type codec struct {
	name, magic string
	unpack      func([]byte) ([]byte, error)
}

var codecs = []codec{
	{"gzip", "\x1f\x8b", gunzip},
	{"xz", xzMagic, unxz},
	{"zstd", "\x28\xb5\x2f\xfd", unzstd},
	{"lz4", lz4Magic, unlz4},
	{"bzip2", "BZh", bunzip},
	{"lzma", "\x5d\x00\x00", unlzma},
}

// decompress unpacks data by the format that its first bytes name. What
// follows the compressed stream, such as the size that a kernel's build
// appends, is ignored.
func decompress(data []byte) ([]byte, error) {
	for _, c := range codecs {
		if !bytes.HasPrefix(data, []byte(c.magic)) {
			continue
		}
		out, err := c.unpack(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		return out, nil
	}
	return nil, fmt.Errorf("no known compression begins with % x", data[:min(len(data), 6)])
}

func readBounded(r io.Reader) ([]byte, error) {
	out, err := io.ReadAll(io.LimitReader(r, maxUnpacked+1))
	if err != nil {
		return nil, err
	}
	if len(out) > maxUnpacked {
		return nil, errTooLarge
	}
	return out, nil
}

func gunzip(data []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	r.Multistream(false)
	return readBounded(r)
}

func bunzip(data []byte) ([]byte, error) {
	return readBounded(bzip2.NewReader(bytes.NewReader(data)))
}

func unlzma(data []byte) ([]byte, error) {
	r, err := lzma.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return readBounded(r)
}

// unzstd unpacks one frame and takes an error behind it for the appended size.
func unzstd(data []byte) ([]byte, error) {
	r, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderMaxMemory(maxUnpacked), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	out, err := io.ReadAll(r)
	behind := errors.Is(err, zstd.ErrMagicMismatch) || errors.Is(err, io.ErrUnexpectedEOF)
	if err != nil && !(behind && len(out) > 0) {
		return nil, err
	}
	return out, nil
}
