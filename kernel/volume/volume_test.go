package volume

import (
	"syscall"
	"testing"
	"time"

	"pith/ext4"
	"pith/kernel/fs"
)

// memory is an ext4.Device.
type memory []byte

func (m memory) Read(off int64, into ...[]byte) error {
	for _, p := range into {
		off += int64(copy(p, m[off:]))
	}
	return nil
}

func (m memory) Write(off int64, from ...[]byte) error {
	for _, p := range from {
		off += int64(copy(m[off:], p))
	}
	return nil
}

func (m memory) Flush() error   { return nil }
func (m memory) Size() int64    { return int64(len(m)) }
func (m memory) ReadOnly() bool { return false }

func mounted(t *testing.T) (*fs.Tree, memory, *ext4.FS) {
	t.Helper()
	dev := make(memory, 32<<20)
	if err := ext4.Make(dev, ext4.MakeOptions{Time: time.Now()}); err != nil {
		t.Fatal(err)
	}
	files, err := ext4.Mount(dev, ext4.Options{Interval: -1, Report: func(s string) { t.Error(s) }})
	if err != nil {
		t.Fatal(err)
	}
	tree := fs.New(0)
	must(t, tree.Mkdir(tree.Root(), "/data", 0o755))
	must(t, tree.Mount("/data", New(files, "/dev/vda")))
	return tree, dev, files
}

func must(t *testing.T, errno Errno) {
	t.Helper()
	if errno != 0 {
		t.Fatal(errno)
	}
}

func TestTree(t *testing.T) {
	tree, dev, files := mounted(t)
	root := tree.Root()
	must(t, tree.Mkdir(root, "/data/dir", 0o700))
	o, errno := tree.Open(root, "/data/dir/file", syscall.O_RDWR|syscall.O_CREAT, 0o640)
	must(t, errno)
	must(t, o.Node.Acquire())
	if n, _, errno := o.Node.WriteAt([]byte("contents"), 3, false); n != 8 || errno != 0 {
		t.Fatal(n, errno)
	}
	must(t, o.Node.Fsync(false))
	must(t, tree.Symlink("dir/file", root, "/data/link"))
	must(t, tree.Link(o.Node, root, "/data/other", false))
	must(t, tree.Rename(root, "/data/other", root, "/data/dir/third", 0))
	free := files.Usage().FreeInodes
	must(t, tree.Unlink(root, "/data/dir/file"))
	must(t, tree.Unlink(root, "/data/dir/third"))
	b := make([]byte, 20)
	if n, errno := o.Node.ReadAt(b, 0); string(b[:n]) != "\x00\x00\x00contents" || errno != 0 {
		t.Errorf("a file without a name: %q, %v", b[:n], errno)
	}
	if files.Usage().FreeInodes != free {
		t.Error("an open file was deleted")
	}
	o.Node.Release()
	if files.Usage().FreeInodes != free+1 {
		t.Error("a closed file without a name is still there")
	}
	if errno := tree.Rename(root, "/data/dir", root, "/data/dir/inside", 0); errno != syscall.EINVAL {
		t.Errorf("a directory into itself: %v", errno)
	}
	var names []string
	dir, errno := tree.Lookup(root, "/data", true)
	must(t, errno)
	must(t, tree.ReadDir(dir, 0, func(e fs.Entry) bool { names = append(names, e.Name); return true }))
	if len(names) != 5 { // ., .., lost+found, dir, link
		t.Errorf("names %q", names)
	}
	must(t, tree.Close())
	for _, problem := range ext4.Check(dev) {
		t.Error(problem)
	}
}

func TestAttributes(t *testing.T) {
	tree, _, _ := mounted(t)
	root := tree.Root()
	o, errno := tree.Open(root, "/data/f", syscall.O_RDWR|syscall.O_CREAT, 0o640)
	must(t, errno)
	then := time.Unix(5_000_000_000, 123456789) // beyond 32 bits
	o.Node.Chmod(0o4711)
	o.Node.SetTimes(then, then)
	must(t, o.Node.Truncate(100_000))
	var st syscall.Stat_t
	must(t, o.Node.Stat(&st))
	if st.Mode != syscall.S_IFREG|0o4711 || st.Mtim.Sec != 5_000_000_000 && st.Size != 100_000 || st.Blocks != 0 {
		t.Errorf("%+v", st)
	}
	var sfs syscall.Statfs_t
	must(t, o.Node.Statfs(&sfs))
	if sfs.Type != 0xef53 || sfs.Bfree == 0 {
		t.Errorf("%+v", sfs)
	}
}
