package bench

import (
	"fmt"
	"io"
	"os"

	"github.com/ulikunitz/xz"
)

// Weigh is the size of files together, as they are and compressed by xz.
func Weigh(files []string) (raw, packed int64, err error) {
	for _, file := range files {
		r, p, err := weighFile(file)
		if err != nil {
			return 0, 0, fmt.Errorf("size: %w", err)
		}
		raw, packed = raw+r, packed+p
	}
	return raw, packed, nil
}

func weighFile(file string) (raw, packed int64, err error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	out := new(counter)
	w, err := xz.NewWriter(out)
	if err != nil {
		return 0, 0, err
	}
	if raw, err = io.Copy(w, f); err != nil {
		return 0, 0, err
	}
	if err := w.Close(); err != nil {
		return 0, 0, err
	}
	return raw, out.n, nil
}

// counter is a writer that only counts.
type counter struct{ n int64 }

func (c *counter) Write(b []byte) (int, error) {
	c.n += int64(len(b))
	return len(b), nil
}
