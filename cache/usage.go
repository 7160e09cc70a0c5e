package cache

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// Usage is what the entries of one kind take, in bytes of disk.
type Usage struct {
	Kind    string    `json:"kind"`
	What    string    `json:"what"`
	Entries int       `json:"entries"`
	InUse   int       `json:"inUse"` // by a build or a machine, now
	Size    int64     `json:"size"`
	Oldest  time.Time `json:"oldest,omitzero"` // use
}

// Usage tells what each kind takes. What has several names counts once.
func (c *Cache) Usage() ([]Usage, error) {
	t, err := c.scan()
	if err != nil {
		return nil, err
	}
	list := make([]Usage, len(kinds))
	told := map[inode]bool{}
	for i := range kinds {
		u := &list[i]
		u.Kind, u.What = kinds[i].name, kinds[i].what
		for _, e := range t.entries {
			if e.kind != &kinds[i] {
				continue
			}
			u.Entries++
			u.Size += e.bytes
			for id := range e.links {
				if !told[id] {
					u.Size += t.shared[id].bytes
				}
				told[id] = true
			}
			if u.Oldest.IsZero() || e.used.Before(u.Oldest) {
				u.Oldest = e.used
			}
			if inUse(e.path) {
				u.InUse++
			}
		}
	}
	return list, nil
}

// inUse tells whether somebody holds an entry.
func inUse(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(flock(f, syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}
