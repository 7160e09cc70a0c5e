package cache

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Hold keeps entries from being removed until Release, or until the process ends.
// The zero value holds nothing. It may be used by several goroutines.
type Hold struct {
	mu   sync.Mutex
	held map[string]*os.File
}

// Use marks the entry at path as used and holds it. It reports whether it is there.
func (h *Hold) Use(path string) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		flock(f, syscall.LOCK_SH) // where there are no locks, Prune gets none either
		if !still(f, path) {      // removed, or replaced, while we waited
			f.Close()
			continue
		}
		now := time.Now()
		os.Chtimes(path, now, now) // only Prune looks at it
		h.add(path, f)
		return true, nil
	}
}

// UseOf is Use for the entry that path lies in; a path outside of the cache is the
// user's own, and nothing happens to it.
func (c *Cache) UseOf(h *Hold, path string) error {
	rel, err := filepath.Rel(c.dir, path)
	if err != nil {
		return nil
	}
	words := strings.Split(rel, string(filepath.Separator))
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == words[0] })
	if i < 0 || len(words) < 2 || !kinds[i].entry.MatchString(words[1]) {
		return nil
	}
	_, err = h.Use(c.Path(words[0], words[1]))
	return err
}

// add holds f in place of what was at path before.
func (h *Hold) add(path string, f *os.File) {
	if h.held == nil {
		h.held = map[string]*os.File{}
	}
	if old := h.held[path]; old != nil {
		old.Close()
	}
	h.held[path] = f
}

// Release lets go of all entries.
func (h *Hold) Release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range h.held {
		f.Close()
	}
	h.held = nil
}

// still tells whether path is the file that is open.
func still(f *os.File, path string) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(opened, there)
}

// flock is flock(2), through signals.
func flock(f *os.File, how int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), how); err != syscall.EINTR {
			return err
		}
	}
}
