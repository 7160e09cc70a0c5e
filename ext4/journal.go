package ext4

import (
	"errors"
	"sync"
	"syscall"
)

// journal is the log of metadata changes (jbd2).
//
// Operations change buffers, which makes them part of the running transaction. A
// commit freezes it, writes it to the log and waits until it is on the device;
// meanwhile the next one runs. A checkpoint writes all that the log holds to
// where it belongs, which empties the log.
type journal struct {
	uuid  [16]byte
	seed  uint32
	wide  bool // block numbers have 64 bits
	where []piece
	first uint32 // log block
	limit uint32 // log blocks, the superblock's included
	super []byte // the log's superblock

	committing sync.Mutex // one commit or checkpoint at a time; before FS.mu
	head, used uint32     // log block to be written next; blocks since the last checkpoint

	// Guarded by FS.mu:
	running *transaction
	done    uint32 // last transaction that is on the device
	// home is what the log holds and must get to its place yet, by block. It
	// changes with committing held too.
	home map[uint64][]byte
}

// piece is where a part of the log lies.
type piece struct {
	logical uint32
	block   uint64
	n       uint32
}

// transaction is a set of changes that happen together or not at all.
type transaction struct {
	id      uint32
	buffers map[uint64]*buffer
	revoked []uint64        // blocks of which no older version may be replayed
	freed   []freed         // blocks that must not be used before
	ordered map[*Inode]bool // files whose data must be on the device before
}

func newTransaction(id uint32) *transaction {
	return &transaction{id: id, buffers: map[uint64]*buffer{}, ordered: map[*Inode]bool{}}
}

func (t *transaction) empty() bool { return len(t.buffers) == 0 && len(t.revoked) == 0 }

// Magic and types of the log's blocks.
const (
	logMagic      = 0xc03b3998
	logDescriptor = 1
	logCommit     = 2
	logSuper2     = 4
	logRevoke     = 5
)

// Features of the log.
const (
	logHasRevoke   = 0x1
	logHas64       = 0x2
	logAsync       = 0x4
	logCsum2       = 0x8
	logCsum3       = 0x10
	logFastCommit  = 0x20
	logKnown       = logHasRevoke | logHas64 | logAsync | logCsum2 | logCsum3 | logFastCommit
	logCrc32c      = 4 // checksum type
	logStart       = 0x1c
	logSequence    = 0x18
	logSum         = 0xfc
	logErrno       = 0x20
	leastLogBlocks = 64
)

// openJournal finds the log and reads its superblock.
func (f *FS) openJournal() error {
	in, errno := f.load(f.s.journal)
	if errno != 0 {
		return errors.New("its journal can't be read: run e2fsck on it")
	}
	defer f.drop(in)
	j := &f.j
	total := uint32(min(in.size()/uint64(f.s.blockSize), 1<<31))
	for at := uint32(0); at < total; {
		block, n, _, errno := f.find(in, at)
		if errno != 0 || block == 0 {
			return errors.New("its journal is damaged: run e2fsck on it")
		}
		n = min(n, total-at)
		j.where = append(j.where, piece{at, block, n})
		at += n
	}
	if total < leastLogBlocks {
		return errors.New("its journal is too small: run e2fsck on it")
	}
	j.super = make([]byte, f.s.blockSize)
	if err := f.dev.Read(f.offset(j.where[0].block), j.super); err != nil {
		return err
	}
	return j.parse(f.s.blockSize, total)
}

func (j *journal) parse(blockSize, total uint32) error {
	b := j.super
	damaged := errors.New("its journal is damaged: run e2fsck on it")
	if be32(b) != logMagic || be32(b[4:]) != logSuper2 || be32(b[0xc:]) != blockSize {
		return damaged
	}
	incompat := be32(b[0x28:])
	if unknown := incompat &^ logKnown; unknown != 0 {
		return errors.New("its journal uses features that Pith does not know (" + featureNames(unknown, [32]string{}) + "): mount it on Linux, or run e2fsck on it")
	}
	if incompat&(logCsum2|logCsum3) != 0 && (b[0x50] != logCrc32c || logSuperSum(b) != be32(b[logSum:])) {
		return damaged
	}
	j.first, j.limit = be32(b[0x14:]), be32(b[0x10:])
	if incompat&logFastCommit != 0 {
		fast := be32(b[0x54:])
		if fast == 0 {
			fast = 256
		}
		if fast >= j.limit {
			return damaged
		}
		j.limit -= fast
	}
	if j.first < 1 || j.limit > total || j.first+leastLogBlocks/2 > j.limit {
		return damaged
	}
	copy(j.uuid[:], b[0x30:])
	j.seed = crc32c(^uint32(0), j.uuid[:])
	return nil
}

func logSuperSum(b []byte) uint32 {
	crc := crc32c(^uint32(0), b[:logSum])
	crc = crc32c(crc, []byte{0, 0, 0, 0})
	return crc32c(crc, b[logSum+4:1024])
}

// place is where a log block lies.
func (j *journal) place(logical uint32) uint64 {
	for _, p := range j.where {
		if logical-p.logical < p.n {
			return p.block + uint64(logical-p.logical)
		}
	}
	panic("BUG: ext4: no such block of the log")
}

// after is the log block behind one: the log is a ring.
func (j *journal) after(logical uint32) uint32 {
	if logical+1 == j.limit {
		return j.first
	}
	return logical + 1
}

// length is how many blocks the ring has; maxTransaction how many changed blocks
// a transaction may have, so that one always fits.
func (j *journal) length() uint32         { return j.limit - j.first }
func (j *journal) maxTransaction() uint32 { return j.length() / 4 }

// size is how many log blocks a transaction takes.
func (j *journal) size(t *transaction, blockSize uint32) uint32 {
	perDescriptor := (blockSize - 12 - 4 - 16) / 16
	perRevoke := (blockSize - 16 - 4) / 8
	n, r := uint32(len(t.buffers)), uint32(len(t.revoked))
	return n + n/perDescriptor + 1 + r/perRevoke + 1 + 1
}

// begin starts an operation that changes at most blocks blocks of metadata. On
// success the caller holds f.mu and must call end.
func (f *FS) begin(blocks uint32) Errno {
	f.mu.Lock()
	for {
		if f.readOnly {
			f.mu.Unlock()
			return syscall.EROFS
		}
		t := f.j.running
		if f.j.size(t, f.s.blockSize)+blocks <= f.j.maxTransaction() || t.empty() {
			f.trim()
			return 0
		}
		f.mu.Unlock()
		if errno := f.commit(t.id); errno != 0 {
			return errno
		}
		f.mu.Lock()
	}
}

// beginWith is begin for an operation that takes up to need free blocks too.
func (f *FS) beginWith(blocks uint32, need uint64) Errno {
	for {
		if errno := f.begin(blocks); errno != 0 {
			return errno
		}
		if f.available() >= need {
			return 0
		}
		busy, id := f.busyBlocks, f.j.running.id
		f.mu.Unlock()
		if busy == 0 {
			return syscall.ENOSPC
		}
		if errno := f.commit(id); errno != 0 {
			return errno
		}
	}
}

func (f *FS) end() { f.mu.Unlock() }
