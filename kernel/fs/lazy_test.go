package fs

import (
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// lazyTree is a tree with a lazy directory /d of an entry a/b, and counts how
// often it was filled.
func lazyTree(t *testing.T) (*Tree, *atomic.Int32) {
	t.Helper()
	tree, fills := New(0), new(atomic.Int32)
	d := tree.NewLazy(0o755, func(add func(string, *Node)) {
		fills.Add(1)
		add("a", tree.NewLazy(0o555, func(add func(string, *Node)) { add("b", tree.NewLink("c")) }))
	})
	if errno := tree.Make(tree.Root(), "/d", d); errno != 0 {
		t.Fatal(errno)
	}
	return tree, fills
}

func TestLazyIsFilledOnce(t *testing.T) {
	tree, fills := lazyTree(t)
	if errno := tree.Mkdir(tree.Root(), "/e", 0o755); errno != 0 || fills.Load() != 0 {
		t.Fatalf("a neighbour: %v, filled %d times", errno, fills.Load())
	}
	var done sync.WaitGroup
	for range 8 {
		done.Go(func() {
			if n, errno := tree.Lookup(tree.Root(), "/d/a/b", false); errno != 0 || !n.IsLink() {
				t.Errorf("b: %v", errno)
			}
		})
	}
	done.Wait()
	if fills.Load() != 1 {
		t.Errorf("filled %d times", fills.Load())
	}
}

func TestLazyIsADirectoryLikeAnyOther(t *testing.T) {
	tree, _ := lazyTree(t)
	root := tree.Root()
	if errno := tree.Rmdir(root, "/d"); errno != syscall.ENOTEMPTY {
		t.Errorf("rmdir of an unfilled directory: %v", errno)
	}
	if errno := tree.Mkdir(root, "/e", 0o755); errno != 0 {
		t.Fatal(errno)
	}
	if errno := tree.Rename(root, "/e", root, "/d/a", 0); errno != syscall.ENOTEMPTY {
		t.Errorf("rename over an unfilled directory: %v", errno)
	}
	if errno := tree.Mkdir(root, "/d/f", 0o755); errno != 0 {
		t.Errorf("mkdir in it: %v", errno)
	}
	dir, _ := tree.Lookup(root, "/d", true)
	var names []string
	tree.ReadDir(dir, 0, func(e Entry) bool { names = append(names, e.Name); return true })
	if !slices.Equal(names, []string{".", "..", "a", "f"}) {
		t.Errorf("its names are %q", names)
	}
	var st syscall.Stat_t
	if dir.Stat(&st); st.Nlink != 4 {
		t.Errorf("it has %d links", st.Nlink)
	}
	if path, errno := tree.Path(dir); path != "/d" || errno != 0 {
		t.Errorf("its path is %q, %v", path, errno)
	}
}

func TestAttachedIsFixed(t *testing.T) {
	tree := New(0)
	tree.Mkdir(tree.Root(), "/proc", 0o755)
	m, errno := tree.Attach("/proc", "proc", 0x9fa0)
	if errno != 0 {
		t.Fatal(errno)
	}
	m.Fill(func(add func(string, *Node)) {
		add("version", m.NewFile(0o444, func() []byte { return []byte("1") }))
	})
	n, errno := tree.Lookup(tree.Root(), "/proc/version", true)
	if errno != 0 {
		t.Fatal(errno)
	}
	if text, ok := n.Generated(); !ok || string(text) != "1" {
		t.Errorf("version is %q", text)
	}
	if errno := tree.Mkdir(tree.Root(), "/proc/x", 0o755); errno != syscall.ENOENT {
		t.Errorf("mkdir in it: %v", errno)
	}
}
