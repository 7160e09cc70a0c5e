package cache

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// tidyEvery is how often a cache is looked over that nothing is added to.
const tidyEvery = 24 * time.Hour

// recordFile remembers between processes when that was, and how much the cache holds
// since. Its lock is for who prunes.
const recordFile = "record.json"

type record struct {
	Pruned time.Time `json:"pruned"`
	Bytes  int64     `json:"bytes"` // at most, as far as is known
	Next   int64     `json:"next"`  // above it is time again
}

// Added tells the cache of paths that came to it, or of none. If it may be over its
// bounds then, or nobody looked for a day, it is pruned; else this costs no more than
// reading a small file. A failure is no reason to fail for whoever has built
// something, and is tried again next time.
func (c *Cache) Added(paths ...string) {
	f, err := os.OpenFile(filepath.Join(c.dir, recordFile), os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return
	}
	defer f.Close()
	if flock(f, syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return // somebody prunes now
	}
	r := readRecord(f)
	for _, path := range paths {
		r.Bytes += size(path)
	}
	now := time.Now()
	if age := now.Sub(r.Pruned); r.Bytes > r.Next || age > tidyEvery || age < 0 {
		p, err := c.Prune(c.limits)
		if err != nil {
			return
		}
		// What is in use may be more than the bound: no reason to look after each build.
		r = record{Pruned: now, Bytes: p.Left, Next: max(c.limits.Size, p.Left+p.Left/10)}
	} else if len(paths) == 0 {
		return
	}
	writeRecord(f, r)
}

// readRecord takes a file that is damaged, or empty, as none: then it is time.
func readRecord(r io.Reader) (rec record) {
	if json.NewDecoder(r).Decode(&rec) != nil {
		return record{}
	}
	return rec
}

func writeRecord(f *os.File, r record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(append(text, '\n'), 0)
	return errors.Join(err, f.Truncate(int64(len(text)+1)))
}

// size is what a file or folder takes.
func size(path string) int64 {
	t := &tree{shared: map[inode]*shared{}}
	e := &entry{path: path, links: map[inode]int{}}
	t.measure(e)
	t.entries = append(t.entries, e)
	return t.total()
}
