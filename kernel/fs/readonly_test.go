package fs

import (
	"syscall"
	"testing"
)

// TestReadOnly: what was packed read-only refuses every change; a directory
// that has other entries stays writable.
func TestReadOnly(t *testing.T) {
	tree := New(1 << 20)
	want(t, tree.Pack(Packed{Path: "/etc/hosts", Data: []byte("own")}), 0)
	for _, p := range []Packed{
		{Path: "/srv/a", Data: []byte("text")},
		{Path: "/srv/link", Mode: syscall.S_IFLNK | 0o777, Data: []byte("a")},
		{Path: "/srv", Mode: syscall.S_IFDIR | 0o755},
		{Path: "/etc/Corefile", Data: []byte("x")},
		{Path: "/etc", Mode: syscall.S_IFDIR | 0o755},
	} {
		p.ReadOnly = true
		want(t, tree.Pack(p), 0)
	}
	root := tree.Root()
	_, errno := tree.Open(root, "/srv/a", syscall.O_WRONLY, 0)
	want(t, errno, syscall.EROFS)
	_, errno = tree.Open(root, "/srv/link", syscall.O_RDONLY|syscall.O_TRUNC, 0)
	want(t, errno, syscall.EROFS)
	_, errno = tree.Open(root, "/srv/new", syscall.O_WRONLY|syscall.O_CREAT, 0o644)
	want(t, errno, syscall.EROFS)
	node, errno := tree.Lookup(root, "/srv/a", true)
	want(t, errno, 0)
	want(t, node.Truncate(0), syscall.EROFS)
	want(t, tree.Unlink(root, "/etc/Corefile"), syscall.EROFS)
	want(t, tree.Unlink(root, "/srv/link"), syscall.EROFS)
	want(t, tree.Rmdir(root, "/srv"), syscall.ENOTEMPTY)
	want(t, tree.Rename(root, "/etc/hosts", root, "/etc/Corefile", 0), syscall.EROFS)
	want(t, tree.Rename(root, "/etc/Corefile", root, "/etc/hosts", RenameExchange), syscall.EROFS)
	want(t, tree.Rename(root, "/srv", root, "/other", 0), syscall.EROFS)
	want(t, tree.Link(node, root, "/etc/a", false), syscall.EXDEV)
	want(t, tree.Pack(Packed{Path: "/srv/a"}), syscall.EROFS)
	want(t, tree.Unlink(root, "/etc/hosts"), 0)
	want(t, tree.Mkdir(root, "/etc/new", 0o755), 0)
}
