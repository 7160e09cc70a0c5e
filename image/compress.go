package image

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/ulikunitz/xz"
	"pith"
)

// Compress writes the image at path to output for transport, in the xz format,
// and returns the bytes written. The same image gives the same file. xz -d or
// Decompress unpack it. Output is written as a whole or not at all.
func Compress(ctx context.Context, path, output string) (int64, error) {
	if _, err := Open(path); err != nil {
		return 0, err
	}
	return transform(ctx, path, output, 0o644, func(w io.Writer, r io.Reader) error {
		z, err := xz.NewWriter(w)
		if err != nil {
			return err
		}
		if _, err := io.Copy(z, r); err != nil {
			return err
		}
		return z.Close()
	})
}

// Decompress unpacks what Compress wrote and opens it. A file in another
// format, or damaged, is a *pith.Error.
func Decompress(ctx context.Context, path, output string) (*Image, error) {
	_, err := transform(ctx, path, output, 0o755, func(w io.Writer, r io.Reader) error {
		z, err := xz.NewReader(r)
		if err != nil {
			return pith.Errorf("%s is no compressed image: %w", path, err)
		}
		if _, err := io.Copy(w, z); err != nil {
			return pith.Errorf("%s is damaged: %w", path, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return Open(output)
}

// transform writes what f makes of the file at path to output.
func transform(ctx context.Context, path, output string, mode os.FileMode, f func(io.Writer, io.Reader) error) (n int64, err error) {
	in, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	out, err := os.CreateTemp(filepath.Dir(output), ".pith-*")
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", output, err)
	}
	defer os.Remove(out.Name()) // gone already where all went well
	defer out.Close()
	if err := f(out, &cancelable{ctx, in}); err != nil {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		return 0, err
	}
	info, err := out.Stat()
	if err != nil {
		return 0, err
	}
	if err := out.Chmod(mode); err != nil {
		return 0, err
	}
	if err := out.Close(); err != nil {
		return 0, fmt.Errorf("write %s: %w", output, err)
	}
	return info.Size(), os.Rename(out.Name(), output)
}

// cancelable is a reader that ends when its context does.
type cancelable struct {
	ctx context.Context
	r   io.Reader
}

func (c *cancelable) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
