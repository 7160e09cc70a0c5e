package fs

import "syscall"

// Packed is one file that travels in the image. Its bytes are used in place
// and never written to: a program that changes the file changes a copy, or
// gets EROFS.
type Packed struct {
	Path string // absolute; missing directories on the way are made
	Mode uint32 // type and permission bits; type 0 is a regular file
	Data []byte // contents, or a symbolic link's text
	// ReadOnly refuses every change (EROFS). A directory is packed behind its
	// entries, and stays writable where others of its entries are.
	ReadOnly bool
}

// Pack puts a file of the image into the tree, in place of what is there.
func (t *Tree) Pack(p Packed) Errno {
	if errno := t.MakeParents(p.Path); errno != 0 {
		return errno
	}
	mode := p.Mode
	if mode&syscall.S_IFMT == 0 {
		mode |= syscall.S_IFREG
	}
	if mode&syscall.S_IFMT == syscall.S_IFDIR {
		errno := t.packDirectory(p.Path, mode)
		if errno == 0 && p.ReadOnly {
			errno = t.seal(p.Path)
		}
		return errno
	}
	var node *Node
	if mode&syscall.S_IFMT == syscall.S_IFLNK {
		node = t.NewLink(string(p.Data))
	} else {
		node = t.NewPacked(mode, p.Data)
	}
	node.sealed.Store(p.ReadOnly)
	if errno := t.Unlink(t.root, p.Path); errno != 0 && errno != syscall.ENOENT {
		return errno
	}
	return t.Make(t.root, p.Path, node)
}

// NewPacked returns a regular file whose contents lie in memory already and are
// used in place until the file is written to. mode holds permission bits only.
func (t *Tree) NewPacked(mode uint32, data []byte) *Node {
	node := t.NewNode(syscall.S_IFREG|mode, 0)
	node.data.packed = data[:len(data):len(data)]
	node.data.size = int64(len(data))
	return node
}

// Untouched tells whether a file is as the image has it: nothing was written to it.
func (n *Node) Untouched() bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.data.packed != nil && len(n.data.blocks) == 0 && n.modified.Equal(n.born)
}

// seal makes a directory whose entries are all read-only so itself.
func (t *Tree) seal(path string) Errno {
	node, errno := t.Lookup(t.root, path, true)
	if errno != 0 || node == t.root || node.tree != t {
		return errno
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	node.filled()
	for _, e := range node.listing {
		if !e.node.readOnly() {
			return 0
		}
	}
	node.sealed.Store(true)
	return 0
}

// packDirectory makes a directory, or sets the permissions of the one that
// there is.
func (t *Tree) packDirectory(path string, mode uint32) Errno {
	errno := t.Make(t.root, path, t.NewNode(mode, 0))
	if errno != syscall.EEXIST {
		return errno
	}
	node, errno := t.Lookup(t.root, path, true)
	if errno != 0 {
		return errno
	}
	return node.Chmod(mode)
}

// MakeParents makes the directories on the way to an absolute path.
func (t *Tree) MakeParents(path string) Errno {
	for i := 1; i < len(path); i++ {
		if path[i] != '/' {
			continue
		}
		errno := t.Mkdir(t.root, path[:i], 0o755)
		if errno != 0 && errno != syscall.EEXIST {
			return errno
		}
	}
	return 0
}

// Piece is a part of a file that lies in memory already.
type Piece struct {
	Off  int64 // in the file
	Data []byte
}

// NewScattered returns a read-only file of pieces, which are in order and used in
// place; what is between them reads as zeros. mode holds permission bits only.
func (t *Tree) NewScattered(mode uint32, pieces []Piece) *Node {
	n := t.NewNode(syscall.S_IFREG|mode, 0)
	n.data.pieces = pieces
	for _, p := range pieces {
		n.data.size = max(n.data.size, p.Off+int64(len(p.Data)))
	}
	n.sealed.Store(true)
	return n
}
