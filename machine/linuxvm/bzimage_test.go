package linuxvm

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tinyELF is a 64-bit ELF file with one segment of notes.
func tinyELF(notes []byte) []byte {
	le := binary.LittleEndian
	b := []byte("\x7fELF\x02\x01\x01")
	b = append(b, make([]byte, 9)...)
	b = le.AppendUint16(b, uint16(elf.ET_EXEC))
	b = le.AppendUint16(b, uint16(elf.EM_X86_64))
	b = le.AppendUint32(b, 1)
	b = le.AppendUint64(b, 0x1000000) // entry
	b = le.AppendUint64(b, 64)        // program headers
	b = le.AppendUint64(b, 0)
	b = le.AppendUint32(b, 0)
	for _, v := range []uint16{64, 56, 1, 64, 0, 0} {
		b = le.AppendUint16(b, v)
	}
	b = le.AppendUint32(b, uint32(elf.PT_NOTE))
	b = le.AppendUint32(b, 4)
	for _, v := range []uint64{120, 0, 0, uint64(len(notes)), uint64(len(notes)), 4} {
		b = le.AppendUint64(b, v)
	}
	return append(b, notes...)
}

func note(owner string, typ uint32, desc []byte) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, uint32(len(owner)+1))
	b = le.AppendUint32(b, uint32(len(desc)))
	b = le.AppendUint32(b, typ)
	b = append(b, owner...)
	b = append(b, 0)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	b = append(b, desc...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func tinyKernel() []byte {
	return tinyELF(append(note("GNU", 3, []byte("id")), note("Xen", 18, []byte{0, 0, 0, 1})...))
}

// tinyImage is a bzImage of one sector of real-mode code with payload in it.
func tinyImage(payload []byte, release string) []byte {
	le := binary.LittleEndian
	b := make([]byte, 1024)
	b[setupSectors] = 1
	copy(b[setupMagic:], "HdrS")
	le.PutUint16(b[setupVersion:], 0x20f)
	le.PutUint16(b[setupRelease:], 0x300-0x200)
	copy(b[0x300:], release+" (someone@somewhere) #1")
	le.PutUint32(b[payloadOffset:], 16)
	le.PutUint32(b[payloadLength:], uint32(len(payload)))
	b = append(b, make([]byte, 16)...)
	return append(append(b, payload...), "more code"...)
}

func TestUnpackKernel(t *testing.T) {
	for name, payload := range map[string][]byte{
		"gzip": gzipped(t, tinyKernel()),
		"zstd": append(zstandard(t, tinyKernel()), 1, 2, 3, 4),
	} {
		got, err := unpackKernel(tinyImage(payload, "6.1.0-test"))
		if err != nil || !bytes.Equal(got, tinyKernel()) {
			t.Errorf("%s: %d bytes, error %v", name, len(got), err)
		}
	}
	if got, err := unpackKernel(tinyKernel()); err != nil || !bytes.Equal(got, tinyKernel()) {
		t.Errorf("vmlinux itself: %d bytes, error %v", len(got), err)
	}
}

func TestKernelRelease(t *testing.T) {
	got, err := kernelRelease(tinyImage(nil, "6.1.0-test"))
	if err != nil || got != "6.1.0-test" {
		t.Errorf("release %q, error %v", got, err)
	}
	for _, bad := range []string{"", "../../etc"} {
		if got, err := kernelRelease(tinyImage(nil, bad)); err == nil {
			t.Errorf("release %q of version text %q", got, bad)
		}
	}
}

func TestUnpackKernelRefuses(t *testing.T) {
	good := tinyImage(gzipped(t, tinyKernel()), "6.1.0-test")
	change := func(at int, to ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[at:], to)
		return b
	}
	for name, image := range map[string][]byte{
		"nothing":              nil,
		"text":                 []byte(strings.Repeat("no kernel ", 200)),
		"a header cut short":   good[:setupEnd-1],
		"a payload cut short":  good[:1100],
		"an old boot protocol": change(setupVersion, 0x05, 0x02),
		"a payload beyond it":  change(payloadOffset, 0xff, 0xff, 0xff, 0xff),
		"no payload":           change(payloadLength, 0, 0, 0, 0),
	} {
		if _, err := unpackKernel(image); !errors.Is(err, errNotKernel) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	noPVH := tinyImage(gzipped(t, tinyELF(note("Xen", 17, []byte{0}))), "6.1.0-test")
	if _, err := unpackKernel(noPVH); err == nil || !strings.Contains(err.Error(), "CONFIG_PVH") {
		t.Errorf("a kernel without a PVH entry: error %v", err)
	}
	noELF := tinyImage(gzipped(t, []byte("no ELF at all")), "6.1.0-test")
	if _, err := unpackKernel(noELF); err == nil {
		t.Error("a payload that is no ELF is no error")
	}
}

func TestUnpackInstalledKernel(t *testing.T) {
	if testing.Short() {
		t.Skip("unpacking a whole kernel takes seconds")
	}
	found, err := filepath.Glob("/boot/vmlinuz-*")
	if err != nil || len(found) == 0 {
		t.Skip("no kernel in /boot (Debian and Ubuntu: apt-get install linux-image-amd64)")
	}
	image, err := os.ReadFile(found[0])
	if err != nil {
		t.Skip(err) // Ubuntu lets only root read it
	}
	vmlinux, err := unpackKernel(image)
	if err != nil {
		t.Fatal(err)
	}
	release, err := kernelRelease(image)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(vmlinux, []byte("Linux version "+release)) {
		t.Errorf("%s does not say that it is Linux %s", found[0], release)
	}
}

func FuzzUnpackKernel(f *testing.F) {
	f.Add(tinyImage(gzipped(f, tinyKernel()), "6.1.0-test"))
	f.Add(tinyKernel())
	f.Fuzz(func(t *testing.T, image []byte) {
		if len(image) > 1<<16 {
			return
		}
		kernelRelease(image)
		unpackKernel(image)
	})
}
