package cache

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// entry is one entry as it was found.
type entry struct {
	kind  *kind
	path  string
	used  time.Time
	stale bool          // can't be of use any more
	bytes int64         // of the files that have one name only
	links map[inode]int // of the others, how many of their names are here
}

// inode is a file, whatever its names are.
type inode struct{ device, number uint64 }

// shared is a file with several names.
type shared struct {
	bytes int64
	names int // in the whole file system
	here  int // of them in the cache
}

// tree is all of a cache.
type tree struct {
	entries []*entry
	shared  map[inode]*shared
}

// scan looks at all entries. What goes away meanwhile is left out.
func (c *Cache) scan() (*tree, error) {
	t := &tree{shared: map[inode]*shared{}}
	for i := range kinds {
		if err := t.scan(&kinds[i], filepath.Join(c.dir, kinds[i].name)); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *tree) scan(k *kind, dir string) error {
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, d := range list {
		info, err := d.Info()
		if err != nil {
			continue
		}
		e := &entry{kind: k, path: filepath.Join(dir, d.Name()), used: info.ModTime(), links: map[inode]int{}}
		if !e.isLeftover() && !k.entry.MatchString(d.Name()) {
			continue
		}
		e.stale = k.name == Builds && sourceGone(e.path)
		t.measure(e)
		t.entries = append(t.entries, e)
	}
	return nil
}

// isLeftover tells what is not an entry yet, or no more.
func (e *entry) isLeftover() bool { return strings.HasPrefix(filepath.Base(e.path), Temporary) }

// measure counts the blocks that an entry's files take.
func (t *tree) measure(e *entry) {
	filepath.WalkDir(e.path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		s, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			e.bytes += info.Size()
			return nil
		}
		taken := int64(s.Blocks) * 512 // stat(2): units of 512 bytes, whatever the file system's are
		if d.IsDir() || s.Nlink == 1 {
			e.bytes += taken
			return nil
		}
		id := inode{uint64(s.Dev), uint64(s.Ino)}
		if t.shared[id] == nil {
			t.shared[id] = &shared{bytes: taken, names: int(s.Nlink)}
		}
		t.shared[id].here++
		e.links[id]++
		return nil
	})
}

// drop takes an entry out of the reckoning. It returns what its removal frees, which
// a file that has another name does not, and by how much the cache is smaller.
func (t *tree) drop(e *entry) (freed, less int64) {
	freed, less = e.bytes, e.bytes
	for id, n := range e.links {
		s := t.shared[id]
		s.names -= n
		s.here -= n
		if s.names == 0 {
			freed += s.bytes
		}
		if s.here == 0 {
			less += s.bytes
		}
	}
	return freed, less
}

// total is what all entries take.
func (t *tree) total() (bytes int64) {
	for _, e := range t.entries {
		bytes += e.bytes
	}
	for _, s := range t.shared {
		bytes += s.bytes
	}
	return bytes
}

// SourceFile is a file in an entry of kind Builds that names the folder of its
// program. When that is gone, so is the use of the entry.
const SourceFile = "source"

func sourceGone(path string) bool {
	source, err := os.ReadFile(filepath.Join(path, SourceFile))
	if err != nil {
		return false
	}
	_, err = os.Stat(string(source))
	return errors.Is(err, fs.ErrNotExist)
}
