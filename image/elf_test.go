package image

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pith"
	"pith/abi"
)

// sample is a small image, made by hand: text, data and a note.
func sample(t testing.TB, m pith.Manifest) []byte {
	t.Helper()
	l := &layout{}
	copy(l.header.Ident[:], elf.ELFMAG)
	l.header.Ident[elf.EI_CLASS], l.header.Ident[elf.EI_DATA] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB)
	l.header.Type, l.header.Machine, l.header.Version = uint16(elf.ET_EXEC), uint16(elf.EM_X86_64), 1
	l.header.Phoff, l.header.Phentsize, l.header.Ehsize = headerSize, segmentSize, headerSize
	l.header.Entry = 0x401000
	l.segments = []elf.Prog64{
		{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Vaddr: 0x400000, Paddr: 0x400000, Filesz: 0x1100, Memsz: 0x1100},
		{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_W), Off: 0x1100, Vaddr: 0x402000, Paddr: 0x402000, Filesz: 0x100, Memsz: 0x5000},
	}
	img := make([]byte, 0x1200)
	if err := l.addNotes(&img, m); err != nil {
		t.Fatal(err)
	}
	if err := l.writeHead(img, 0x1000); err != nil {
		t.Fatal(err)
	}
	return img
}

func readBytes(data []byte) (pith.Manifest, error) {
	m, _, err := read(bytes.NewReader(data), int64(len(data)))
	return m, err
}

func TestReadSample(t *testing.T) {
	want := pith.Manifest{ABI: abi.Version, Name: "sample", Memory: 1 << 20}
	m, err := readBytes(sample(t, want))
	if err != nil || m.Name != want.Name || m.Memory != want.Memory {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	good := sample(t, pith.Manifest{ABI: abi.Version, Name: "sample"})
	at := func(offset int, value ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[offset:], value)
		return b
	}
	segment := func(i int) int { return headerSize + i*segmentSize }
	noNotes := at(segment(2), byte(elf.PT_NULL))
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ordinary, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "is no image"},
		{"text", []byte("#!/bin/sh\nexit 0\n"), "is no image"},
		{"compressed", []byte("\xfd7zXZ\x00...."), "is compressed"},
		{"only the magic number", good[:4], "is cut short"},
		{"cut in the header", good[:60], "is cut short"},
		{"cut in the program headers", good[:100], "is cut short"},
		{"cut in the data", good[:0x1150], "is cut short"},
		{"cut in the notes", good[:len(good)-3], "is cut short"},
		{"other machine", at(18, byte(elf.EM_AARCH64)), "not an executable for x86-64"},
		{"32 bits", at(4, byte(elf.ELFCLASS32)), "not an executable for x86-64"},
		{"no segments", at(56, 0, 0), "is a damaged image"},
		{"very many segments", at(56, 0xff, 0xff), "is a damaged image"},
		{"program headers nowhere", at(32, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), "is cut short"},
		{"segment longer in the file than in memory", at(segment(0)+40, 1, 0), "is a damaged image"},
		{"segment whose end wraps around", at(segment(1)+16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), "is a damaged image"},
		{"segments that overlap", at(segment(1)+16, 0, 0x10, 0x40, 0, 0, 0, 0, 0, 0, 0x10, 0x40), "is a damaged image"},
		{"entry outside", at(24, 0, 0x20, 0x40), "is a damaged image"},
		{"no note", noNotes, "no image: build one"},
		{"an ordinary program", ordinary, "no image: build one"},
		{"another version", sample(t, pith.Manifest{ABI: abi.Version + 1}), "another version of Pith"},
		{"manifest that is none", bytes.Replace(good, []byte(`{"abi"`), []byte(`["abi"`), 1), "is a damaged image"},
		{"manifest of other types", bytes.Replace(good, []byte(`"name":"sample"`), []byte(`"name":12345678`), 1), "is a damaged image"},
		{"no entry note", bytes.Replace(good, []byte("Xen\x00"), []byte("Zen\x00"), 1), "is a damaged image"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "x.elf")
			if err := os.WriteFile(file, test.data, 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := Open(file)
			if pith.ExitCode(err) != 2 || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), file) {
				t.Errorf("err = %v, want %q", err, test.want)
			}
		})
	}
	for _, path := range []string{t.TempDir(), "/nowhere.elf", "/dev/null"} {
		if _, err := Open(path); pith.ExitCode(err) != 2 {
			t.Errorf("Open(%s): %v", path, err)
		}
	}
}

func TestNotes(t *testing.T) {
	b := appendNote(nil, "Xen", abi.NotePVH, make([]byte, 8))
	if len(b) != 12+4+8 {
		t.Errorf("PVH note of %d bytes", len(b))
	}
	b = appendNote(b, "Pith", 1, []byte("12345"))
	owner, typ, desc, rest, ok := nextNote(b)
	if !ok || owner != "Xen" || typ != abi.NotePVH || len(desc) != 8 {
		t.Errorf("%q %d %q %v", owner, typ, desc, ok)
	}
	owner, typ, desc, rest, ok = nextNote(rest)
	if !ok || owner != "Pith" || typ != 1 || string(desc) != "12345" || len(rest) != 0 {
		t.Errorf("%q %d %q %q %v", owner, typ, desc, rest, ok)
	}
}

// TestSegments looks at a real image as a loader does.
func TestSegments(t *testing.T) {
	dir := tree(t, map[string]string{"go.mod": gomod, "main.go": `
package main

import "os"

var big [64 << 20]byte

func main() { if len(os.Args) > 5 { big[len(os.Args)] = 1; println(big[0]) } }
`})
	for _, strip := range []bool{true, false} {
		img := mustBuild(t, Options{Dir: dir, Strip: strip})
		f, err := elf.Open(img.Path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var pvh, last, lazy *elf.Prog
		for _, p := range f.Progs {
			switch p.Type {
			case elf.PT_LOAD:
				last = p
				if p.Paddr != p.Vaddr {
					t.Errorf("physical address %#x, virtual %#x", p.Paddr, p.Vaddr)
				}
			case elf.PT_NOTE:
				pvh = p
			case abi.SegmentLazy:
				lazy = p
			case elf.PT_PHDR:
				if p.Filesz != uint64(len(f.Progs))*segmentSize {
					t.Errorf("PT_PHDR has %d bytes for %d segments", p.Filesz, len(f.Progs))
				}
			}
		}
		note := make([]byte, 24)
		if _, err := pvh.ReadAt(note, 0); err != nil {
			t.Fatal(err)
		}
		if got := binary.LittleEndian.Uint64(note[16:]); got != f.Entry || binary.LittleEndian.Uint32(note[8:]) != abi.NotePVH {
			t.Errorf("PVH entry %#x, ELF entry %#x", got, f.Entry)
		}
		if lazy == nil || lazy.Memsz < 60<<20 || lazy.Vaddr%pageSize != 0 || lazy.Vaddr != last.Vaddr+last.Memsz {
			t.Errorf("lazy segment %+v behind %+v", lazy, last)
		}
		if img.Manifest.Memory > 16<<20 {
			t.Errorf("least memory %d counts what is never touched", img.Manifest.Memory)
		}
		if !strip && f.Section(".symtab") == nil {
			t.Error("the symbol table is gone")
		}
	}
}

func TestManifestTooLarge(t *testing.T) {
	img := make([]byte, 64)
	err := (&layout{}).addNotes(&img, pith.Manifest{Env: []string{strings.Repeat("x", maxNotes)}})
	if pith.ExitCode(err) != 2 {
		t.Errorf("err = %v", err)
	}
}

func TestManifestIsStable(t *testing.T) {
	text, err := json.Marshal(pith.Manifest{ABI: 1, Name: "a", Go: "go1.26.8", Package: "p", Stack: "inet", Kernel: "k", Memory: 1})
	if want := `{"abi":1,"name":"a","go":"go1.26.8","package":"p","stack":"inet","kernel":"k","memory":1}`; err != nil || string(text) != want {
		t.Errorf("got %s, want %s", text, want)
	}
}

func FuzzOpen(f *testing.F) {
	good := sample(f, pith.Manifest{ABI: abi.Version, Name: "sample"})
	f.Add(good)
	f.Add(good[:100])
	f.Add([]byte("\xfd7zXZ\x00"))
	f.Add(bytes.Replace(good, []byte("Pith\x00"), []byte("Pith\xff"), 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := readBytes(data)
		if err == nil && m.ABI != abi.Version {
			t.Errorf("an image of ABI %d was taken", m.ABI)
		}
	})
}
