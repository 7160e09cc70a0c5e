package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"pith/cache"
)

// digest is a hash of the parts, whose boundaries count, in 16 hex digits.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// writeFile writes a file as a whole or not at all.
func writeFile(path string, data []byte, mode fs.FileMode) error {
	return writeWhole(path, mode, func(f *os.File) error {
		_, err := f.Write(data)
		return err
	})
}

// writeSparse is writeFile for data that has only zeros between its first page and
// from; they take no room where the file system knows holes.
func writeSparse(path string, data []byte, from int64) error {
	return writeWhole(path, 0o644, func(f *os.File) error {
		if _, err := f.Write(data[:pageSize]); err != nil {
			return err
		}
		_, err := f.WriteAt(data[from:], from)
		return err
	})
}

func writeWhole(path string, mode fs.FileMode, write func(*os.File) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), cache.Temporary+"*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err = write(f); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err = f.Chmod(mode); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err = f.Close(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}

// linkFile makes path another name of the file old, in place of what it was.
func linkFile(path, old string) error {
	if same(path, old) {
		return nil
	}
	tmp := filepath.Join(filepath.Dir(path), cache.Temporary+"link")
	os.Remove(tmp)
	if err := os.Link(old, tmp); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

func same(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// makeDir makes the folder dir as a whole or not at all: fill works in a
// temporary one beside it. Where another process was faster, its folder stays.
func makeDir(dir string, fill func(tmp string) error) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o777); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), cache.Temporary)
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	if err := fill(tmp); err != nil {
		return err
	}
	if err := os.Rename(tmp, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// lock takes the lock file at path and returns how to give it up. It waits for
// another build until ctx ends.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if err != syscall.EWOULDBLOCK && err != syscall.EINTR {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
