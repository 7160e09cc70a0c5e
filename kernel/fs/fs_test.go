package fs

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func want(t testing.TB, errno, expected Errno) {
	t.Helper()
	if errno != expected {
		t.Fatalf("got %v, want %v", errno, expected)
	}
}

func node(t testing.TB, tree *Tree, path string) *Node {
	t.Helper()
	n, errno := tree.Lookup(tree.Root(), path, true)
	want(t, errno, 0)
	return n
}

func contents(n *Node) string {
	p := make([]byte, n.Size()+10)
	done, _ := n.ReadAt(p, 0)
	return string(p[:done])
}

func TestPacked(t *testing.T) {
	tree := New(0)
	data := bytes.Repeat([]byte("0123456789abcdef"), 1000) // 16,000 bytes
	original := bytes.Clone(data)
	for _, p := range []Packed{
		{Path: "/a/b/file", Mode: 0o640, Data: data},
		{Path: "/a/link", Mode: syscall.S_IFLNK | 0o777, Data: []byte("b/file")},
		{Path: "/a/empty", Mode: syscall.S_IFDIR | 0o700},
	} {
		want(t, tree.Pack(p), 0)
	}
	n := node(t, tree, "/a/link")
	if contents(n) != string(original) || n.Mode() != syscall.S_IFREG|0o640 {
		t.Fatalf("%d bytes, mode %o", n.Size(), n.Mode())
	}
	if node(t, tree, "/a/empty").Mode() != syscall.S_IFDIR|0o700 {
		t.Error("a packed directory has another mode")
	}
	if _, used := tree.Usage(); used != 0 {
		t.Errorf("packed data takes %d bytes", used)
	}
	n.View(5, 100, func(p []byte) {
		if &p[0] != &data[5] || len(p) != 100 {
			t.Error("packed data is copied")
		}
	})
	// Changes go to a copy.
	_, _, errno := n.WriteAt([]byte("XYZ"), 5000, false)
	want(t, errno, 0)
	changed := string(original[:5000]) + "XYZ" + string(original[5003:])
	if contents(n) != changed || !bytes.Equal(data, original) {
		t.Error("a write went wrong, or to the image")
	}
	want(t, n.Truncate(10000), 0)
	want(t, n.Truncate(12000), 0)
	if contents(n) != changed[:10000]+strings.Repeat("\x00", 2000) {
		t.Error("what was cut off comes back")
	}
	// The same path again replaces what is there.
	want(t, tree.Pack(Packed{Path: "/a/b/file", Data: []byte("new")}), 0)
	if got := contents(node(t, tree, "/a/link")); got != "new" {
		t.Errorf("%q", got)
	}
}

func TestLimit(t *testing.T) {
	tree := New(10 * pageSize)
	o, errno := tree.Open(tree.Root(), "/f", syscall.O_CREAT|syscall.O_RDWR, 0o600)
	want(t, errno, 0)
	n, _, errno := o.Node.WriteAt(make([]byte, 20*pageSize), 0, false)
	if errno != 0 || n != 10*pageSize {
		t.Errorf("%d bytes, %v", n, errno)
	}
	_, _, errno = o.Node.WriteAt([]byte("x"), 10*pageSize, false)
	want(t, errno, syscall.ENOSPC)
	want(t, o.Node.Truncate(pageSize), 0)
	_, _, errno = o.Node.WriteAt([]byte("x"), 10*pageSize, false)
	want(t, errno, 0)
	want(t, o.Node.Allocate(0, 0, 20*pageSize), syscall.ENOSPC)
	o.Node.Acquire()
	want(t, tree.Unlink(tree.Root(), "/f"), 0)
	if _, used := tree.Usage(); used == 0 {
		t.Error("an open file lost its data")
	}
	o.Node.Release()
	if limit, used := tree.Usage(); used != 0 || limit != 10*pageSize {
		t.Errorf("%d of %d bytes used", used, limit)
	}
}

// TestHoles looks at a sparse file of the largest size in no time.
func TestHoles(t *testing.T) {
	tree := New(0)
	n := tree.NewUnnamed(0o600)
	want(t, n.Truncate(maxSize), 0)
	want(t, n.Truncate(maxSize+1), syscall.EFBIG)
	const far = maxSize - 3*pageSize
	_, _, errno := n.WriteAt([]byte("data"), far, false)
	want(t, errno, 0)
	for _, c := range []struct {
		from, want int64
		hole       bool
	}{{0, far, false}, {0, 0, true}, {far, far + pageSize, true}, {far, far, false}} {
		if got, errno := n.Next(c.from, c.hole); errno != 0 || got != c.want {
			t.Errorf("from %d, hole %v: %d, %v", c.from, c.hole, got, errno)
		}
	}
	_, errno = n.Next(far+pageSize, false)
	want(t, errno, syscall.ENXIO)
	want(t, n.Allocate(punchHole|keepSize, 0, maxSize), 0)
	p := make([]byte, 4)
	if n.ReadAt(p, far); string(p) != "\x00\x00\x00\x00" || n.Size() != maxSize {
		t.Errorf("%q, %d bytes", p, n.Size())
	}
	if _, used := tree.Usage(); used != 0 {
		t.Errorf("%d bytes are left", used)
	}
}

// ignore is a mapping that doesn't mind a file's size.
func ignore(int64) {}

func TestShare(t *testing.T) {
	n := New(0).NewUnnamed(0o600)
	n.WriteAt([]byte("before"), 5000, false)
	memory := make([]byte, 16384)
	want(t, n.Share(memory[:100], ignore), syscall.ENOMEM)
	sizes := []int64{}
	want(t, n.Share(memory, func(size int64) { sizes = append(sizes, size) }), 0)
	if string(memory[5000:5006]) != "before" {
		t.Error("the memory lacks the contents")
	}
	memory[0] = 'm'
	n.WriteAt([]byte("w"), 1, false)
	if got := contents(n); got[:2] != "mw" || memory[1] != 'w' || len(got) != 5006 {
		t.Errorf("%q", got[:2])
	}
	want(t, n.Truncate(1), 0)
	if memory[1] != 0 || memory[4095] != 0 {
		t.Error("what was cut off in the last page is still in memory")
	}
	memory[2] = 'x'
	want(t, n.Truncate(10), 0)
	if got := contents(n); got[2] != 0 {
		t.Error("what was written behind the end came into the file")
	}
	if want := []int64{5006, 1, 10}; !slices.Equal(sizes, want) {
		t.Errorf("the owner of the memory was told of sizes %v, want %v", sizes, want)
	}
	want(t, n.Truncate(16385), syscall.ENOSPC)
}

// numbers is a Directory.
type numbers struct{ tree *Tree }

func (d numbers) List() []string { return []string{"1", "2", "gone"} }

func (d numbers) Lookup(name string) *Node {
	if name == "1" || name == "2" {
		return d.tree.NewFile(0o444, func() []byte { return []byte("number " + name) })
	}
	return nil
}

func TestGenerated(t *testing.T) {
	tree := New(0)
	want(t, tree.Make(tree.Root(), "/n", tree.NewDirectory(numbers{tree})), 0)
	n := node(t, tree, "/n/2")
	if text, ok := n.Generated(); !ok || string(text) != "number 2" {
		t.Errorf("%q", text)
	}
	_, _, errno := n.WriteAt([]byte("x"), 0, false)
	want(t, errno, syscall.EACCES)
	_, errno = tree.Open(tree.Root(), "/n/2", syscall.O_WRONLY, 0)
	want(t, errno, syscall.EACCES)
	_, errno = tree.Open(tree.Root(), "/n/3", syscall.O_CREAT|syscall.O_RDWR, 0)
	want(t, errno, syscall.EPERM)
	want(t, tree.Unlink(tree.Root(), "/n/1"), syscall.EPERM)
	want(t, tree.Rmdir(tree.Root(), "/n"), syscall.ENOTEMPTY)
	var names []string
	tree.ReadDir(node(t, tree, "/n"), 0, func(e Entry) bool { names = append(names, e.Name); return true })
	if strings.Join(names, " ") != ". .. 1 2" {
		t.Errorf("%q", names)
	}
	target := node(t, tree, "/")
	want(t, tree.Make(tree.Root(), "/jump", tree.NewJump(func() string { return "text" }, func() *Node { return target })), 0)
	if node(t, tree, "/jump/n") != node(t, tree, "/n") {
		t.Error("a magic link leads elsewhere")
	}
	link, errno := tree.Lookup(tree.Root(), "/jump", false)
	want(t, errno, 0)
	if text, _ := link.Readlink(); text != "text" {
		t.Errorf("%q", text)
	}
}

// TestEmptyLink: a link's text may come from a damaged disk.
func TestEmptyLink(t *testing.T) {
	tree := New(0)
	if errno := tree.Make(tree.Root(), "/link", tree.NewLink("")); errno != 0 {
		t.Fatal(errno)
	}
	for _, path := range []string{"/link", "/link/x"} {
		if _, errno := tree.Lookup(tree.Root(), path, true); errno != syscall.ENOENT {
			t.Errorf("%s: %v", path, errno)
		}
	}
}

func TestLinkLoops(t *testing.T) {
	tree := New(0)
	want(t, tree.Symlink("b", tree.Root(), "/a"), 0)
	want(t, tree.Symlink("a", tree.Root(), "/b"), 0)
	_, errno := tree.Lookup(tree.Root(), "/a", true)
	want(t, errno, syscall.ELOOP)
	_, errno = tree.Open(tree.Root(), "/a", syscall.O_CREAT|syscall.O_RDWR, 0o600)
	want(t, errno, syscall.ELOOP)
	_, errno = tree.Lookup(tree.Root(), strings.Repeat("x", pathMax+1), true)
	want(t, errno, syscall.ENAMETOOLONG)
}

// TestConcurrently has several goroutines change one directory, and counts.
func TestConcurrently(t *testing.T) {
	tree := New(0)
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			name, other := string(rune('a'+g)), string(rune('a'+(g+1)%8))
			for range 200 {
				o, errno := tree.Open(tree.Root(), name, syscall.O_CREAT|syscall.O_RDWR, 0o600)
				if errno == 0 {
					o.Node.Acquire()
					o.Node.WriteAt([]byte(name), 0, true)
					o.Node.Release()
				}
				tree.Rename(tree.Root(), name, tree.Root(), other, 0)
				tree.ReadDir(tree.Root(), 0, func(Entry) bool { return true })
				tree.Unlink(tree.Root(), other)
				tree.Mkdir(tree.Root(), name, 0o700)
				tree.Rmdir(tree.Root(), name)
			}
		})
	}
	all.Wait()
	for g := range 8 {
		tree.Unlink(tree.Root(), string(rune('a'+g)))
		tree.Rmdir(tree.Root(), string(rune('a'+g)))
	}
	if links := tree.Root().Links(); links != 2 {
		t.Errorf("the root has %d links", links)
	}
	if _, used := tree.Usage(); used != 0 {
		t.Errorf("%d bytes are left", used)
	}
}

// FuzzOperations runs the host comparison's operations from the fuzzer's bytes
// and checks what must hold for any tree.
func FuzzOperations(f *testing.F) {
	f.Add([]byte("mkdir a\nsymlink a b\nrename b c\n"))
	f.Fuzz(func(t *testing.T, script []byte) {
		tree := New(100 * pageSize)
		for _, line := range strings.Split(string(script), "\n") {
			words := append(strings.Split(line, " "), "", "")
			if strings.Contains(line, "\x00") {
				continue
			}
			a, b := words[1], words[2]
			switch words[0] {
			case "mkdir":
				tree.Mkdir(tree.Root(), a, 0o755)
			case "rmdir":
				tree.Rmdir(tree.Root(), a)
			case "unlink":
				tree.Unlink(tree.Root(), a)
			case "symlink":
				tree.Symlink(a, tree.Root(), b)
			case "rename":
				tree.Rename(tree.Root(), a, tree.Root(), b, 0)
			case "exchange":
				tree.Rename(tree.Root(), a, tree.Root(), b, RenameExchange)
			default:
				if o, errno := tree.Open(tree.Root(), a, syscall.O_CREAT|syscall.O_RDWR, 0o600); errno == 0 {
					o.Node.WriteAt([]byte(b), int64(len(a)), false)
				}
			}
		}
		checkDirectory(t, tree, tree.Root(), 0)
	})
}

// checkDirectory checks counts of links and parents.
func checkDirectory(t *testing.T, tree *Tree, dir *Node, depth int) {
	if depth > 1000 {
		t.Fatal("a directory contains itself")
	}
	links := uint32(2)
	for _, e := range dir.listing {
		if dir.children[e.name] != e {
			t.Errorf("%q is listed but not found", e.name)
		}
		if e.node.IsDir() {
			links++
			if e.node.parent != dir {
				t.Errorf("%q has another parent", e.name)
			}
			checkDirectory(t, tree, e.node, depth+1)
		}
	}
	if dir.links != links || len(dir.children) != len(dir.listing) {
		t.Errorf("%d links, want %d; %d names, %d listed", dir.links, links, len(dir.children), len(dir.listing))
	}
}

// TestUntouched: a file of the image is untouched until it is written to or cut,
// whatever else is done with it; a file that the program made never is.
func TestUntouched(t *testing.T) {
	tree := New(0)
	for _, c := range []struct {
		name   string
		change func(n *Node) Errno
		want   bool
	}{
		{"read", func(n *Node) Errno { _, errno := n.ReadAt(make([]byte, 4), 0); return errno }, true},
		{"mode", func(n *Node) Errno { return n.Chmod(0o600) }, true},
		{"written", func(n *Node) Errno { _, _, errno := n.WriteAt([]byte("x"), 0, false); return errno }, false},
		{"cut", func(n *Node) Errno { return n.Truncate(2) }, false},
		{"emptied", func(n *Node) Errno { return n.Truncate(0) }, false},
		{"longer", func(n *Node) Errno { return n.Truncate(100) }, false},
	} {
		want(t, tree.Pack(Packed{Path: "/" + c.name, Data: []byte("text")}), 0)
		n := node(t, tree, "/"+c.name)
		if !n.Untouched() {
			t.Errorf("%s: touched from the start", c.name)
		}
		want(t, c.change(n), 0)
		if got := n.Untouched(); got != c.want {
			t.Errorf("%s: untouched is %t", c.name, got)
		}
	}
	want(t, tree.Pack(Packed{Path: "/empty", Data: []byte{}}), 0)
	if !node(t, tree, "/empty").Untouched() {
		t.Error("an empty file is touched from the start")
	}
	want(t, tree.Make(tree.Root(), "/made", tree.NewNode(syscall.S_IFREG|0o600, 0)), 0)
	if node(t, tree, "/made").Untouched() {
		t.Error("a file that isn't of the image is untouched")
	}
}
