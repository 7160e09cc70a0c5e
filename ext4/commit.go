package ext4

import (
	"cmp"
	"slices"
	"syscall"
)

// commit returns when transaction id is on the device. Its caller does not hold
// f.mu.
func (f *FS) commit(id uint32) Errno {
	j := &f.j
	j.committing.Lock()
	defer j.committing.Unlock()
	f.mu.Lock()
	if int32(j.done-id) >= 0 {
		f.mu.Unlock()
		return 0
	}
	if f.readOnly {
		f.mu.Unlock()
		return syscall.EROFS
	}
	if j.running.empty() {
		f.mu.Unlock()
		return f.flush()
	}
	if j.used+j.size(j.running, f.s.blockSize) >= j.length() || len(j.home) > f.maxBuffers {
		if errno := f.checkpoint(); errno != 0 {
			f.mu.Unlock()
			return errno
		}
	}
	for in := range j.running.ordered {
		if errno := f.writeBack(in); errno != 0 {
			f.mu.Unlock()
			return errno
		}
	}
	t, changes := j.freeze()
	f.mu.Unlock()
	err := f.writeLog(t, changes)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		return f.failed("the journal can't be written: " + err.Error())
	}
	j.done = t.id
	for _, block := range t.revoked {
		delete(j.home, block)
	}
	for _, r := range t.freed {
		f.reuse(r)
	}
	return 0
}

// change is a block as a transaction leaves it.
type change struct {
	block uint64
	data  []byte
}

// freeze ends the running transaction and returns it with what it changed, in
// order.
func (j *journal) freeze() (*transaction, []change) {
	t := j.running
	changes := make([]change, 0, len(t.buffers))
	for block, b := range t.buffers {
		changes = append(changes, change{block, b.data})
		b.joined, b.shared = false, true
		j.home[block] = b.data
	}
	slices.SortFunc(changes, func(a, b change) int { return cmp.Compare(a.block, b.block) })
	j.running = newTransaction(t.id + 1)
	return t, changes
}

// writeLog writes a transaction to the log: what it revokes, what it changes, and
// when all of that is on the device the block that makes it count.
func (f *FS) writeLog(t *transaction, changes []change) error {
	w := &logWriter{f: f, j: &f.j, id: t.id}
	w.revokes(t.revoked)
	for len(changes) > 0 {
		changes = w.descriptor(changes)
	}
	if err := w.write(); err != nil {
		return err
	}
	if err := f.dev.Flush(); err != nil {
		return err
	}
	w.commit(f.now())
	if err := w.write(); err != nil {
		return err
	}
	f.j.used += w.count
	return f.dev.Flush()
}

// logWriter gathers blocks of the log and writes them in few pieces.
type logWriter struct {
	f     *FS
	j     *journal
	id    uint32
	count uint32
	at    uint64 // where pieces go
	parts [][]byte
	err   error
}

// put appends a block.
func (w *logWriter) put(b []byte) {
	block := w.j.place(w.j.head)
	if len(w.parts) > 0 && block != w.at+uint64(len(w.parts)) {
		w.write()
	}
	if len(w.parts) == 0 {
		w.at = block
	}
	w.parts = append(w.parts, b)
	w.j.head = w.j.after(w.j.head)
	w.count++
}

func (w *logWriter) write() error {
	if len(w.parts) > 0 && w.err == nil {
		w.err = w.f.dev.Write(w.f.offset(w.at), w.parts...)
	}
	w.parts = nil
	return w.err
}

func (w *logWriter) block(kind uint32) []byte {
	b := make([]byte, w.f.s.blockSize)
	putBE32(b, logMagic)
	putBE32(b[4:], kind)
	putBE32(b[8:], w.id)
	return b
}

// seal sets the checksum at a block's end.
func (w *logWriter) seal(b []byte) {
	putBE32(b[len(b)-4:], crc32c(w.j.seed, b))
}

// revokes writes the list of revoked blocks.
func (w *logWriter) revokes(list []uint64) {
	size := 4
	if w.j.wide {
		size = 8
	}
	for len(list) > 0 {
		b := w.block(logRevoke)
		n := 16
		for ; len(list) > 0 && n+size <= len(b)-4; n += size {
			if w.j.wide {
				putBE32(b[n:], uint32(list[0]>>32))
			}
			putBE32(b[n+size-4:], uint32(list[0]))
			list = list[1:]
		}
		putBE32(b[12:], uint32(n))
		w.seal(b)
		w.put(b)
	}
}

// Flags of a tag.
const (
	tagEscape   = 1 // the block began with the magic, which was zeroed
	tagSameUUID = 2
	tagLast     = 8
)

// descriptor writes one block of tags and the blocks that they tell of, and
// returns those that are left.
func (w *logWriter) descriptor(changes []change) []change {
	b := w.block(logDescriptor)
	var data [][]byte
	for n, last := 12, false; !last; {
		c, flags, size := changes[0], uint32(0), 16
		changes = changes[1:]
		if be32(c.data) == logMagic {
			c.data, flags = append([]byte(nil), c.data...), tagEscape
			putBE32(c.data, 0)
		}
		if len(data) == 0 {
			size += copy(b[n+16:], w.j.uuid[:])
		} else {
			flags |= tagSameUUID
		}
		if last = len(changes) == 0 || n+size+16 > len(b)-4; last {
			flags |= tagLast
		}
		putBE32(b[n:], uint32(c.block))
		putBE32(b[n+4:], flags)
		putBE32(b[n+8:], uint32(c.block>>32))
		putBE32(b[n+12:], crc32c(crcOf32BE(w.j.seed, w.id), c.data))
		n += size
		data = append(data, c.data)
	}
	w.seal(b)
	w.put(b)
	for _, d := range data {
		w.put(d)
	}
	return changes
}

func crcOf32BE(crc, v uint32) uint32 {
	return crc32c(crc, []byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}

// commit writes the commit block.
func (w *logWriter) commit(seconds int64, nanos uint32) {
	b := w.block(logCommit)
	putBE32(b[0x30:], uint32(seconds>>32))
	putBE32(b[0x34:], uint32(seconds))
	putBE32(b[0x38:], nanos)
	putBE32(b[0x10:], crc32c(w.j.seed, b))
	w.put(b)
}

// checkpoint writes all that is in the log to its place and empties the log. The
// caller holds committing and f.mu.
func (f *FS) checkpoint() Errno {
	j := &f.j
	if err := f.writeHome(); err != nil {
		return f.failed("metadata can't be written: " + err.Error())
	}
	if err := f.dev.Flush(); err != nil {
		return f.failed("the device can't be flushed: " + err.Error())
	}
	clear(j.home)
	j.used = 0
	return f.storeLogSuper(j.head, j.done+1)
}

// writeHome writes all of home, neighbours together.
func (f *FS) writeHome() error {
	blocks := make([]uint64, 0, len(f.j.home))
	for block := range f.j.home {
		blocks = append(blocks, block)
	}
	slices.Sort(blocks)
	for len(blocks) > 0 {
		var parts [][]byte
		for len(parts) < len(blocks) && len(parts) < maxPieces && blocks[len(parts)] == blocks[0]+uint64(len(parts)) {
			parts = append(parts, f.j.home[blocks[len(parts)]])
		}
		if err := f.dev.Write(f.offset(blocks[0]), parts...); err != nil {
			return err
		}
		blocks = blocks[len(parts):]
	}
	return nil
}

// maxPieces bounds how many blocks go to the device at once.
const maxPieces = 256

// storeLogSuper says where the log begins (0: it is empty) and with which
// transaction.
func (f *FS) storeLogSuper(start, sequence uint32) Errno {
	b := f.j.super
	putBE32(b[logStart:], start)
	putBE32(b[logSequence:], sequence)
	if err := f.writeLogSuper(); err != nil {
		return f.failed("the journal can't be written: " + err.Error())
	}
	return 0
}

func (f *FS) writeLogSuper() error {
	b := f.j.super
	putBE32(b[logSum:], logSuperSum(b))
	if err := f.dev.Write(f.offset(f.j.where[0].block), b); err != nil {
		return err
	}
	return f.dev.Flush()
}

func (f *FS) flush() Errno {
	if err := f.dev.Flush(); err != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.failed("the device can't be flushed: " + err.Error())
	}
	return 0
}
