package ext4

import "errors"

// errLog is what stops a replay: it must not go on, nor be given up silently.
var errLog = errors.New("its journal is damaged: run e2fsck on it")

// replayer reads the log of a file system that was not unmounted.
type replayer struct {
	f       *FS
	j       *journal
	tagSize int
	sums    bool              // blocks have checksums (version 2 or 3)
	revoked map[uint64]uint32 // last transaction that revoked a block
	end     uint32            // first transaction that is not there
	written int
}

// replay brings what the log holds to its place, and returns the number of the
// next transaction. It reads the log three times: for its end, for what was
// revoked, and to write.
func (f *FS) replay() (next uint32, err error) {
	b := f.j.super
	incompat := be32(b[0x28:])
	r := &replayer{f: f, j: &f.j, tagSize: 8, revoked: map[uint64]uint32{}}
	f.j.wide = incompat&logHas64 != 0
	r.sums = incompat&(logCsum2|logCsum3) != 0
	switch {
	case incompat&logCsum3 != 0:
		r.tagSize = 16
	case incompat&logCsum2 != 0:
		r.tagSize = 10
	}
	if f.j.wide && incompat&logCsum3 == 0 {
		r.tagSize += 4
	}
	start, first := be32(b[logStart:]), be32(b[logSequence:])
	if start == 0 {
		return first, nil
	}
	if start < f.j.first || start >= f.j.limit {
		return 0, errLog
	}
	if f.dev.ReadOnly() {
		return 0, errors.New("it was not unmounted and can't be put right, being read-only here: mount it for writing once")
	}
	for _, step := range []func(*replayer, logged) error{scanStep, revokeStep, writeStep} {
		if err := r.pass(start, first, step); err != nil {
			return 0, err
		}
	}
	if err := f.dev.Flush(); err != nil {
		return 0, err
	}
	return r.end, nil
}

// logged is one block of the log that has a header, and where it is.
type logged struct {
	kind, id uint32
	at       uint32
	data     []byte
}

// errEnd ends a pass.
var errEnd = errors.New("end of the log")

// pass calls step for each block with a header, as long as they are in sequence.
func (r *replayer) pass(start, id uint32, step func(*replayer, logged) error) error {
	scanning := r.end == 0
	at := start
	for count := uint32(0); count <= r.j.length(); count++ {
		if !scanning && id == r.end {
			return nil
		}
		b, err := r.read(at)
		if err != nil {
			return err
		}
		l := logged{be32(b[4:]), be32(b[8:]), at, b}
		if be32(b) != logMagic || l.id != id {
			break
		}
		if err := step(r, l); err != nil {
			if errors.Is(err, errEnd) {
				break
			}
			return err
		}
		at = r.j.after(at)
		switch l.kind {
		case logDescriptor:
			for range r.tags(l) {
				at = r.j.after(at)
				count++
			}
		case logCommit:
			id++
		case logRevoke:
		default:
			count = r.j.length() // no block that we know
		}
	}
	if scanning {
		r.end = id
		return nil
	}
	if id != r.end {
		return errLog
	}
	return nil
}

func (r *replayer) read(at uint32) ([]byte, error) {
	b := make([]byte, r.f.s.blockSize)
	return b, r.f.dev.Read(r.f.offset(r.j.place(at)), b)
}

// tailSum checks the checksum at the end of a descriptor or revoke block.
func (r *replayer) tailSum(b []byte) bool {
	n := len(b) - 4
	return !r.sums || crc32c(crc32c(r.j.seed, b[:n]), []byte{0, 0, 0, 0}) == be32(b[n:])
}

// scanStep stops at the first transaction that was not finished.
func scanStep(r *replayer, l logged) error {
	switch l.kind {
	case logDescriptor, logRevoke:
		if !r.tailSum(l.data) {
			return errEnd
		}
	case logCommit:
		if !r.sums {
			return nil
		}
		sum := be32(l.data[0x10:])
		putBE32(l.data[0x10:], 0)
		if crc32c(r.j.seed, l.data) != sum {
			return errEnd
		}
	}
	return nil
}

// revokeStep collects revoked blocks.
func revokeStep(r *replayer, l logged) error {
	if l.kind != logRevoke {
		return nil
	}
	size, n := 4, int(be32(l.data[12:]))
	if r.j.wide {
		size = 8
	}
	if n < 16 || n > len(l.data) {
		return errLog
	}
	for i := 16; i+size <= n; i += size {
		block := uint64(be32(l.data[i+size-4:]))
		if r.j.wide {
			block |= uint64(be32(l.data[i:])) << 32
		}
		r.revoked[block] = l.id
	}
	return nil
}

// tag is one block that a descriptor tells of.
type tag struct {
	block uint64
	flags uint32
	sum   uint32
}

// tags reads a descriptor.
func (r *replayer) tags(l logged) (list []tag) {
	b := l.data
	end := len(b)
	if r.sums {
		end -= 4
	}
	for n := 12; n+r.tagSize <= end; {
		t := tag{block: uint64(be32(b[n:]))}
		if r.tagSize == 16 {
			t.flags, t.sum = be32(b[n+4:]), be32(b[n+12:])
		} else {
			t.sum, t.flags = uint32(b[n+4])<<8|uint32(b[n+5]), uint32(b[n+6])<<8|uint32(b[n+7])
		}
		if r.j.wide {
			t.block |= uint64(be32(b[n+8:])) << 32
		}
		n += r.tagSize
		if t.flags&tagSameUUID == 0 {
			n += 16
		}
		list = append(list, t)
		if t.flags&tagLast != 0 {
			break
		}
	}
	return list
}

// writeStep writes the blocks of a descriptor to where they belong, unless a
// later transaction has revoked them.
func writeStep(r *replayer, l logged) error {
	if l.kind != logDescriptor {
		return nil
	}
	at := l.at
	for _, t := range r.tags(l) {
		at = r.j.after(at)
		if last, ok := r.revoked[t.block]; ok && int32(last-l.id) >= 0 {
			continue
		}
		b, err := r.read(at)
		if err != nil {
			return err
		}
		if !r.goodData(l.id, t, b) || t.block >= r.f.s.blocks {
			return errLog
		}
		if t.flags&tagEscape != 0 {
			putBE32(b, logMagic)
		}
		if err := r.f.dev.Write(r.f.offset(t.block), b); err != nil {
			return err
		}
		r.written++
	}
	return nil
}

// goodData checks a block's checksum, of which tags of 8 to 14 bytes hold 16 bits.
func (r *replayer) goodData(id uint32, t tag, b []byte) bool {
	if !r.sums {
		return true
	}
	sum := crc32c(crcOf32BE(r.j.seed, id), b)
	if r.tagSize != 16 {
		return uint16(sum) == uint16(t.sum)
	}
	return sum == t.sum
}
