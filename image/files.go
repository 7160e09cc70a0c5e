package image

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"

	"pith"
	"pith/abi"
)

// maxPacked is how many bytes of files an image may hold: it loads below 4 GiB,
// and the program lies there too.
const maxPacked = 1 << 30

// pack makes the records of an image's files. They depend on the files' names,
// permission bits and contents only.
func pack(files []pith.File) ([]byte, error) {
	if len(files) == 0 {
		return nil, nil
	}
	var records []byte
	for _, f := range slices.SortedStableFunc(slices.Values(files), byTarget) {
		info, err := os.Stat(f.Source)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, pith.Errorf("there is no %s to pack into the image", f.Source)
		}
		if err == nil {
			records, err = packFile(records, f.Source, f.Target, info)
		}
		if err != nil {
			return nil, pith.Errorf("%s can't be packed into the image: %w", f.Source, err)
		}
	}
	return abi.Record(records, abi.RecordEnd, nil), nil
}

// byTarget puts what is inside of a folder before the folder.
func byTarget(a, b pith.File) int {
	switch {
	case a.Target > b.Target:
		return -1
	case a.Target < b.Target:
		return 1
	}
	return 0
}

// packFile appends a file, or a folder behind its entries. Sockets, pipes and
// devices are refused: they mean nothing elsewhere.
func packFile(records []byte, from, name string, info fs.FileInfo) ([]byte, error) {
	mode := uint32(info.Mode().Perm())
	switch info.Mode().Type() {
	case fs.ModeDir:
		entries, err := os.ReadDir(from) // sorted by name
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				return nil, err
			}
			if records, err = packFile(records, filepath.Join(from, e.Name()), path.Join(name, e.Name()), info); err != nil {
				return nil, err
			}
		}
		return appendFile(records, name, syscall.S_IFDIR|mode, nil)
	case fs.ModeSymlink:
		to, err := os.Readlink(from)
		if err != nil {
			return nil, err
		}
		return appendFile(records, name, syscall.S_IFLNK|0o777, []byte(to))
	case 0:
		data, err := os.ReadFile(from)
		if err != nil {
			return nil, err
		}
		return appendFile(records, name, syscall.S_IFREG|mode, data)
	}
	return nil, pith.Errorf("%s is neither a file nor a folder nor a symbolic link", from)
}

// appendFile appends one record as abi.RecordFile describes it.
func appendFile(records []byte, name string, mode uint32, data []byte) ([]byte, error) {
	if len(records)+len(name)+len(data) > maxPacked {
		return nil, pith.Errorf("an image holds at most %d MiB of files: use a volume", maxPacked>>20)
	}
	payload := make([]byte, 0, 8+len(name)+len(data))
	payload = binary.LittleEndian.AppendUint32(payload, mode)
	payload = binary.LittleEndian.AppendUint32(payload, uint32(len(name)))
	payload = append(append(payload, name...), data...)
	return abi.Record(records, abi.RecordFile, payload), nil
}

// addPack appends the image's files in a segment of their own. In memory they
// lie behind what is loaded, and for a process behind all that it has.
func (l *layout) addPack(img *[]byte, records []byte) error {
	if len(records) == 0 {
		return nil
	}
	var virtual, physical uint64
	for _, s := range l.segments {
		switch {
		case elf.ProgType(s.Type) == elf.PT_LOAD:
			physical = max(physical, s.Paddr+s.Memsz)
			fallthrough
		case s.Type == abi.SegmentLazy:
			virtual = max(virtual, s.Vaddr+s.Memsz)
		}
	}
	virtual, physical = pageUp(virtual), pageUp(physical)
	size := uint64(len(records))
	if max(virtual, physical)+size > math.MaxUint32 {
		return pith.Errorf("program and files don't fit below 4 GiB")
	}
	*img = padTo(*img, pageSize)
	l.segments = append(l.segments, elf.Prog64{
		Type:   uint32(elf.PT_LOAD),
		Flags:  uint32(elf.PF_R) | abi.FlagPacked,
		Off:    uint64(len(*img)),
		Vaddr:  virtual,
		Paddr:  physical,
		Filesz: size,
		Memsz:  size,
		Align:  pageSize,
	})
	*img = append(*img, records...)
	return nil
}

func pageUp(n uint64) uint64 { return (n + pageSize - 1) &^ (pageSize - 1) }
