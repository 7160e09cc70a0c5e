package image

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"pith"
	"pith/abi"
)

// Sizes and limits of ELF files. An image loads below 4 GiB, where the 32-bit
// code at its entry reaches it.
const (
	headerSize  = 64
	segmentSize = 56
	sectionSize = 64
	maxSegments = 64
	maxNotes    = 1 << 20
	maxAddress  = 1 << 32
	pageSize    = 4096
)

// lazyLeast is the size in bytes from which a zeroed variable is left to the
// first use. One of 32 MiB is in every program that imports crypto/tls, though
// only its FIPS mode needs it; a loader would clear it at every start.
const lazyLeast = 1 << 20

// Errors of parse. The words complete "FILE ...".
var (
	errNoELF     = errors.New("is no image")
	errCutShort  = errors.New("is cut short")
	errOtherELF  = errors.New("is an ELF file, but not an executable for x86-64")
	errMalformed = errors.New("is a damaged image")
)

// layout is what the head of an ELF file says.
type layout struct {
	header   elf.Header64
	segments []elf.Prog64
}

// parse reads and checks the head of an ELF file of size bytes: an executable
// for x86-64 whose segments lie inside the file and don't overlap.
func parse(r io.ReaderAt, size int64) (*layout, error) {
	head := make([]byte, headerSize)
	if n, _ := r.ReadAt(head, 0); n < 4 || string(head[:4]) != elf.ELFMAG {
		return nil, errNoELF
	}
	if size < headerSize {
		return nil, errCutShort
	}
	l := &layout{}
	if err := binary.Read(bytes.NewReader(head), binary.LittleEndian, &l.header); err != nil {
		return nil, err
	}
	h := &l.header
	if h.Ident[elf.EI_CLASS] != byte(elf.ELFCLASS64) || h.Ident[elf.EI_DATA] != byte(elf.ELFDATA2LSB) ||
		h.Type != uint16(elf.ET_EXEC) || h.Machine != uint16(elf.EM_X86_64) {
		return nil, errOtherELF
	}
	if h.Phentsize != segmentSize || h.Phnum == 0 || h.Phnum > maxSegments {
		return nil, errMalformed
	}
	table := int64(h.Phnum) * segmentSize
	if h.Phoff > uint64(size) || table > size-int64(h.Phoff) {
		return nil, errCutShort
	}
	l.segments = make([]elf.Prog64, h.Phnum)
	if err := binary.Read(io.NewSectionReader(r, int64(h.Phoff), table), binary.LittleEndian, l.segments); err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	return l, l.check(uint64(size))
}

// check looks at the segments of a file of size bytes.
func (l *layout) check(size uint64) error {
	var end uint64    // of the last segment in memory
	var loaded uint64 // of the last one that is loaded
	entry := false
	for _, s := range l.segments {
		typ := elf.ProgType(s.Type)
		if typ != elf.PT_LOAD && typ != elf.PT_NOTE && typ != abi.SegmentLazy {
			continue
		}
		if s.Off > size || s.Filesz > size-s.Off {
			return errCutShort
		}
		if typ == elf.PT_NOTE {
			continue
		}
		if s.Filesz > s.Memsz || s.Memsz > maxAddress || s.Vaddr > maxAddress-s.Memsz || !placed(s, loaded) {
			return errMalformed
		}
		if s.Vaddr < end {
			return errMalformed
		}
		end = s.Vaddr + s.Memsz
		if typ == elf.PT_LOAD {
			loaded = s.Paddr + s.Memsz
		}
		inside := l.header.Entry >= s.Vaddr && l.header.Entry < s.Vaddr+s.Filesz
		entry = entry || inside && typ == elf.PT_LOAD && elf.ProgFlag(s.Flags)&elf.PF_X != 0
	}
	if !entry {
		return errMalformed
	}
	return nil
}

// placed tells whether a segment is loaded where it is linked or, if it holds
// the image's files, between what is loaded already and there.
func placed(s elf.Prog64, loaded uint64) bool {
	if s.Flags&abi.FlagPacked != 0 {
		return s.Paddr >= loaded && s.Paddr <= s.Vaddr
	}
	return s.Paddr == s.Vaddr
}

// notes calls f for each note of a file until f returns false. What lies in
// the file is not trusted.
func (l *layout) notes(r io.ReaderAt, f func(owner string, typ uint32, desc []byte) bool) error {
	for _, s := range l.segments {
		if elf.ProgType(s.Type) != elf.PT_NOTE {
			continue
		}
		if s.Filesz > maxNotes {
			return errMalformed
		}
		data := make([]byte, s.Filesz)
		if _, err := r.ReadAt(data, int64(s.Off)); err != nil && err != io.EOF {
			return fmt.Errorf("cannot be read: %w", err)
		}
		for len(data) > 0 {
			owner, typ, desc, rest, ok := nextNote(data)
			if !ok {
				return errMalformed
			}
			if !f(owner, typ, desc) {
				return nil
			}
			data = rest
		}
	}
	return nil
}

// nextNote splits the first note off data (System V ABI, chapter 5; words and
// padding of four bytes).
func nextNote(data []byte) (owner string, typ uint32, desc, rest []byte, ok bool) {
	if len(data) < 12 {
		return "", 0, nil, nil, false
	}
	nameLen := uint64(binary.LittleEndian.Uint32(data))
	descLen := uint64(binary.LittleEndian.Uint32(data[4:]))
	typ = binary.LittleEndian.Uint32(data[8:])
	data = data[12:]
	if pad4(nameLen) > uint64(len(data)) || descLen > uint64(len(data))-pad4(nameLen) {
		return "", 0, nil, nil, false
	}
	owner = string(bytes.TrimRight(data[:nameLen], "\x00"))
	data = data[pad4(nameLen):]
	return owner, typ, data[:descLen], data[min(pad4(descLen), uint64(len(data))):], true
}

// appendNote appends one note.
func appendNote(b []byte, owner string, typ uint32, desc []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(owner)+1))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(desc)))
	b = binary.LittleEndian.AppendUint32(b, typ)
	b = padTo(append(b, owner+"\x00"...), 4)
	return padTo(append(b, desc...), 4)
}

func pad4(n uint64) uint64 { return (n + 3) &^ 3 }

// padTo appends zeros until b's length is a multiple of n.
func padTo(b []byte, n int) []byte {
	for len(b)%n != 0 {
		b = append(b, 0)
	}
	return b
}

// makeImage makes an image of a linked program: its segments, with or without
// its sections, the records of its files, and the notes.
func makeImage(linked, files []byte, m pith.Manifest, strip bool) ([]byte, error) {
	l, err := parse(bytes.NewReader(linked), int64(len(linked)))
	if err != nil {
		return nil, fmt.Errorf("what the linker wrote %w", err)
	}
	room, err := l.headerRoom(linked)
	if err != nil {
		return nil, err
	}
	l.splitLazy(linked)

	img := slices.Clone(linked)
	if strip {
		img = img[:l.loadedEnd()]
		l.header.Shoff, l.header.Shnum, l.header.Shstrndx = 0, 0, 0
	} else {
		img = padTo(img, 8)
		sections := linked[l.header.Shoff:][:int(l.header.Shnum)*sectionSize]
		l.header.Shoff = uint64(len(img))
		img = append(img, sections...)
	}
	img = padTo(img, 8)
	if err := l.addPack(&img, files); err != nil {
		return nil, err
	}
	m.Memory = LeastMemory(l.segments)
	img = padTo(img, 8)
	if err := l.addNotes(&img, m); err != nil {
		return nil, err
	}
	return img, l.writeHead(img, room)
}

// headerRoom returns how many bytes at the file's begin are free for the ELF
// header and program headers: all before the first contents. Go's linker
// reserves a page there and keeps the section headers in it, which move.
func (l *layout) headerRoom(linked []byte) (uint64, error) {
	f, err := elf.NewFile(bytes.NewReader(linked))
	if err != nil {
		return 0, fmt.Errorf("what the linker wrote: %w", err)
	}
	room := uint64(len(linked))
	for _, s := range f.Sections {
		if s.Type != elf.SHT_NULL && s.Type != elf.SHT_NOBITS {
			room = min(room, s.Offset)
		}
	}
	if room > pageSize || l.header.Phoff != headerSize {
		return 0, errors.New("the linked program has no room for program headers where it should be")
	}
	return room, nil
}

// loadedEnd is where the file contents of the segments end.
func (l *layout) loadedEnd() (end uint64) {
	for _, s := range l.segments {
		if elf.ProgType(s.Type) == elf.PT_LOAD {
			end = max(end, s.Off+s.Filesz)
		}
	}
	return end
}

// splitLazy cuts large zeroed variables off the end of the last segment and
// gives them one of type abi.SegmentLazy. Go's linker sorts zeroed variables
// by size, so that they are the last.
func (l *layout) splitLazy(linked []byte) {
	last := -1
	for i, s := range l.segments {
		if elf.ProgType(s.Type) == elf.PT_LOAD {
			last = i
		}
	}
	s := &l.segments[last]
	end := s.Vaddr + s.Memsz
	cut := max(largeTail(linked, end), s.Vaddr+s.Filesz)
	cut = (cut + pageSize - 1) &^ (pageSize - 1)
	if cut >= end {
		return
	}
	s.Memsz = cut - s.Vaddr
	l.segments = append(l.segments, elf.Prog64{
		Type:  abi.SegmentLazy,
		Flags: uint32(elf.PF_R | elf.PF_W),
		Vaddr: cut,
		Paddr: cut,
		Memsz: end - cut,
		Align: pageSize,
	})
}

// largeTail returns the address from which only large zeroed variables lie
// below end; end where there are none, or where the symbols are gone.
func largeTail(linked []byte, end uint64) uint64 {
	const slack = 64 // alignment between variables
	f, err := elf.NewFile(bytes.NewReader(linked))
	if err != nil {
		return end
	}
	symbols, err := f.Symbols()
	if err != nil {
		return end
	}
	slices.SortFunc(symbols, func(a, b elf.Symbol) int {
		switch {
		case a.Value > b.Value:
			return -1
		case a.Value < b.Value:
			return 1
		}
		return 0
	})
	tail := end
	for _, s := range symbols {
		if s.Size == 0 || s.Value >= tail || elf.ST_TYPE(s.Info) != elf.STT_OBJECT {
			continue
		}
		if s.Size < lazyLeast || s.Value+s.Size+slack < tail {
			return tail
		}
		tail = s.Value
	}
	return tail
}

// addNotes appends the notes to the image, in a segment that isn't loaded.
func (l *layout) addNotes(img *[]byte, m pith.Manifest) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	// The entry is written in eight bytes: QEMU reads as many in a 64-bit file.
	notes := appendNote(nil, "Xen", abi.NotePVH, binary.LittleEndian.AppendUint64(nil, l.header.Entry))
	notes = appendNote(notes, abi.NoteOwner, abi.NoteImage, text)
	if len(notes) > maxNotes {
		return pith.Errorf("the image's default arguments and environment are too large: %d bytes of %d", len(notes), maxNotes)
	}
	l.segments = append(l.segments, elf.Prog64{
		Type:   uint32(elf.PT_NOTE),
		Flags:  uint32(elf.PF_R),
		Off:    uint64(len(*img)),
		Filesz: uint64(len(notes)),
		Memsz:  uint64(len(notes)),
		Align:  4,
	})
	*img = append(*img, notes...)
	return nil
}

// writeHead writes the ELF header and program headers into the image's first
// room bytes, and zeros behind them.
func (l *layout) writeHead(img []byte, room uint64) error {
	size := uint64(len(l.segments)) * segmentSize
	if headerSize+size > room {
		return fmt.Errorf("no room for %d program headers in %d bytes", len(l.segments), room)
	}
	for i := range l.segments {
		if s := &l.segments[i]; elf.ProgType(s.Type) == elf.PT_PHDR {
			s.Filesz, s.Memsz = size, size
		}
	}
	l.header.Phnum = uint16(len(l.segments))
	var head bytes.Buffer
	if err := binary.Write(&head, binary.LittleEndian, &l.header); err != nil {
		return err
	}
	if err := binary.Write(&head, binary.LittleEndian, l.segments); err != nil {
		return err
	}
	clear(img[copy(img, head.Bytes()):room])
	return nil
}

// buildID is the go command's ID of a linked program, "" if it has none (see
// cmd/internal/buildid: owner "Go", type 4).
func buildID(linked []byte) string {
	r := bytes.NewReader(linked)
	l, err := parse(r, int64(len(linked)))
	if err != nil {
		return ""
	}
	return l.buildID(r)
}

func (l *layout) buildID(r io.ReaderAt) (id string) {
	l.notes(r, func(owner string, typ uint32, desc []byte) bool { // a damaged note has no ID
		if owner == "Go" && typ == 4 {
			id = string(desc)
		}
		return id == ""
	})
	return id
}
