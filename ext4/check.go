package ext4

import (
	"bytes"
	"strconv"
)

// NeedsReplay tells whether a file system was not unmounted.
func NeedsReplay(dev Device) bool {
	b := make([]byte, superSize)
	return dev.Read(superOffset, b) == nil && le16(b[0x38:]) == superMagic && le32(b[0x60:])&incompatRecover != 0
}

// Check looks at all of a file system and says, in sentences, what is wrong with
// it. Nothing is written: what the journal holds is replayed in memory.
func Check(dev Device) []string {
	c := &checker{found: map[uint32]*seen{}, shared: map[uint64]bool{}}
	files, err := Mount(&overlay{Device: dev, blocks: map[int64][]byte{}}, Options{Report: c.say, Interval: -1})
	if err != nil {
		return []string{err.Error()}
	}
	c.f = files
	files.mu.Lock()
	defer files.mu.Unlock()
	c.blocks = make([][]byte, len(files.groups))
	c.base()
	c.tree(rootInode, rootInode)
	c.reserved()
	c.compare()
	return c.problems
}

// overlay is a device that keeps what is written in memory, by pieces of 1024 bytes.
type overlay struct {
	Device
	blocks map[int64][]byte
}

const overlayPiece = 1024

func (o *overlay) ReadOnly() bool { return false }
func (o *overlay) Flush() error   { return nil }

func (o *overlay) Read(off int64, into ...[]byte) error {
	if err := o.Device.Read(off, into...); err != nil {
		return err
	}
	for _, p := range into {
		for at := 0; at < len(p); at += overlayPiece {
			copy(p[at:], o.blocks[off+int64(at)])
		}
		off += int64(len(p))
	}
	return nil
}

func (o *overlay) Write(off int64, from ...[]byte) error {
	for _, p := range from {
		for at := 0; at < len(p); at += overlayPiece {
			o.blocks[off+int64(at)] = bytes.Clone(p[at : at+overlayPiece])
		}
		off += int64(len(p))
	}
	return nil
}

// checker gathers what is in use, to compare it with what the file system says.
type checker struct {
	f        *FS
	problems []string
	blocks   [][]byte // bitmaps of blocks that are in use, by group
	found    map[uint32]*seen
	shared   map[uint64]bool // blocks of extended attributes
}

// seen is an inode that a directory refers to.
type seen struct {
	links uint32
	dir   bool
}

// mostProblems bounds the list.
const mostProblems = 100

func (c *checker) say(sentence string) {
	if len(c.problems) < mostProblems {
		c.problems = append(c.problems, sentence)
	}
}

func inode(number uint32) string { return "inode " + strconv.FormatUint(uint64(number), 10) }

// base marks what the groups themselves take.
func (c *checker) base() {
	s := c.f.s
	for i := range c.f.groups {
		c.blocks[i] = make([]byte, s.blockSize)
		for bit := range s.baseBlocks(uint32(i)) {
			setBit(c.blocks[i], bit)
		}
		s.padBitmap(c.blocks[i], s.groupBlocks(uint32(i)))
	}
	for i := range c.f.groups {
		g := &c.f.groups[i]
		c.mark(0, g.blockBitmap, 1)
		c.mark(0, g.inodeBitmap, 1)
		c.mark(0, g.table, s.tableBlocks())
	}
}

// mark marks blocks as an inode's.
func (c *checker) mark(number uint32, block uint64, n uint32) {
	s := c.f.s
	for i := block; i < block+uint64(n); i++ {
		if !s.inRange(i, 1) {
			c.say(inode(number) + " has a block outside of the file system")
			return
		}
		group := uint32((i - uint64(s.firstBlock)) / uint64(s.perGroup))
		bit := uint32(i - s.groupStart(group))
		if hasBit(c.blocks[group], bit) {
			c.say(inode(number) + " shares a block with another")
			return
		}
		setBit(c.blocks[group], bit)
	}
}

// tree visits a directory and all below it.
func (c *checker) tree(number, parent uint32) {
	in := c.visit(number)
	if in == nil {
		return
	}
	n, errno := c.f.read(in)
	if errno != 0 {
		c.say(inode(number) + ", a directory, can't be read")
		return
	}
	if up := n.slots[".."]; up.number != parent {
		c.say(inode(number) + ", a directory, has a wrong \"..\"")
	}
	slots := n.slots
	c.f.dropNames(in)
	c.found[number].links++ // "."
	c.found[parent].links++
	for name, s := range slots {
		if name == "." || name == ".." {
			continue
		}
		sub := c.found[s.number]
		if sub == nil {
			c.enter(number, s)
			sub = c.found[s.number]
		} else if sub.dir {
			c.say(inode(s.number) + ", a directory, has two names")
		}
		if sub != nil {
			sub.links++
		}
	}
}

// enter visits what an entry refers to for the first time.
func (c *checker) enter(dir uint32, s slot) {
	in, errno := c.f.load(s.number)
	if errno != 0 {
		c.say(inode(s.number) + " can't be read")
		return
	}
	if in.gone() {
		c.say(inode(dir) + " refers to " + inode(s.number) + ", which was deleted")
		return
	}
	if s.kind != 0 && entryType(in.format()) != s.kind {
		c.say(inode(dir) + " refers to " + inode(s.number) + " as something else than it is")
	}
	if in.isDir() {
		c.tree(s.number, dir)
		return
	}
	c.visit(s.number)
}

// visit notes an inode and marks its blocks.
func (c *checker) visit(number uint32) *Inode {
	in, errno := c.f.load(number)
	if errno != 0 {
		c.say(inode(number) + " can't be read")
		return nil
	}
	c.found[number] = &seen{dir: in.isDir()}
	blocks := c.attributes(in)
	if number == resizeInode {
		c.mark(number, uint64(le32(in.raw[0x28+13*4:])), 1)
		return in
	}
	if in.hasBlocks() {
		root, errno := c.f.root(in)
		if errno != 0 {
			return in
		}
		blocks += c.extents(in, root)
	}
	if in.flags()&flagHuge == 0 {
		blocks *= uint64(c.f.s.blockSize / 512)
	}
	if blocks != in.sectors() {
		c.say(inode(number) + " counts its blocks wrong")
	}
	return in
}

// attributes marks the block of extended attributes, which several inodes may
// share, and returns how many blocks that is.
func (c *checker) attributes(in *Inode) uint64 {
	block := in.attributes()
	if block == 0 {
		return 0
	}
	if !c.shared[block] {
		c.shared[block] = true
		c.mark(in.number, block, 1)
	}
	return 1
}

// extents marks what is below a node of a tree, and returns how many blocks.
func (c *checker) extents(in *Inode, n node) (blocks uint64) {
	last := uint64(0)
	for i := range n.count() {
		if uint64(n.key(i)) < last {
			c.say(inode(in.number) + " has extents in disorder")
		}
		last = uint64(n.key(i)) + 1
		if n.depth() == 0 {
			x := n.extent(i)
			last = x.end()
			c.mark(in.number, x.physical, x.n)
			blocks += uint64(x.n)
			continue
		}
		below, errno := c.f.below(in, n, i)
		if errno != 0 {
			continue
		}
		if below.key(0) != n.key(i) {
			c.say(inode(in.number) + " has a wrong key in its tree of extents")
		}
		c.mark(in.number, n.child(i), 1)
		blocks += 1 + c.extents(in, below)
	}
	return blocks
}

// reserved visits inodes that have no name: the journal and its like.
func (c *checker) reserved() {
	for number := uint32(1); number < c.f.s.firstInode; number++ {
		if c.found[number] != nil {
			continue
		}
		in, errno := c.f.load(number)
		if errno != 0 || in.links() == 0 || in.mode() == 0 && !in.hasBlocks() {
			continue
		}
		c.visit(number)
		c.found[number].links = in.links()
	}
	if number := c.f.s.orphans; number != 0 && c.found[number] == nil && c.visit(number) != nil {
		c.found[number].links = 1
	}
}

// compare compares with the bitmaps, link counts and counters.
func (c *checker) compare() {
	f, s := c.f, c.f.s
	for number, seen := range c.found {
		in, errno := f.load(number)
		if errno == 0 && in.links() != seen.links && !(in.isDir() && in.links() == 1) {
			c.say(inode(number) + " has " + strconv.Itoa(int(in.links())) + " links, not " + strconv.Itoa(int(seen.links)))
		}
	}
	for i := range f.groups {
		c.compareGroup(uint32(i), s)
	}
}

func (c *checker) compareGroup(number uint32, s *super) {
	f, g := c.f, &c.f.groups[number]
	what := "group " + strconv.Itoa(int(number))
	if g.flags&groupNoBlocks == 0 {
		b, errno := f.blockBitmap(number)
		if errno != 0 {
			c.say(what + " has a damaged bitmap of blocks")
			return
		}
		if !bytes.Equal(b.data[:s.perGroup/8], c.blocks[number][:s.perGroup/8]) {
			c.say(what + " marks blocks wrong")
		}
		if free := countFree(b.data, s.groupBlocks(number)); free != g.freeBlocks {
			c.say(what + " counts its free blocks wrong")
		}
	}
	used := make([]byte, s.blockSize)
	dirs := uint32(0)
	for n, seen := range c.found {
		if (n-1)/s.inodesPerGroup == number {
			setBit(used, (n-1)%s.inodesPerGroup)
			if seen.dir {
				dirs++
			}
		}
	}
	if dirs != g.dirs {
		c.say(what + " counts its directories wrong")
	}
	if g.flags&groupNoInodes != 0 {
		return
	}
	b, errno := f.inodeBitmap(number)
	if errno != 0 {
		c.say(what + " has a damaged bitmap of inodes")
		return
	}
	for i := range s.inodesPerGroup {
		if hasBit(b.data, i) != hasBit(used, i) && (number > 0 || i >= s.firstInode-1) {
			c.say(inode(number*s.inodesPerGroup+i+1) + " is marked wrong")
		}
	}
	if free := countFree(b.data, s.inodesPerGroup); free != g.freeInodes {
		c.say(what + " counts its free inodes wrong")
	}
}

func countFree(bitmap []byte, n uint32) (free uint32) {
	for i := range n {
		if !hasBit(bitmap, i) {
			free++
		}
	}
	return free
}
