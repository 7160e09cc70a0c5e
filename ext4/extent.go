package ext4

import "math"

// A file's blocks are found by a tree of extents. Its root is in the inode; a node
// is a header of 12 bytes and entries of 12 bytes, which in a leaf are extents
// and else lead to nodes below.
const (
	extentMagic  = 0xf30a
	extentHeader = 12
	extentEntry  = 12
	rootEntries  = 4
	maxDepth     = 5
	maxExtent    = 32768 // blocks; longer ones are unwritten, by as many as are beyond
)

// extent is a piece of a file: n blocks from block logical on lie at physical.
// Those of an unwritten one read as zeros.
type extent struct {
	logical   uint32
	n         uint32
	physical  uint64
	unwritten bool
}

func (e extent) end() uint64 { return uint64(e.logical) + uint64(e.n) }

// initRoot makes an empty tree.
func initRoot(root []byte) {
	put16(root, extentMagic)
	put16(root[4:], rootEntries)
}

// node is one node of a tree; without a buffer it is the root.
type node struct {
	b    *buffer
	data []byte
}

func (n node) count() int         { return int(le16(n.data[2:])) }
func (n node) most() int          { return int(le16(n.data[4:])) }
func (n node) depth() int         { return int(le16(n.data[6:])) }
func (n node) full() bool         { return n.count() == n.most() }
func (n node) setCount(c int)     { put16(n.data[2:], uint16(c)) }
func (n node) entry(i int) []byte { return n.data[extentHeader+i*extentEntry:][:extentEntry] }
func (n node) key(i int) uint32   { return le32(n.entry(i)) }

// child is where entry i of an inner node leads.
func (n node) child(i int) uint64 {
	e := n.entry(i)
	return uint64(le32(e[4:])) | uint64(le16(e[8:]))<<32
}

func (n node) setChild(i int, key uint32, block uint64) {
	e := n.entry(i)
	put32(e, key)
	put32(e[4:], uint32(block))
	put16(e[8:], uint16(block>>32))
	put16(e[10:], 0)
}

// extent is entry i of a leaf.
func (n node) extent(i int) extent {
	e := n.entry(i)
	x := extent{logical: le32(e), n: uint32(le16(e[4:])), physical: uint64(le32(e[8:])) | uint64(le16(e[6:]))<<32}
	if x.n > maxExtent {
		x.n, x.unwritten = x.n-maxExtent, true
	}
	return x
}

func (n node) setExtent(i int, x extent) {
	e := n.entry(i)
	length := x.n
	if x.unwritten {
		length += maxExtent
	}
	put32(e, x.logical)
	put16(e[4:], uint16(length))
	put16(e[6:], uint16(x.physical>>32))
	put32(e[8:], uint32(x.physical))
}

// insert makes room for an entry; remove takes one away.
func (n node) insert(i int) {
	copy(n.data[extentHeader+(i+1)*extentEntry:], n.data[extentHeader+i*extentEntry:extentHeader+n.count()*extentEntry])
	n.setCount(n.count() + 1)
}

func (n node) remove(i int) {
	copy(n.data[extentHeader+i*extentEntry:], n.data[extentHeader+(i+1)*extentEntry:extentHeader+n.count()*extentEntry])
	n.setCount(n.count() - 1)
}

// search is the last entry with a key of at most logical, or -1.
func (n node) search(logical uint32) int {
	low, high := 0, n.count()
	for low < high {
		if mid := (low + high) / 2; n.key(mid) <= logical {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low - 1
}

// root is the tree's root.
func (f *FS) root(in *Inode) (node, Errno) {
	n := node{data: in.raw[0x28:0x64]}
	if in.flags()&flagExtents == 0 {
		f.report("a file is not in extents: Pith can't read those of ext3")
		return n, errCorrupt
	}
	if le16(n.data) != extentMagic || n.most() > rootEntries || n.count() > n.most() || n.depth() > maxDepth {
		return n, f.damaged("a file's tree of extents is damaged")
	}
	return n, 0
}

// below loads the node that entry i leads to.
func (f *FS) below(in *Inode, n node, i int) (node, Errno) {
	block := n.child(i)
	if !f.s.inRange(block, 1) {
		return node{}, f.damaged("a file's tree of extents leads outside of the file system")
	}
	b, errno := f.buffer(block)
	if errno != 0 {
		return node{}, errno
	}
	c := node{b, b.data}
	if b.checked {
		return c, 0
	}
	if le16(c.data) != extentMagic || c.depth() != n.depth()-1 || c.count() > c.most() ||
		extentHeader+c.most()*extentEntry+4 > len(c.data) || c.count() == 0 {
		return c, f.damaged("a file's tree of extents is damaged")
	}
	if f.s.csum() && f.nodeSum(in, c) != le32(c.data[c.tail():]) {
		return c, f.damaged("a file's tree of extents has a wrong checksum")
	}
	b.checked = true
	return c, 0
}

// tail is where a node's checksum is.
func (n node) tail() int { return extentHeader + n.most()*extentEntry }

func (f *FS) nodeSum(in *Inode, n node) uint32 { return crc32c(f.seed(in), n.data[:n.tail()]) }

// writable returns a node that may be changed; call sealed afterwards.
func (f *FS) writable(n node) node {
	if n.b != nil {
		n.data = f.change(n.b)
	}
	return n
}

// sealed sets a changed node's checksum. The root's is the inode's.
func (f *FS) sealed(in *Inode, n node) {
	if n.b != nil && f.s.csum() {
		put32(n.data[n.tail():], f.nodeSum(in, n))
	}
}

// step is one node on the way down, and the entry that was taken: -1 in a leaf
// that has none so far down.
type step struct {
	node
	i int
}

// way goes down to the leaf that logical belongs to.
func (f *FS) way(in *Inode, logical uint32) ([]step, Errno) {
	n, errno := f.root(in)
	if errno != 0 {
		return nil, errno
	}
	steps := make([]step, 0, maxDepth+1)
	for {
		i := n.search(logical)
		if n.depth() == 0 {
			return append(steps, step{n, i}), f.saneLeaf(n, i)
		}
		i = max(i, 0)
		if i >= n.count() {
			return nil, f.damaged("a file's tree of extents is damaged")
		}
		steps = append(steps, step{n, i})
		if n, errno = f.below(in, n, i); errno != 0 {
			return nil, errno
		}
	}
}

// saneLeaf refuses an extent that leads outside of the file system.
func (f *FS) saneLeaf(n node, i int) Errno {
	if i < 0 {
		return 0
	}
	if x := n.extent(i); x.n == 0 || !f.s.inRange(x.physical, uint64(x.n)) || x.end() > math.MaxUint32+1 {
		return f.damaged("a file's extent leads outside of the file system")
	}
	return 0
}

// find maps a block of a file: to n blocks at block, or, with block 0, to a hole of
// n blocks.
func (f *FS) find(in *Inode, logical uint32) (block uint64, n uint32, unwritten bool, errno Errno) {
	steps, errno := f.way(in, logical)
	if errno != 0 {
		return 0, 0, false, errno
	}
	leaf := steps[len(steps)-1]
	if leaf.i >= 0 {
		if x := leaf.extent(leaf.i); uint64(logical) < x.end() {
			skip := logical - x.logical
			return x.physical + uint64(skip), x.n - skip, x.unwritten, 0
		}
	}
	return 0, uint32(min(nextKey(steps)-uint64(logical), math.MaxUint32)), false, 0
}

// nextKey is where the extent behind the way's end begins, or the end of what a
// file can have.
func nextKey(steps []step) uint64 {
	for at := len(steps) - 1; at >= 0; at-- {
		if s := steps[at]; s.i+1 < s.count() {
			return uint64(s.key(s.i + 1))
		}
	}
	return math.MaxUint32
}

// addExtent enters an extent where the file has a hole.
func (f *FS) addExtent(in *Inode, x extent) Errno {
	steps, errno := f.way(in, x.logical)
	if errno != 0 {
		return errno
	}
	if f.grow(in, steps, x) {
		return 0
	}
	for {
		full := len(steps) - 1
		if !steps[full].full() {
			break
		}
		for full > 0 && steps[full-1].full() {
			full--
		}
		if errno := f.split(in, steps, full, x.logical); errno != 0 {
			return errno
		}
		if steps, errno = f.way(in, x.logical); errno != 0 {
			return errno
		}
	}
	leaf := &steps[len(steps)-1]
	leaf.node = f.writable(leaf.node)
	leaf.insert(leaf.i + 1)
	leaf.setExtent(leaf.i+1, x)
	f.sealed(in, leaf.node)
	if leaf.i < 0 {
		f.setKeys(in, steps, x.logical)
	}
	return 0
}

// grow adds an extent to the one before it, if they touch, and joins that to the
// next one if they touch now.
func (f *FS) grow(in *Inode, steps []step, x extent) bool {
	leaf := steps[len(steps)-1]
	if leaf.i < 0 {
		return false
	}
	before := leaf.extent(leaf.i)
	if !touches(before, x) {
		return false
	}
	n := f.writable(leaf.node)
	before.n += x.n
	if leaf.i+1 < n.count() && touches(before, n.extent(leaf.i+1)) {
		before.n += n.extent(leaf.i + 1).n
		n.remove(leaf.i + 1)
	}
	n.setExtent(leaf.i, before)
	f.sealed(in, n)
	return true
}

func touches(a, b extent) bool {
	most := uint32(maxExtent)
	if a.unwritten {
		most--
	}
	return a.end() == uint64(b.logical) && a.physical+uint64(a.n) == b.physical && a.unwritten == b.unwritten && a.n+b.n <= most
}

// setKeys sets the keys that lead to a leaf whose first entry has changed.
func (f *FS) setKeys(in *Inode, steps []step, key uint32) {
	for at := len(steps) - 2; at >= 0; at-- {
		n := f.writable(steps[at].node)
		put32(n.entry(steps[at].i), key)
		f.sealed(in, n)
		if steps[at].i > 0 {
			return
		}
	}
}

// newNode makes an empty node.
func (f *FS) newNode(in *Inode, depth int) (node, Errno) {
	block, n, errno := f.allocate(f.goalOf(in), 1)
	if errno != 0 || n == 0 {
		return node{}, errno
	}
	f.addBlocks(in, 1)
	b := f.fresh(block)
	c := node{b, b.data}
	put16(c.data, extentMagic)
	put16(c.data[4:], uint16((len(c.data)-extentHeader-4)/extentEntry))
	put16(c.data[6:], uint16(depth))
	return c, 0
}

// split makes room: it moves the upper part of the full node at steps[at], whose
// parent is not full, to a new node; a root's entries all go to a node below.
func (f *FS) split(in *Inode, steps []step, at int, logical uint32) Errno {
	full := steps[at].node
	if at == 0 {
		return f.deepen(in, full)
	}
	fresh, errno := f.newNode(in, full.depth())
	if errno != 0 {
		return errno
	}
	from := full.count() / 2
	if logical > full.key(full.count()-1) { // the file grows
		from = full.count() - 1
	}
	full = f.writable(full)
	moved := full.count() - from
	copy(fresh.data[extentHeader:], full.data[extentHeader+from*extentEntry:extentHeader+full.count()*extentEntry])
	fresh.setCount(moved)
	full.setCount(from)
	parent := f.writable(steps[at-1].node)
	i := steps[at-1].i + 1
	parent.insert(i)
	parent.setChild(i, fresh.key(0), fresh.b.block)
	f.sealed(in, fresh)
	f.sealed(in, full)
	f.sealed(in, parent)
	return 0
}

func (f *FS) deepen(in *Inode, root node) Errno {
	if root.depth() >= maxDepth {
		return f.damaged("a file's tree of extents is too deep")
	}
	fresh, errno := f.newNode(in, root.depth())
	if errno != 0 {
		return errno
	}
	copy(fresh.data[extentHeader:], root.data[extentHeader:extentHeader+root.count()*extentEntry])
	fresh.setCount(root.count())
	put16(root.data[6:], uint16(root.depth()+1))
	root.setCount(1)
	root.setChild(0, fresh.key(0), fresh.b.block)
	f.sealed(in, fresh)
	return 0
}

// cutExtents takes blocks [from, to) of a file away, from the end on, and frees
// them if free is set. It does a bounded amount of work; more says that it has to
// be called again, maybe in another transaction.
func (f *FS) cutExtents(in *Inode, from, to uint64, free bool) (more bool, errno Errno) {
	const pieces = 16
	for range pieces {
		if to == 0 || from >= to {
			return false, 0
		}
		steps, errno := f.way(in, uint32(min(to-1, math.MaxUint32)))
		if errno != 0 {
			return false, errno
		}
		leaf := steps[len(steps)-1]
		if leaf.i < 0 {
			return false, 0
		}
		x := leaf.extent(leaf.i)
		if x.end() <= from {
			return false, 0
		}
		if errno := f.cutOne(in, steps, x, from, min(to, x.end()), free); errno != 0 {
			return false, errno
		}
		to = uint64(x.logical)
	}
	return true, 0
}

// cutOne takes [from, to) out of the extent x, in which to is.
func (f *FS) cutOne(in *Inode, steps []step, x extent, from, to uint64, free bool) Errno {
	from = max(from, uint64(x.logical))
	left, right := x, x
	left.n = uint32(from - uint64(x.logical))
	right.n = uint32(x.end() - to)
	right.logical = uint32(to)
	right.physical += to - uint64(x.logical)
	if free {
		if errno := f.releaseData(in, x.physical+uint64(left.n), uint32(to-from)); errno != 0 {
			return errno
		}
	}
	leaf := steps[len(steps)-1]
	switch {
	case left.n > 0:
		n := f.writable(leaf.node)
		n.setExtent(leaf.i, left)
		f.sealed(in, n)
		if right.n > 0 {
			return f.addExtent(in, right)
		}
	case right.n > 0:
		n := f.writable(leaf.node)
		n.setExtent(leaf.i, right)
		f.sealed(in, n)
		if leaf.i == 0 {
			f.setKeys(in, steps, right.logical)
		}
	default:
		return f.removeEntry(in, steps)
	}
	return 0
}

// removeEntry takes the entry at the way's end away, and nodes that get empty.
func (f *FS) removeEntry(in *Inode, steps []step) Errno {
	at := len(steps) - 1
	for at > 0 && steps[at].count() == 1 {
		block := steps[at].b.block
		f.forget(block)
		f.addBlocks(in, -1)
		if errno := f.release(block, 1); errno != 0 {
			return errno
		}
		at--
	}
	n := f.writable(steps[at].node)
	i := steps[at].i
	n.remove(i)
	if at == 0 && n.count() == 0 {
		put16(n.data[6:], 0)
	}
	f.sealed(in, n)
	if i == 0 && n.count() > 0 {
		f.setKeys(in, steps[:at+1], n.key(0))
	}
	return 0
}

// releaseData frees blocks of a file's contents.
func (f *FS) releaseData(in *Inode, block uint64, n uint32) Errno {
	if !in.plain() {
		for i := range uint64(n) {
			f.forget(block + i)
		}
	}
	f.addBlocks(in, -int64(n))
	return f.release(block, n)
}
