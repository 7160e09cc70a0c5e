package linux

import (
	"strconv"
	"syscall"

	"pith/kernel/fs"
)

// fdDirectory is /proc/self/fd: a link for each descriptor.
type fdDirectory struct{ t *fs.Tree }

func (fdDirectory) List() (names []string) {
	fds.each(0, maxDescriptors, func(fd uintptr) { names = append(names, strconv.Itoa(int(fd))) })
	return names
}

func (d fdDirectory) Lookup(name string) *fs.Node {
	f := named(name)
	if f == nil {
		return nil
	}
	return d.t.NewJump(func() string { return f.describe() }, func() *fs.Node { return f.node() })
}

// named returns the open file behind a descriptor written in decimal, or nil.
func named(name string) *file {
	fd, err := strconv.ParseUint(name, 10, 31)
	if err != nil {
		return nil
	}
	f, _ := open(uintptr(fd))
	return f
}

// node returns what a link to the file leads to.
func (f *file) node() *fs.Node {
	switch o := f.object.(type) {
	case placed:
		return o.place()
	case *pipeEnd:
		if o.node != nil {
			return o.node
		}
		node := tree.NewNode(syscall.S_IFIFO|0o600, 0)
		node.Extra.Store(o.pipe)
		return node
	case sock:
		return tree.NewNode(syscall.S_IFSOCK|0o777, 0)
	}
	return nil
}

// describe returns the text of a link to the file. The tree must not be locked.
func (f *file) describe() string {
	var st syscall.Stat_t
	switch o := f.object.(type) {
	case *regular:
		return o.pathName()
	case *console:
		return "/dev/console"
	case *memoryDevice:
		return "/dev/" + deviceName(o.node.Rdev())
	case placed:
		if node := o.place(); node.IsDir() {
			return pathOf(node)
		}
		return "/"
	case *pipeEnd:
		f.stat(&st)
		return "pipe:[" + strconv.FormatUint(st.Ino, 10) + "]"
	case sock:
		f.stat(&st)
		return "socket:[" + strconv.FormatUint(st.Ino, 10) + "]"
	case *eventfd:
		return "anon_inode:[eventfd]"
	case *epoll:
		return "anon_inode:[eventpoll]"
	case *timerfd:
		return "anon_inode:[timerfd]"
	}
	return "anon_inode:[pith]"
}

// pathName returns the path by which a file was opened.
func (r *regular) pathName() string {
	if r.dir == nil {
		return "/" + r.name + " (deleted)"
	}
	path := pathOf(r.dir)
	if path != "/" {
		path += "/"
	}
	path += r.name
	if r.node.Links() == 0 {
		path += " (deleted)"
	}
	return path
}

// infoDirectory is /proc/self/fdinfo.
type infoDirectory struct{ fdDirectory }

func (d infoDirectory) Lookup(name string) *fs.Node {
	f := named(name)
	if f == nil {
		return nil
	}
	return d.t.NewFile(0o400, func() []byte {
		var p prose
		pos := int64(0)
		if o, ok := f.object.(positional); ok {
			pos, _ = o.seek(0, seekCur)
		}
		p.add("pos:\t").number(uint64(pos)).add("\nflags:\t0")
		p = strconv.AppendUint(p, uint64(f.flags.Load()), 8)
		return *p.add("\nmnt_id:\t1\n")
	})
}
