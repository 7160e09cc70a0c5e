package linux

import (
	"syscall"
	"time"

	"pith/kernel/fs"
)

// A folder of the host's is changed there too, of which 9P has no word. So a watch in such
// a file system looks by itself once in a while, and tells of what it finds changed as if
// it had been told, but for what the program itself did.

const (
	lookPause = time.Second // between looks,
	lookShare = 10          // but at least so many times as long as one takes
	type9P    = 0x01021997  // statfs(2)'s V9FS_MAGIC
)

// glance is what is compared of a file.
type glance struct {
	inode    uint64
	size     int64
	modified syscall.Timespec
	dir      bool
}

// changedOutside tells whether a node lies where others change things unseen.
func changedOutside(node *fs.Node) bool {
	var st syscall.Statfs_t
	return node.Statfs(&st) == 0 && st.Type == type9P
}

// look returns what is in a directory, by name; of another node what itself is, as "".
// Entries that can't be looked at are left out.
func look(node *fs.Node) (map[string]glance, Errno) {
	seen := map[string]glance{}
	if !node.IsDir() {
		return seen, glanceAt(node, "", seen)
	}
	var names []string
	errno := tree.ReadDir(node, 0, func(e fs.Entry) bool {
		if e.Name != "." && e.Name != ".." {
			names = append(names, e.Name)
		}
		return true
	})
	for _, name := range names {
		if child, errno := tree.Lookup(node, name, false); errno == 0 {
			glanceAt(child, name, seen)
		}
	}
	return seen, errno
}

func glanceAt(node *fs.Node, name string, seen map[string]glance) Errno {
	var st syscall.Stat_t
	errno := node.Stat(&st)
	if errno == 0 && st.Nlink == 0 {
		errno = syscall.ENOENT
	}
	if errno == 0 {
		seen[name] = glance{st.Ino, st.Size, st.Mtim, node.IsDir()}
	}
	return errno
}

// Kinds of changes, as events of which each has at least one.
const (
	appeared = syscall.IN_CREATE | syscall.IN_MOVED_TO
	vanished = syscall.IN_DELETE | syscall.IN_MOVED_FROM
	rewrote  = syscall.IN_MODIFY | syscall.IN_CLOSE_WRITE | syscall.IN_ATTRIB | appeared
)

// differences calls f with what changed from one look to the next, as inotify(7) has it.
// own are the events by name that the program itself caused: they are known.
func differences(before, after map[string]glance, own map[string]uint32, f func(name string, mask uint32)) {
	tell := func(name string, known uint32, dir bool, events ...uint32) {
		if own[name]&known != 0 {
			return
		}
		for _, e := range events {
			if dir {
				e |= syscall.IN_ISDIR
			}
			f(name, e)
		}
	}
	for name, was := range before {
		if _, there := after[name]; !there {
			tell(name, vanished, was.dir, syscall.IN_DELETE)
		}
	}
	for name, is := range after {
		was, there := before[name]
		switch {
		case !there && is.dir:
			tell(name, appeared, true, syscall.IN_CREATE)
		case !there:
			tell(name, appeared, false, syscall.IN_CREATE, syscall.IN_MODIFY, syscall.IN_CLOSE_WRITE)
		case was.inode != is.inode: // as an editor does
			tell(name, appeared, is.dir, syscall.IN_MOVED_TO)
		case was != is && !is.dir:
			tell(name, rewrote, false, syscall.IN_MODIFY, syscall.IN_CLOSE_WRITE)
		}
	}
}

// lookOut tells watch w of changes from outside, until it is removed. seen is the first
// look, from when it was made.
func (i *inotify) lookOut(w *inotifyWatch, seen map[string]glance) {
	pause := lookPause
	for {
		time.Sleep(pause)
		own, there := i.takeOwn(w)
		if !there {
			return
		}
		begin := time.Now()
		now, errno := look(w.node)
		pause = max(lookPause, lookShare*time.Since(begin))
		if errno != 0 && errno != syscall.ENOENT {
			continue
		}
		i.found(w, seen, now, own, errno == syscall.ENOENT)
		seen = now
	}
}

// takeOwn returns what the program itself did since it was called last. there says that
// somebody still wants to know.
func (i *inotify) takeOwn(w *inotifyWatch) (own map[string]uint32, there bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	own, w.own = w.own, map[string]uint32{}
	return own, i.watches[w.id] == w
}

// found queues what one look found. What the program did during it may be in it or not,
// and is known either way.
func (i *inotify) found(w *inotifyWatch, before, after map[string]glance, own map[string]uint32, gone bool) {
	i.mu.Lock()
	queued := len(i.ends)
	if i.watches[w.id] == w {
		for name, mask := range w.own {
			own[name] |= mask
		}
		if gone {
			i.pushWanted(w, syscall.IN_DELETE_SELF, "")
			i.drop(w)
		} else {
			differences(before, after, own, func(name string, mask uint32) { i.pushWanted(w, mask, name) })
		}
	}
	more := len(i.ends) > queued
	i.mu.Unlock()
	if more {
		i.watch.notify(readable)
	}
}

// pushWanted queues an event if the watch is for it. The caller holds i.mu.
func (i *inotify) pushWanted(w *inotifyWatch, mask uint32, name string) {
	if mask&w.mask&inAllEvents == 0 || i.watches[w.id] != w {
		return
	}
	i.push(w, mask, 0, name)
	i.dropOneshot(w)
}
