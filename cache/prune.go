package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// Pruned is what a prune did, in bytes of disk.
type Pruned struct {
	Removed int   `json:"removed"` // entries
	Freed   int64 `json:"freed"`
	Left    int64 `json:"left"`
	InUse   int   `json:"inUse"` // entries that should have gone, but are in use
}

// Prune removes what the limits say, and what can't be of use any more: builds
// whose program's folder is gone, and leftovers of a crash. What is in use stays.
func (c *Cache) Prune(l Limits) (Pruned, error) {
	t, err := c.scan()
	if err != nil {
		return Pruned{}, err
	}
	slices.SortStableFunc(t.entries, func(a, b *entry) int { return a.used.Compare(b.used) })
	p := Pruned{Left: t.total()}
	var errs []error
	pass := func(goes func(*entry) bool) {
		t.entries = slices.DeleteFunc(t.entries, func(e *entry) bool {
			if !goes(e) {
				return false
			}
			gone, err := e.remove()
			switch {
			case err != nil:
				errs = append(errs, err)
			case !gone:
				p.InUse++
			default:
				freed, less := t.drop(e)
				p.Removed, p.Freed, p.Left = p.Removed+1, p.Freed+freed, p.Left-less
			}
			return true
		})
	}
	now := time.Now()
	pass(func(e *entry) bool { return e.useless(now, l.Unused) })
	if p.Left > l.Size {
		goal := l.Size / 10 * 9 // so that not every build has to prune
		pass(func(e *entry) bool { return p.Left > goal && !e.isLeftover() })
	}
	return p, errors.Join(errs...)
}

// useless tells what goes whatever room there is.
func (e *entry) useless(now time.Time, unused time.Duration) bool {
	age := now.Sub(e.used)
	if e.isLeftover() {
		return age > time.Hour // of a crash, by then
	}
	return e.stale || age > unused
}

// remove removes an entry that nobody uses, out of sight first: whoever looks for it
// finds all of it or nothing.
func (e *entry) remove() (gone bool, err error) {
	f, err := os.Open(e.path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	if err := flock(f, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return false, nil
	}
	if info, err := f.Stat(); err != nil || info.ModTime().After(e.used) || !still(f, e.path) {
		return false, nil // used since
	}
	hidden := filepath.Join(filepath.Dir(e.path), fmt.Sprintf("%sgone-%d", Temporary, time.Now().UnixNano()))
	if e.isLeftover() {
		hidden = e.path
	} else if err := os.Rename(e.path, hidden); err != nil {
		return false, err
	}
	return true, os.RemoveAll(hidden)
}
