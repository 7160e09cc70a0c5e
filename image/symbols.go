package image

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"

	"pith/cache"
)

// keepSymbols keeps what a debugger reads of the linked program, by its build ID: a
// later build of the same program doesn't touch it.
func (b *builder) keepSymbols(linked []byte) error {
	twin := symbolFile(b.cache, buildID(linked))
	return b.kept(twin, func() error {
		if err := os.MkdirAll(filepath.Dir(twin), 0o777); err != nil {
			return err
		}
		symbols, from, err := onlySymbols(linked)
		if err != nil {
			return err
		}
		return writeSparse(twin, symbols, from)
	})
}

// symbolFile is where the symbols of a program are kept.
func symbolFile(c *cache.Cache, id string) string {
	return c.Path(cache.Symbols, digest(id)+".elf")
}

// onlySymbols is a copy of a linked program that says of what a machine loads only
// where that is, as objcopy --only-keep-debug makes it. All stays at its offset, so
// that between the first page and from there is nothing but zeros.
func onlySymbols(linked []byte) (symbols []byte, from int64, err error) {
	l, err := parse(bytes.NewReader(linked), int64(len(linked)))
	if err != nil {
		return nil, 0, err
	}
	from = int64(max(l.loadedEnd(), pageSize))
	table := l.header.Shoff + uint64(l.header.Shnum)*sectionSize
	if table > uint64(len(linked)) || l.header.Shoff > uint64(len(linked)) || l.header.Shoff >= pageSize && l.header.Shoff < uint64(from) {
		return nil, 0, errors.New("what the linker wrote has no section headers where they should be")
	}
	symbols = bytes.Clone(linked)
	clear(symbols[pageSize:from])
	for at := l.header.Shoff; at < table; at += sectionSize {
		header := symbols[at:][:sectionSize]
		flags, offset := binary.LittleEndian.Uint64(header[8:]), binary.LittleEndian.Uint64(header[24:])
		if elf.SectionFlag(flags)&elf.SHF_ALLOC != 0 && offset >= pageSize {
			binary.LittleEndian.PutUint32(header[4:], uint32(elf.SHT_NOBITS))
		}
	}
	return symbols, from, nil
}
