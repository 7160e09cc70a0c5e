package cache

import (
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
)

// Free is what this user may still write on the disk of a folder, which need not
// exist yet, in bytes.
func Free(dir string) (int64, error) {
	var s syscall.Statfs_t
	err := syscall.Statfs(dir, &s)
	if up := filepath.Dir(dir); errors.Is(err, fs.ErrNotExist) && up != dir {
		return Free(up)
	}
	if err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}
