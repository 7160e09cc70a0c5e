package fs

import (
	"syscall"
	"time"
)

// pageSize is the unit in which file data is held, in bytes.
const pageSize = 4096

// maxSize is the largest size of a file, in bytes.
const maxSize = 1 << 43

// blockPages is how many pages' addresses are held together, blockSize the
// bytes that they stand for.
const (
	blockPages = 512
	blockSize  = blockPages * pageSize
)

type (
	page  [pageSize]byte
	block [blockPages]*page
)

// data is the contents of a regular file. A page of the file is in blocks
// where it is there, else it is what packed holds at that place, else a hole.
// The owner's lock guards it.
type data struct {
	size   int64
	taken  int64   // pages that are there
	packed []byte  // contents from the image: never written to
	pieces []Piece // contents that lie here and there, in order: never written to
	blocks map[int64]*block
	shared []byte // all contents, when the file is mapped shared: see Share

	resized func(size int64) // told of each new size while shared isn't nil
	mapped  bool             // shared memory is mapped by the program
}

// resize sets the size.
func (d *data) resize(size int64) {
	if size > d.size {
		d.extend(size, size)
		return
	}
	if d.shared != nil {
		d.resized(size)
	}
	d.size = size
}

// extend sets the size where [from, to) was written to behind the end.
func (d *data) extend(from, to int64) {
	if to <= d.size {
		return
	}
	if d.shared != nil {
		if end := min(from, pageEnd(d.size)); end > d.size {
			clear(d.shared[d.size:end]) // what a mapping wrote there isn't the file's
		}
		d.resized(to)
	}
	d.size = to
}

// pageEnd returns the end of the page that ends at or holds off.
func pageEnd(off int64) int64 { return (off + pageSize - 1) &^ (pageSize - 1) }

// page returns a page, or nil if it isn't there.
func (d *data) page(index int64) *page {
	b := d.blocks[index/blockPages]
	if b == nil {
		return nil
	}
	return b[index%blockPages]
}

// Size returns a regular file's size in bytes.
func (n *Node) Size() int64 {
	if n.real != nil {
		return n.sizeReal()
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.data.size
}

// ReadAt copies what the file holds at off into p. n is 0 at and behind the
// end.
func (n *Node) ReadAt(p []byte, off int64) (int, Errno) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.real != nil && n.data.shared == nil {
		return n.real.ReadAt(p, off)
	}
	done := 0
	if n.accessed.Compare(n.modified) <= 0 {
		defer n.access()
	}
	for done < len(p) {
		piece, left := n.data.at(off + int64(done))
		if left == 0 {
			break
		}
		want := min(len(p)-done, left)
		if piece == nil {
			clear(p[done : done+want])
		} else {
			copy(p[done:done+want], piece)
		}
		done += want
	}
	return done, 0
}

// access sets the time of access: once after each change, as Linux does by
// default (relatime in mount(8)).
func (n *Node) access() {
	n.mu.RUnlock()
	n.mu.Lock()
	n.accessed = time.Now()
	n.mu.Unlock()
	n.mu.RLock()
}

// View calls f with the file's bytes at off, without a copy: at most max
// bytes, and fewer where they don't lie in one piece. It calls f with an empty
// slice at the end of the file. f must not call the node nor keep the bytes.
func (n *Node) View(off int64, max int, f func(p []byte)) {
	if n.real != nil {
		n.viewReal(off, max, f)
		return
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	piece, left := n.data.at(off)
	if piece == nil && left > 0 {
		piece = zeros[:]
	}
	f(piece[:min(max, left, len(piece))])
}

// zeros is what a hole reads as.
var zeros page

// at returns the bytes from off to the end of their page, or to the end of the
// packed contents, and how many there are; nil bytes stand for a hole.
func (d *data) at(off int64) (piece []byte, left int) {
	if off < 0 || off >= d.size {
		return nil, 0
	}
	if d.shared != nil {
		return d.shared[off:d.size], int(d.size - off)
	}
	if d.pieces != nil {
		return d.scattered(off)
	}
	in := off % pageSize
	left = int(min(pageSize-in, d.size-off))
	if p := d.page(off / pageSize); p != nil {
		return p[in:][:left], left
	}
	if off >= int64(len(d.packed)) {
		return nil, d.hole(off, left)
	}
	if d.taken == 0 { // untouched: all of it lies in one piece
		piece = d.packed[off:min(int64(len(d.packed)), d.size)]
		return piece, len(piece)
	}
	piece = d.packed[off:min(off+int64(left), int64(len(d.packed)))]
	return piece, len(piece)
}

// scattered is at for a file of pieces.
func (d *data) scattered(off int64) (piece []byte, left int) {
	for _, p := range d.pieces {
		if off < p.Off {
			return nil, int(p.Off - off)
		}
		if in := off - p.Off; in < int64(len(p.Data)) {
			return p.Data[in:], len(p.Data) - int(in)
		}
	}
	return nil, int(d.size - off)
}

// hole returns how many bytes from off on are a hole for certain: left, or all
// up to the end of the block if nothing of it is there.
func (d *data) hole(off int64, left int) int {
	if d.blocks[off/blockSize] != nil {
		return left
	}
	return int(min(blockSize-off%blockSize, d.size-off))
}

// WriteAt puts p into the file at off, or at the end if add is set, and
// returns how many bytes it took and where they went. Less than all are
// taken only with ENOSPC or EFBIG.
func (n *Node) WriteAt(p []byte, off int64, add bool) (done int, at int64, errno Errno) {
	if n.source != nil {
		return 0, off, syscall.EACCES
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.real != nil {
		return n.writeReal(p, off, add)
	}
	if add {
		off = n.data.size
	}
	at = off
	switch {
	case n.seals&(SealWrite|SealFutureWrite) != 0:
		return 0, at, syscall.EPERM
	case n.seals&SealGrow != 0 && off+int64(len(p)) > n.data.size:
		return 0, at, syscall.EPERM
	}
	for done < len(p) && errno == 0 {
		var piece []byte
		piece, errno = n.writable(off)
		took := copy(piece, p[done:])
		done += took
		off += int64(took)
	}
	if done == 0 {
		return 0, at, errno
	}
	n.data.extend(at, off)
	n.modified = time.Now()
	n.changed = n.modified
	return done, at, 0
}

// writable returns the bytes of the file from off to the end of their page,
// to be written to. The caller holds n.mu.
func (n *Node) writable(off int64) ([]byte, Errno) {
	d := &n.data
	if off < 0 || off >= maxSize {
		return nil, syscall.EFBIG
	}
	if d.shared != nil {
		if off >= int64(len(d.shared)) {
			return nil, syscall.ENOSPC
		}
		return d.shared[off:], 0
	}
	p, errno := n.own(off / pageSize)
	if errno != 0 {
		return nil, errno
	}
	return p[off%pageSize:], 0
}

// own returns page index, made if it is a hole and copied if it is packed.
// The caller holds n.mu.
func (n *Node) own(index int64) (*page, Errno) {
	d := &n.data
	if p := d.page(index); p != nil {
		return p, 0
	}
	if !n.tree.takePages(1) {
		return nil, syscall.ENOSPC
	}
	if d.blocks == nil {
		d.blocks = make(map[int64]*block)
	}
	b := d.blocks[index/blockPages]
	if b == nil {
		b = new(block)
		d.blocks[index/blockPages] = b
	}
	p := new(page)
	if off := index * pageSize; off < int64(len(d.packed)) {
		copy(p[:], d.packed[off:])
	}
	b[index%blockPages] = p
	d.taken++
	return p, 0
}

// Truncate sets a regular file's size; what is added reads as zeros.
func (n *Node) Truncate(size int64) Errno {
	switch {
	case n.IsDir():
		return syscall.EISDIR
	case !n.IsRegular() || size < 0:
		return syscall.EINVAL
	case n.ReadOnly():
		return syscall.EROFS
	case n.source != nil:
		return syscall.EACCES
	case size > maxSize:
		return syscall.EFBIG
	case n.real != nil:
		return n.changeReal(Attr{Set: SetSize, Size: size})
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.data.shared != nil && size > int64(len(n.data.shared)):
		return syscall.ENOSPC
	case size < n.data.size && n.seals&SealShrink != 0, size > n.data.size && n.seals&SealGrow != 0:
		return syscall.EPERM
	}
	n.cut(size)
	n.modified = time.Now()
	n.changed = n.modified
	return 0
}

// cut sets the size and forgets what lies behind it. The caller holds n.mu.
func (n *Node) cut(size int64) {
	d := &n.data
	if size < d.size && d.shared != nil {
		clear(d.shared[size:min(d.size, pageEnd(size))])
	}
	if size < int64(len(d.packed)) {
		d.packed = d.packed[:size:size]
	}
	if in := size % pageSize; in != 0 && size < d.size {
		if p := d.page(size / pageSize); p != nil {
			clear(p[in:])
		}
	}
	if size < d.size {
		n.dropFrom((size + pageSize - 1) / pageSize)
	}
	d.resize(size)
}

// dropFrom gives page first and all behind it back. The caller holds n.mu.
func (n *Node) dropFrom(first int64) {
	for key := range n.data.blocks {
		for i := max(first-key*blockPages, 0); i < blockPages; i++ {
			n.drop(key*blockPages + i)
		}
		if first <= key*blockPages {
			delete(n.data.blocks, key)
		}
	}
}

// drop gives a page back. The caller holds n.mu.
func (n *Node) drop(index int64) {
	b := n.data.blocks[index/blockPages]
	if b == nil || b[index%blockPages] == nil {
		return
	}
	b[index%blockPages] = nil
	n.data.taken--
	n.tree.takePages(-1)
}

// Modes of Allocate (fallocate(2)).
const (
	keepSize  = 1 // FALLOC_FL_KEEP_SIZE
	punchHole = 2 // FALLOC_FL_PUNCH_HOLE
)

// Allocate is fallocate(2): it makes sure that the range has memory, or makes
// a hole of it. tmpfs knows no other modes (EOPNOTSUPP).
func (n *Node) Allocate(mode uint32, off, size int64) Errno {
	switch {
	case off < 0 || size <= 0:
		return syscall.EINVAL
	case off+size > maxSize || off+size < 0:
		return syscall.EFBIG
	case !n.IsRegular():
		return syscall.ENODEV
	case n.source != nil:
		return syscall.EOPNOTSUPP
	case n.readOnly():
		return syscall.EROFS
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.real != nil {
		return n.allocateReal(mode, off, size)
	}
	if n.seals&SealGrow != 0 && off+size > n.data.size || n.seals&(SealWrite|SealFutureWrite) != 0 {
		return syscall.EPERM
	}
	switch mode {
	case punchHole | keepSize:
		n.zero(off, min(off+size, n.data.size))
		return 0
	case 0, keepSize:
	default:
		return syscall.EOPNOTSUPP
	}
	if errno := n.back(off, size); errno != 0 {
		return errno
	}
	if mode&keepSize == 0 {
		n.data.extend(off+size, off+size)
	}
	n.changed = time.Now()
	return 0
}

// back gives memory to a range. The caller holds n.mu.
func (n *Node) back(off, size int64) Errno {
	if n.data.shared != nil {
		if off+size > int64(len(n.data.shared)) {
			return syscall.ENOSPC
		}
		return 0
	}
	for i := off / pageSize; i*pageSize < off+size; i++ {
		if _, errno := n.own(i); errno != 0 {
			return errno
		}
	}
	return 0
}

// zero makes [from, to) read as zeros. The caller holds n.mu.
func (n *Node) zero(from, to int64) {
	d := &n.data
	for from < to {
		next := min((from/pageSize+1)*pageSize, to)
		if d.shared == nil && from >= int64(len(d.packed)) && d.blocks[from/blockSize] == nil {
			next = min((from/blockSize+1)*blockSize, to) // a hole already
		} else {
			n.zeroInPage(from, next)
		}
		from = next
	}
}

// zeroInPage is zero for a range within one page.
func (n *Node) zeroInPage(from, to int64) {
	d := &n.data
	i := from / pageSize
	switch {
	case d.shared != nil:
		clear(d.shared[from:to])
	case from < int64(len(d.packed)):
		if p, errno := n.own(i); errno == 0 {
			clear(p[from-i*pageSize : to-i*pageSize])
		}
	case d.page(i) == nil:
	case to-from == pageSize:
		n.drop(i)
	default:
		clear(d.page(i)[from-i*pageSize : to-i*pageSize])
	}
}

// Next finds the next data or hole at or behind off (lseek's SEEK_DATA and
// SEEK_HOLE); ENXIO at the end.
func (n *Node) Next(off int64, hole bool) (int64, Errno) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	d := &n.data
	if n.real != nil {
		return n.nextReal(off, hole)
	}
	if off < 0 || off >= d.size {
		return 0, syscall.ENXIO
	}
	for off < d.size {
		piece, left := d.at(off)
		if (piece == nil) == hole {
			return off, 0
		}
		off += int64(left)
	}
	if hole {
		return d.size, 0
	}
	return 0, syscall.ENXIO
}

// Share makes memory the one place where the file's contents are, so that a
// mapping of that memory and the file are the same bytes: a machine has one
// address space. memory must read as zeros and be no shorter than the file;
// from then on the file can't grow beyond it (ENOSPC). The caller makes sure
// that nobody has mapped memory of an earlier Share. resized is told of the
// file's size then, and of each new one before it counts: what memory holds
// behind the page of its end is to be forgotten. It must not call the node.
func (n *Node) Share(memory []byte, resized func(size int64)) Errno {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.source != nil || !n.IsRegular() {
		return syscall.ENODEV
	}
	d := &n.data
	if n.real != nil {
		return n.shareReal(memory, resized)
	}
	if int64(len(memory)) < d.size {
		return syscall.ENOMEM
	}
	for off := int64(0); off < d.size; {
		piece, left := d.at(off)
		copy(memory[off:], piece)
		off += int64(left)
	}
	n.dropFrom(0)
	d.packed = nil
	d.shared, d.resized = memory, resized
	resized(d.size)
	return 0
}

// SetMapped says whether the program maps the memory of Share.
func (n *Node) SetMapped(mapped bool) {
	n.mu.Lock()
	n.data.mapped = mapped
	n.mu.Unlock()
}

// Shared returns the memory that Share set, or nil.
func (n *Node) Shared() []byte {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.data.shared
}

// Acquire counts one more opener, whose Release must follow.
func (n *Node) Acquire() Errno {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.real != nil && n.openers == 0 {
		if errno := n.real.Hold(); errno != 0 {
			return errno
		}
	}
	n.openers++
	return 0
}

// AcquireToWrite is Acquire for one that writes. A host may refuse that.
func (n *Node) AcquireToWrite() Errno {
	if errno := n.Acquire(); errno != 0 {
		return errno
	}
	o, ok := n.real.(Opener)
	if !ok {
		return 0
	}
	errno := o.HoldToWrite()
	if errno != 0 {
		n.Release()
	}
	return errno
}

// Release counts an opener less. The data of a file that has neither name nor
// opener is given back.
func (n *Node) Release() {
	n.mu.Lock()
	n.openers--
	last := n.openers == 0
	if n.real == nil {
		n.discard()
	} else if last {
		n.real.Drop()
	}
	gone := last && n.links == 0 && n.real == nil
	n.mu.Unlock()
	if gone {
		n.tree.Emit(Event{Node: n, Mask: syscall.IN_DELETE_SELF})
	}
	if n.real != nil && last {
		n.expel()
	}
}

// held reports whether the node has an opener.
func (n *Node) held() bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.openers > 0
}

// Reachable reports whether the node has an opener, or a name by which its
// data can be reached.
func (n *Node) Reachable() bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.openers > 0 || n.real == nil && n.links > 0
}

// discard gives the data back if nobody can reach it. The caller holds n.mu.
func (n *Node) discard() {
	if n.openers == 0 && n.links == 0 && n.IsRegular() && n.data.shared == nil {
		n.cut(0)
	}
}
