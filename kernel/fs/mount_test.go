package fs

import (
	"runtime"
	"syscall"
	"testing"
	"time"
)

// mountedTree is a tree with /mnt mounted.
func mountedTree(t *testing.T, m *mirror) *Tree {
	t.Helper()
	tree := New(0)
	want(t, tree.Mkdir(tree.Root(), "/mnt", 0o755), 0)
	want(t, tree.Pack(Packed{Path: "/mnt/hidden", Data: []byte("below")}), 0)
	want(t, tree.Mount("/mnt", m), 0)
	return tree
}

func write(t *testing.T, tree *Tree, path, text string) *Node {
	t.Helper()
	o, errno := tree.Open(tree.Root(), path, syscall.O_CREAT|syscall.O_RDWR, 0o644)
	want(t, errno, 0)
	_, _, errno = o.Node.WriteAt([]byte(text), 0, false)
	want(t, errno, 0)
	return o.Node
}

func TestMountCrossing(t *testing.T) {
	m := newMirror()
	tree := mountedTree(t, m)
	root := tree.Root()
	_, errno := tree.Lookup(root, "/mnt/hidden", true)
	want(t, errno, syscall.ENOENT)

	file := write(t, tree, "/mnt/file", "text")
	if !file.Mounted() || node(t, tree, "/mnt/../mnt/./file") != file || contents(file) != "text" {
		t.Error("a path across the mount leads elsewhere")
	}
	var st syscall.Stat_t
	want(t, file.Stat(&st), 0)
	if st.Dev == Device {
		t.Error("the mounted file system has the tree's device number")
	}
	want(t, tree.Mkdir(root, "/mnt/dir", 0o755), 0)
	dir := node(t, tree, "/mnt/dir")
	if path, errno := tree.Path(dir); path != "/mnt/dir" || errno != 0 {
		t.Errorf("path %q %v", path, errno)
	}
	if node(t, tree, "/mnt/dir/../..") != root || node(t, tree, "/mnt/..") != root {
		t.Error("'..' does not lead out of the mount")
	}
	want(t, tree.Symlink("/mnt/file", root, "/link"), 0)
	want(t, tree.Symlink("../link", root, "/mnt/back"), 0)
	if node(t, tree, "/mnt/back") != file {
		t.Error("links across the mount lead elsewhere")
	}
	if n, errno := tree.Lookup(dir, "../file", true); n != file || errno != 0 {
		t.Errorf("a relative path leads to %v %v", n, errno)
	}
}

func TestMountBorders(t *testing.T) {
	tree := mountedTree(t, newMirror())
	root := tree.Root()
	write(t, tree, "/mnt/file", "")
	write(t, tree, "/plain", "")
	want(t, tree.Rename(root, "/mnt/file", root, "/file", 0), syscall.EXDEV)
	want(t, tree.Rename(root, "/plain", root, "/mnt/plain", 0), syscall.EXDEV)
	want(t, tree.Rename(root, "/mnt", root, "/other", 0), syscall.EBUSY)
	want(t, tree.Rename(root, "/plain", root, "/mnt", 0), syscall.EBUSY)
	want(t, tree.Rmdir(root, "/mnt"), syscall.EBUSY)
	want(t, tree.Link(node(t, tree, "/plain"), root, "/mnt/plain", false), syscall.EXDEV)
	want(t, tree.Unlink(root, "/mnt"), syscall.EISDIR)
	want(t, tree.Rename(root, "/mnt/file", root, "/mnt/moved", 0), 0)
}

func TestMountReadOnly(t *testing.T) {
	m := newMirror()
	want(t, m.tree.Pack(Packed{Path: "/file", Data: []byte("text")}), 0)
	m.readOnly = true
	tree := mountedTree(t, m)
	root := tree.Root()
	file := node(t, tree, "/mnt/file")
	_, errno := tree.Open(root, "/mnt/file", syscall.O_RDWR, 0)
	want(t, errno, syscall.EROFS)
	_, errno = tree.Open(root, "/mnt/new", syscall.O_CREAT|syscall.O_RDWR, 0o644)
	want(t, errno, syscall.EROFS)
	want(t, tree.Mkdir(root, "/mnt/dir", 0o755), syscall.EROFS)
	want(t, tree.Mkdir(root, "/mnt/file", 0o755), syscall.EEXIST)
	want(t, tree.Unlink(root, "/mnt/file"), syscall.EROFS)
	want(t, file.Chmod(0), syscall.EROFS)
	want(t, file.Truncate(0), syscall.EROFS)
	want(t, file.SetTimes(time.Now(), time.Now()), syscall.EROFS)
	if contents(file) != "text" {
		t.Errorf("it holds %q", contents(file))
	}
	var st syscall.Statfs_t
	want(t, file.Statfs(&st), 0)
	if st.Type != 4711 || st.Flags&syscall.MS_RDONLY == 0 {
		t.Errorf("statfs says %+v", st)
	}
}

func TestUnmount(t *testing.T) {
	m := newMirror()
	tree := mountedTree(t, m)
	file := write(t, tree, "/mnt/file", "x")
	want(t, file.Acquire(), 0)
	want(t, tree.Unmount("/mnt"), syscall.EBUSY)
	file.Release()
	want(t, tree.Unmount("/mnt"), 0)
	if !m.closed || contents(node(t, tree, "/mnt/hidden")) != "below" {
		t.Error("what was hidden is not back")
	}
	want(t, tree.Unmount("/mnt"), syscall.EINVAL)
}

// TestMappedWrites: memory of a shared mapping and the file system's file are
// the same, whichever side changes.
func TestMappedWrites(t *testing.T) {
	m := newMirror()
	tree := mountedTree(t, m)
	file := write(t, tree, "/mnt/file", "0123456789")
	behind := node(t, m.tree, "/file")
	memory := make([]byte, 1<<20)
	want(t, file.Share(memory, ignore), 0)
	if string(memory[:10]) != "0123456789" {
		t.Fatal("the mapping does not hold the file")
	}
	_, _, errno := file.WriteAt([]byte("AB"), 9, false)
	want(t, errno, 0)
	if string(memory[:11]) != "012345678AB" || contents(behind) != "012345678AB" {
		t.Errorf("memory %q, file %q", memory[:11], contents(behind))
	}
	copy(memory, "xy")
	if contents(file) != "xy2345678AB" {
		t.Errorf("reading gives %q", contents(file))
	}
	want(t, file.Fsync(false), 0)
	if contents(behind) != "xy2345678AB" {
		t.Errorf("after fsync the file system has %q", contents(behind))
	}
	want(t, file.Truncate(3), 0)
	want(t, file.Flush(), 0)
	file.Unshare()
	if contents(file) != "xy2" || contents(behind) != "xy2" {
		t.Errorf("at the end %q and %q", contents(file), contents(behind))
	}
}

// TestForgets: each inode that the file system gave out is given back.
func TestForgets(t *testing.T) {
	m := newMirror()
	tree := mountedTree(t, m)
	for range 100 {
		write(t, tree, "/mnt/file", "x")
		want(t, tree.Unlink(tree.Root(), "/mnt/file"), 0)
	}
	for range 100 {
		runtime.GC()
		if m.given.Load() == 1 { // the root
			break
		}
		time.Sleep(time.Millisecond)
	}
	if n := m.given.Load(); n != 1 {
		t.Errorf("%d inodes are in use", n)
	}
	runtime.KeepAlive(tree)
}
