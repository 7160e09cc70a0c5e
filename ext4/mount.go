package ext4

import (
	"errors"
	"math/bits"
	"sync"
	"syscall"
	"time"
)

// errCorrupt is what operations return that met damage.
const errCorrupt = syscall.EIO

// Options say how to mount. The zero value is usable.
type Options struct {
	ReadOnly bool
	// Memory bounds what is kept of the file system, in bytes; 0 is 32 MiB.
	Memory int64
	// Report is told, in a sentence, why the file system went read-only or a
	// block can't be read; nil is nobody. It must not call the file system.
	Report func(sentence string)
	// Interval is how long changes may wait until they are written anyway; 0 is
	// five seconds, less than 0 until Sync.
	Interval time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// FS is a mounted file system. Its methods may be called from several goroutines.
type FS struct {
	dev        Device
	s          *super
	options    Options
	blockShift uint
	superBlock uint64

	maxBuffers, maxPages, maxNames int

	mu         sync.Mutex // guards all that follows, and inodes
	readOnly   bool
	broken     bool // it went read-only because something failed
	unmounted  bool
	j          journal
	buffers    map[uint64]*buffer
	groups     []group
	freeBlocks uint64
	busyBlocks uint64 // of these, what a commit must free before
	freeInodes uint64
	generation uint32
	inodes     map[uint32]*Inode
	orphans    []*Inode // the first one was added first
	named      int      // entries of directories in memory
	pages      pageList
	spare      [][]byte // memory of pages that had to go
	dirtyPages int
	timer      *time.Timer // set while something waits to be written
}

const (
	defaultMemory   = 32 << 20
	leastMemory     = 1 << 20
	defaultInterval = 5 * time.Second
)

// Mount opens the file system on a device. If it was not unmounted its journal is
// replayed, and what was deleted but in use is freed. The error is a sentence
// about the volume ("it holds no ext4 file system"); nothing was written then, but
// maybe for what the journal held.
//
// A file system that is marked as damaged, or that has features with which it must
// not be written, is mounted read-only, with a report.
func Mount(dev Device, o Options) (*FS, error) {
	b := make([]byte, superSize)
	if dev.Size() < superOffset+superSize {
		return nil, errors.New("it holds no ext4 file system")
	}
	if err := dev.Read(superOffset, b); err != nil {
		return nil, err
	}
	s, err := parseSuper(b, dev.Size())
	if err != nil {
		return nil, err
	}
	f := newFS(dev, s, o)
	f.mu.Lock()
	err = f.open()
	f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if f.readOnly {
		return f, nil
	}
	if errno := f.recoverOrphans(); errno != 0 {
		return nil, errors.New("it is damaged: run e2fsck on it")
	}
	return f, nil
}

func newFS(dev Device, s *super, o Options) *FS {
	if o.Memory == 0 {
		o.Memory = defaultMemory
	}
	if o.Interval == 0 {
		o.Interval = defaultInterval
	}
	blocks := int(max(o.Memory, leastMemory) / int64(s.blockSize))
	return &FS{
		dev: dev, s: s, options: o, blockShift: uint(bits.TrailingZeros32(s.blockSize)),
		superBlock: superOffset / uint64(s.blockSize),
		maxBuffers: blocks / 4, maxPages: blocks * 3 / 4, maxNames: blocks * 8,
		readOnly: o.ReadOnly || dev.ReadOnly(),
		buffers:  map[uint64]*buffer{}, inodes: map[uint32]*Inode{},
		j: journal{home: map[uint64][]byte{}},
	}
}

// open replays the journal, reads the groups and starts the journal.
func (f *FS) open() error {
	f.j.running = newTransaction(1)
	if f.s.compat&compatJournal == 0 || f.s.journal == 0 {
		f.demote("it has no journal, so it can only be read: make it with one to write")
		return f.loadGroups()
	}
	if err := f.loadGroups(); err != nil {
		return err
	}
	if err := f.openJournal(); err != nil {
		return err
	}
	next, err := f.replay()
	if err != nil {
		return err
	}
	if err := f.reread(); err != nil {
		return err
	}
	f.demoteFor(be32(f.j.super[logErrno:]))
	if f.readOnly {
		return nil
	}
	return f.startJournal(next)
}

// reread reads what the replay may have changed.
func (f *FS) reread() error {
	clear(f.buffers)
	clear(f.inodes)
	f.groups, f.freeBlocks, f.freeInodes = nil, 0, 0
	b, errno := f.buffer(f.superBlock)
	if errno != 0 {
		return errors.New("its superblock can't be read")
	}
	s, err := parseSuper(b.data[superOffset%f.s.blockSize:][:superSize], f.dev.Size())
	if err != nil {
		return err
	}
	f.s = s
	return f.loadGroups()
}

// demoteFor makes the file system read-only if it must not be written.
func (f *FS) demoteFor(logError uint32) {
	unknown := f.s.ro &^ rosKnown
	switch {
	case unknown != 0:
		f.demote("it uses features of ext4 with which Pith can only read it (" + featureNames(unknown, roNames) + ")")
	case f.s.state&stateErrors != 0 || logError != 0:
		f.demote("it is marked as damaged, so it is read-only: run e2fsck on it")
	}
}

func (f *FS) demote(sentence string) {
	if !f.readOnly {
		f.report(sentence)
	}
	f.readOnly = true
}

// startJournal marks the file system as in use and the log as empty, with the
// features that Linux uses too.
func (f *FS) startJournal(next uint32) error {
	j := &f.j
	b := j.super
	j.wide = f.s.incompat&incompat64 != 0
	incompat := be32(b[0x28:])&logFastCommit | logHasRevoke | logCsum3
	if j.wide {
		incompat |= logHas64
	}
	putBE32(b[0x24:], 0)
	putBE32(b[0x28:], incompat)
	b[0x50] = logCrc32c
	next = max(next, 1)
	j.head, j.done = j.first, next-1
	j.running = newTransaction(next)
	f.generation = uint32(f.clock().UnixNano())
	// In this order: a log that holds something must never be on the device
	// without the mark that it is needed.
	if err := f.markInUse(true); err != nil {
		return err
	}
	if errno := f.storeLogSuper(j.head, next); errno != 0 {
		return errors.New("its journal can't be written")
	}
	return nil
}

// markInUse says in the superblock that the journal is needed, or not any more.
func (f *FS) markInUse(in bool) error {
	b, errno := f.buffer(f.superBlock)
	if errno != 0 {
		return errors.New("its superblock can't be read")
	}
	if b.shared {
		b.data, b.shared = append([]byte(nil), b.data...), false
	}
	if in {
		f.s.incompat |= incompatRecover
	} else {
		f.s.incompat &^= incompatRecover
	}
	put32(f.superBytes()[0x60:], f.s.incompat)
	f.sealSuper(f.superBytes())
	if err := f.dev.Write(f.offset(b.block), b.data); err != nil {
		return err
	}
	return f.dev.Flush()
}

// superBytes is the superblock's buffer, which is always there.
func (f *FS) superBytes() []byte {
	return f.buffers[f.superBlock].data[superOffset%f.s.blockSize:][:superSize]
}

// changeSuper changes the superblock, as part of the transaction.
func (f *FS) changeSuper(set func(b []byte)) Errno {
	b, errno := f.buffer(f.superBlock)
	if errno != 0 {
		return errno
	}
	f.change(b)
	set(f.superBytes())
	f.sealSuper(f.superBytes())
	return 0
}

// sealSuper sets what the superblock counts, and its checksum.
func (f *FS) sealSuper(b []byte) {
	put32(b[0xc:], uint32(f.freeBlocks))
	if f.s.incompat&incompat64 != 0 {
		put32(b[0x158:], uint32(f.freeBlocks>>32))
	}
	put32(b[0x10:], uint32(f.freeInodes))
	put32(b[0x30:], uint32(f.clock().Unix()))
	if f.s.csum() {
		put32(b[0x3fc:], crc32c(^uint32(0), b[:0x3fc]))
	}
}

// Unmount writes everything and marks the file system as clean. Nothing can be
// changed afterwards.
func (f *FS) Unmount() Errno {
	errno := f.SyncAll()
	j := &f.j
	j.committing.Lock()
	defer j.committing.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.timer != nil {
		f.timer.Stop()
	}
	if f.readOnly || errno != 0 {
		return errno
	}
	if !j.running.empty() {
		return syscall.EBUSY
	}
	if errno := f.checkpoint(); errno != 0 {
		return errno
	}
	if errno := f.storeLogSuper(0, j.done+1); errno != 0 {
		return errno
	}
	if err := f.markInUse(false); err != nil {
		return f.failed("the superblock can't be written: " + err.Error())
	}
	f.readOnly = true
	return 0
}

// damaged makes the file system read-only: it says something that can't be true. The
// log remembers, for whoever mounts it next.
func (f *FS) damaged(what string) Errno {
	if f.fail("the file system is damaged (" + what + "), so it is read-only from now on: run e2fsck on it") {
		f.markDamaged()
	}
	return errCorrupt
}

// failed does the same for a device that doesn't do what it is told. What the log
// holds by then is sound, so that the next mount has nothing to be warned of.
func (f *FS) failed(what string) Errno {
	f.fail(what + ": the file system is read-only until it is mounted again")
	return syscall.EIO
}

// fail stops all writing; the running transaction is lost. It tells whether something
// could be written until now.
func (f *FS) fail(sentence string) (could bool) {
	if f.broken {
		return false
	}
	could = !f.readOnly
	f.broken, f.readOnly = true, true
	f.report(sentence)
	return could
}

func (f *FS) markDamaged() {
	if f.j.super == nil || f.dev.ReadOnly() {
		return
	}
	const corrupt = 117
	putBE32(f.j.super[logErrno:], ^uint32(corrupt)+1)
	if err := f.writeLogSuper(); err != nil {
		f.report("the journal can't be written: " + err.Error())
	}
}

func (f *FS) report(sentence string) {
	if f.options.Report != nil {
		f.options.Report(sentence)
	}
}

func (f *FS) clock() time.Time {
	if f.options.Now != nil {
		return f.options.Now()
	}
	return time.Now()
}

func (f *FS) now() (int64, uint32) {
	t := f.clock()
	return t.Unix(), uint32(t.Nanosecond())
}

// wake sees to it that what has changed gets written after a while. The caller
// holds f.mu.
func (f *FS) wake() {
	if f.timer != nil || f.options.Interval < 0 {
		return
	}
	f.timer = time.AfterFunc(f.options.Interval, func() {
		f.mu.Lock()
		f.timer = nil
		f.mu.Unlock()
		f.SyncAll()
	})
}

// ReadOnly tells whether the file system can't be changed.
func (f *FS) ReadOnly() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.readOnly
}
