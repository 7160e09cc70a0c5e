package ext4

import "syscall"

// buffer is one block of metadata in memory.
type buffer struct {
	block  uint64
	data   []byte
	joined bool // belongs to the running transaction
	// shared: data is also what a transaction that was committed holds, so
	// that it must be copied before it is changed.
	shared  bool
	checked bool // its checksum was looked at
}

// buffer returns a block of metadata. The caller holds f.mu; what it got is valid
// until it gives that up.
func (f *FS) buffer(block uint64) (*buffer, Errno) {
	if b := f.buffers[block]; b != nil {
		return b, 0
	}
	if block >= f.s.blocks {
		return nil, f.damaged("a block outside of the file system is referred to")
	}
	b := &buffer{block: block}
	if data := f.j.home[block]; data != nil {
		b.data, b.shared = data, true
	} else {
		b.data = make([]byte, f.s.blockSize)
		if err := f.dev.Read(f.offset(block), b.data); err != nil {
			f.report("a block can't be read: " + err.Error())
			return nil, syscall.EIO
		}
	}
	f.buffers[block] = b
	return b, 0
}

// fresh returns a buffer of zeros for a block that becomes metadata.
func (f *FS) fresh(block uint64) *buffer {
	b := &buffer{block: block, data: make([]byte, f.s.blockSize), checked: true}
	f.buffers[block] = b
	f.change(b)
	return b
}

// change makes a buffer part of the running transaction and returns its bytes,
// which may now be changed.
func (f *FS) change(b *buffer) []byte {
	if f.readOnly {
		panic("BUG: ext4: a change of a read-only file system")
	}
	if b.shared {
		b.data = append([]byte(nil), b.data...)
		b.shared = false
	}
	if !b.joined {
		b.joined = true
		f.j.running.buffers[b.block] = b
		f.wake()
	}
	return b.data
}

// forget drops a block of metadata that was freed, and sees to it that no replay
// of an older transaction writes it: the block may become a file's data.
func (f *FS) forget(block uint64) {
	delete(f.buffers, block)
	t := f.j.running
	delete(t.buffers, block)
	t.revoked = append(t.revoked, block)
}

// trim drops buffers that can be read again. It is called between operations only,
// since these rely on what they hold.
func (f *FS) trim() {
	if len(f.buffers) <= f.maxBuffers {
		return
	}
	for block, b := range f.buffers {
		if !b.joined && block != f.superBlock {
			delete(f.buffers, block)
		}
		if len(f.buffers) <= f.maxBuffers*3/4 {
			return
		}
	}
}

func (f *FS) offset(block uint64) int64 { return int64(block) * int64(f.s.blockSize) }
