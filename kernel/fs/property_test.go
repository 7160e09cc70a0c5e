package fs

import (
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// host does operations on the host's real file system, relative to a
// directory descriptor.
type host struct{ dir int }

func at(trap uintptr, args ...uintptr) Errno {
	var a [6]uintptr
	copy(a[:], args)
	_, _, errno := syscall.Syscall6(trap, a[0], a[1], a[2], a[3], a[4], a[5])
	return errno
}

func cstring(s string) uintptr {
	p, _ := syscall.BytePtrFromString(s)
	keep = append(keep, p)
	return uintptr(unsafe.Pointer(p))
}

var keep []*byte // heap memory doesn't move: the addresses stay good

func (h host) fd() uintptr { return uintptr(h.dir) }

func (h host) do(o operation) (string, Errno) {
	switch o.kind {
	case "mkdir":
		return "", at(syscall.SYS_MKDIRAT, h.fd(), cstring(o.a), uintptr(o.mode))
	case "rmdir":
		return "", at(syscall.SYS_UNLINKAT, h.fd(), cstring(o.a), 0x200)
	case "unlink":
		return "", at(syscall.SYS_UNLINKAT, h.fd(), cstring(o.a), 0)
	case "symlink":
		return "", at(syscall.SYS_SYMLINKAT, cstring(o.b), h.fd(), cstring(o.a))
	case "link":
		return "", at(syscall.SYS_LINKAT, h.fd(), cstring(o.a), h.fd(), cstring(o.b), uintptr(o.flags))
	case "rename":
		return "", at(316, h.fd(), cstring(o.a), h.fd(), cstring(o.b), uintptr(o.flags))
	case "chmod":
		return "", at(syscall.SYS_FCHMODAT, h.fd(), cstring(o.a), uintptr(o.mode))
	case "stat", "lstat":
		return h.stat(o)
	case "readlink":
		buf := make([]byte, 5000)
		n, _, errno := syscall.Syscall6(syscall.SYS_READLINKAT, h.fd(), cstring(o.a), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0)
		if errno != 0 {
			return "", errno
		}
		return string(buf[:n]), 0
	}
	return h.open(o)
}

func (h host) stat(o operation) (string, Errno) {
	flags := uintptr(0)
	if o.kind == "lstat" {
		flags = 0x100
	}
	var st syscall.Stat_t
	_, _, errno := syscall.Syscall6(syscall.SYS_NEWFSTATAT, h.fd(), cstring(o.a), uintptr(unsafe.Pointer(&st)), flags, 0, 0)
	return describe(&st, errno), errno
}

func describe(st *syscall.Stat_t, errno Errno) string {
	if errno != 0 {
		return ""
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFREG && st.Mode&syscall.S_IFMT != syscall.S_IFLNK {
		st.Size = 0 // a directory's size is the file system's own business
	}
	return fmt.Sprintf("%o %d %d", st.Mode, st.Nlink, st.Size)
}

func (h host) open(o operation) (string, Errno) {
	fd, _, errno := syscall.Syscall6(syscall.SYS_OPENAT, h.fd(), cstring(o.a), uintptr(o.flags), uintptr(o.mode), 0, 0)
	if errno != 0 {
		return "", errno
	}
	defer syscall.Close(int(fd))
	return h.use(int(fd), o)
}

func (h host) use(fd int, o operation) (string, Errno) {
	switch o.kind {
	case "write":
		n, err := syscall.Pwrite(fd, []byte(o.b), o.off)
		return fmt.Sprint(n), number(err)
	case "read":
		buf := make([]byte, 9000)
		n, err := syscall.Pread(fd, buf, o.off)
		if err != nil {
			return "", number(err)
		}
		return string(buf[:n]), 0
	case "truncate":
		return "", number(syscall.Ftruncate(fd, o.off))
	case "allocate":
		return "", number(syscall.Fallocate(fd, o.alloc, o.off, o.size))
	}
	return "", 0
}

func number(err error) Errno {
	if err == nil {
		return 0
	}
	return err.(Errno)
}

// ours does the same on a Tree.
type ours struct {
	t   *Tree
	dir *Node
}

func (u ours) do(o operation) (string, Errno) {
	switch o.kind {
	case "mkdir":
		return "", u.t.Mkdir(u.dir, o.a, o.mode)
	case "rmdir":
		return "", u.t.Rmdir(u.dir, o.a)
	case "unlink":
		return "", u.t.Unlink(u.dir, o.a)
	case "symlink":
		return "", u.t.Symlink(o.b, u.dir, o.a)
	case "link":
		return "", u.link(o)
	case "rename":
		return "", u.t.Rename(u.dir, o.a, u.dir, o.b, uint(o.flags))
	case "chmod":
		n, errno := u.t.Lookup(u.dir, o.a, true)
		if errno == 0 {
			n.Chmod(o.mode)
		}
		return "", errno
	case "stat", "lstat":
		n, errno := u.t.Lookup(u.dir, o.a, o.kind == "stat")
		if errno != 0 {
			return "", errno
		}
		var st syscall.Stat_t
		n.Stat(&st)
		return describe(&st, 0), 0
	case "readlink":
		n, errno := u.t.Lookup(u.dir, o.a, false)
		if errno != 0 {
			return "", errno
		}
		return n.Readlink()
	}
	return u.open(o)
}

func (u ours) link(o operation) Errno {
	n, errno := u.t.Lookup(u.dir, o.a, o.flags != 0)
	if errno != 0 {
		return errno
	}
	return u.t.Link(n, u.dir, o.b, false)
}

func (u ours) open(o operation) (string, Errno) {
	f, errno := u.t.Open(u.dir, o.a, o.flags, o.mode)
	if errno != 0 {
		return "", errno
	}
	switch n := f.Node; o.kind {
	case "write":
		done, _, errno := n.WriteAt([]byte(o.b), o.off, false)
		return fmt.Sprint(done), errno
	case "read":
		if n.IsDir() {
			return "", syscall.EISDIR
		}
		buf := make([]byte, 9000)
		done, errno := n.ReadAt(buf, o.off)
		return string(buf[:done]), errno
	case "truncate":
		return "", n.Truncate(o.off)
	case "allocate":
		return "", n.Allocate(o.alloc, o.off, o.size)
	}
	return "", 0
}

// operation is one step of a random sequence.
type operation struct {
	kind, a, b string
	flags      int
	mode       uint32
	off, size  int64
	alloc      uint32
}

// gen makes random operations.
type gen struct{ *rand.Rand }

func (g gen) name() string {
	names := []string{"a", "b", "c", "d", "e", "l", "m"}
	if g.Intn(60) == 0 {
		return strings.Repeat("n", 255+g.Intn(2))
	}
	return names[g.Intn(len(names))]
}

// path makes a path of up to three names; up allows "..".
func (g gen) path(up bool) string {
	var parts []string
	for range 1 + g.Intn(3) {
		switch r := g.Intn(12); {
		case r == 0:
			parts = append(parts, ".")
		case r == 1 && up:
			parts = append(parts, "..")
		default:
			parts = append(parts, g.name())
		}
	}
	p := strings.Join(parts, []string{"/", "/", "/", "//"}[g.Intn(4)])
	if g.Intn(8) == 0 {
		p += "/"
	}
	if g.Intn(100) == 0 {
		return ""
	}
	return p
}

func (g gen) next() operation {
	kinds := []string{
		"mkdir", "mkdir", "mkdir", "rmdir", "unlink", "symlink", "symlink", "link", "rename", "rename", "chmod",
		"stat", "lstat", "readlink", "write", "write", "write", "read", "read", "truncate", "allocate", "open",
	}
	o := operation{kind: kinds[g.Intn(len(kinds))], a: g.path(true), mode: uint32(g.Intn(0o1000)), off: g.offset()}
	switch o.kind {
	case "symlink", "link":
		o.b = g.path(false)
		if o.kind == "link" && g.Intn(2) == 0 {
			o.flags = 0x400
		}
	case "rename":
		o.a, o.b = g.path(false), g.path(false)
		o.flags = []int{0, 0, 0, RenameNoReplace, RenameExchange, 3}[g.Intn(6)]
	case "write":
		o.b = strings.Repeat(string(rune('A'+g.Intn(26))), 1+g.Intn(5000))
		o.flags = syscall.O_RDWR | g.openFlags()
	case "truncate", "allocate":
		o.flags = syscall.O_RDWR
		o.size = g.offset()
		o.alloc = []uint32{0, 0, keepSize, punchHole | keepSize}[g.Intn(4)]
	case "open":
		o.flags = g.Intn(3) | g.openFlags()
	}
	return o
}

func (g gen) offset() int64 {
	return []int64{0, 0, 1, 100, 4095, 4096, 4097, 8192, 10000}[g.Intn(9)]
}

func (g gen) openFlags() int {
	flags := 0
	for _, f := range []int{syscall.O_CREAT, syscall.O_CREAT, syscall.O_EXCL, syscall.O_TRUNC, syscall.O_NOFOLLOW, syscall.O_DIRECTORY} {
		if g.Intn(3) == 0 {
			flags |= f
		}
	}
	if flags&syscall.O_CREAT != 0 {
		flags &^= syscall.O_DIRECTORY // kernels disagree about the two together
	} else {
		flags &^= syscall.O_EXCL // means nothing without O_CREAT
	}
	return flags
}

// TestSameAsHost does random sequences of operations on the host's own tmpfs
// (or what else its temporary files are on) and on a Tree, and wants the same
// error numbers, results and final trees.
func TestSameAsHost(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the tree behaves as it does for user 0: run this as root")
	}
	defer syscall.Umask(syscall.Umask(0))
	for seed := range int64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { compare(t, seed, false) })
	}
}

// TestMountedSameAsHost does the same in a mounted file system.
func TestMountedSameAsHost(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the tree behaves as it does for user 0: run this as root")
	}
	defer syscall.Umask(syscall.Umask(0))
	for seed := range int64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { compare(t, 1000+seed, true) })
	}
}

func compare(t *testing.T, seed int64, mounted bool) {
	top := shmDir(t)
	base := filepath.Join(top, "x/y/z/w")
	if err := os.MkdirAll(base, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(base, "keep"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Open(base, syscall.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)

	tree := New(0)
	if mounted {
		tree.MakeParents("/x/y/")
		if errno := tree.Mount("/x/y", newMirror()); errno != 0 {
			t.Fatal(errno)
		}
	}
	if errno := tree.Pack(Packed{Path: "/x/y/z/w/keep", Mode: 0o644}); errno != 0 {
		t.Fatal(errno)
	}
	dir, _ := tree.Lookup(tree.Root(), "/x/y/z/w", true)
	h, u, g := host{fd}, ours{tree, dir}, gen{rand.New(rand.NewSource(seed))}
	for i := range 1500 {
		o := g.next()
		want, wantErr := h.do(o)
		got, gotErr := u.do(o)
		if wantErr != gotErr || want != got {
			t.Fatalf("step %d: %s %.30q %.30q flags %#x mode %#o off %d size %d alloc %d\nhost: %q %v\nours: %q %v\n%s",
				i, o.kind, o.a, o.b, o.flags, o.mode, o.off, o.size, o.alloc,
				short(want), wantErr, short(got), gotErr, strings.Join(hostTree(t, top), "\n"))
		}
	}
	want, got := hostTree(t, top), ourTree(t, tree, tree.Root(), "")
	if a, b := strings.Join(want, "\n"), strings.Join(got, "\n"); a != b {
		t.Fatalf("trees differ\nhost:\n%s\nours:\n%s", a, b)
	}
}

func short(s string) string { return s[:min(len(s), 80)] }

func shmDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "pithfs")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func hostTree(t *testing.T, top string) []string {
	var lines []string
	err := filepath.WalkDir(top, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st syscall.Stat_t
		if err := syscall.Lstat(path, &st); err != nil || path == top {
			return err
		}
		lines = append(lines, strings.TrimPrefix(path, top)+" "+describe(&st, 0))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(lines)
	return lines
}

func ourTree(t *testing.T, tree *Tree, dir *Node, path string) []string {
	var lines []string
	var names []string
	if errno := tree.ReadDir(dir, 2, func(e Entry) bool { names = append(names, e.Name); return true }); errno != 0 {
		t.Fatal(errno)
	}
	for _, name := range names {
		n, errno := tree.Lookup(dir, name, false)
		if errno != 0 {
			t.Fatal(errno)
		}
		var st syscall.Stat_t
		n.Stat(&st)
		lines = append(lines, path+"/"+name+" "+describe(&st, 0))
		if n.IsDir() {
			lines = append(lines, ourTree(t, tree, n, path+"/"+name)...)
		}
	}
	sort.Strings(lines)
	return lines
}
