package linuxvm

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// plain is what the files named plain and legacy in testdata hold.
func plain() []byte {
	text := []byte(strings.Repeat("Pith ", 400))
	for i := range 256 {
		text = append(text, byte(i))
	}
	return text
}

func testdata(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func gzipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zstandard(t testing.TB, data []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(data, nil)
}

func packed(t testing.TB) map[string][]byte {
	return map[string][]byte{
		"gzip":  gzipped(t, plain()),
		"zstd":  zstandard(t, plain()),
		"xz":    testdata(t, "plain.xz"),
		"lz4":   testdata(t, "legacy.lz4"),
		"bzip2": testdata(t, "plain.bz2"),
		"lzma":  testdata(t, "plain.lzma"),
	}
}

func TestDecompress(t *testing.T) {
	for name, data := range packed(t) {
		got, err := decompress(data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !bytes.Equal(got, plain()) {
			t.Errorf("%s: %d other bytes than were packed", name, len(got))
		}
	}
}

// A kernel's build appends the unpacked size, least byte first.
func TestDecompressIgnoresAppendedSize(t *testing.T) {
	for name, data := range packed(t) {
		if name == "bzip2" {
			continue // the library wants another stream or nothing there
		}
		got, err := decompress(append(bytes.Clone(data), 0xd0, 0x08, 0, 0))
		if err != nil || !bytes.Equal(got, plain()) {
			t.Errorf("%s with a size behind it: %d bytes, error %v", name, len(got), err)
		}
	}
}

func TestDecompressRefusesWhatIsCut(t *testing.T) {
	for name, data := range packed(t) {
		for _, n := range []int{0, 1, 5, len(data) / 2} {
			got, err := decompress(data[:n])
			if err == nil && bytes.Equal(got, plain()) {
				t.Errorf("%s: %d of %d bytes unpack to all of it", name, n, len(data))
			}
			if err == nil && name != "lz4" { // a legacy LZ4 frame has no end mark
				t.Errorf("%s: %d of %d bytes are no error", name, n, len(data))
			}
		}
	}
}

func TestDecompressUnknown(t *testing.T) {
	if _, err := decompress([]byte("\x89LZO\x00\x0d")); err == nil || !strings.Contains(err.Error(), "89 4c 5a") {
		t.Errorf("error %v doesn't show the first bytes", err)
	}
}

func TestUnxzWithX86Filter(t *testing.T) {
	got, err := unxz(testdata(t, "x86.xz"))
	if err != nil {
		t.Fatal(err)
	}
	const want = "297923cc85c4c6d05286acc09fa9b62c381a902cdf9a16866450b3989499a872"
	if sum := sha256.Sum256(got); hex.EncodeToString(sum[:]) != want {
		t.Errorf("%d bytes with SHA-256 %x, want %s", len(got), sum, want)
	}
}

// Damage to a chunk's packed length may do no harm; wrong bytes must not come out.
func TestUnxzFindsDamage(t *testing.T) {
	whole := testdata(t, "x86.xz")
	want, err := unxz(whole)
	if err != nil {
		t.Fatal(err)
	}
	// Behind the block are its checksum and the index, which isn't read.
	for at := range len(whole) - 40 {
		if at < len(xzMagic) {
			continue
		}
		damaged := bytes.Clone(whole)
		damaged[at] ^= 0x10
		if got, err := unxz(damaged); err == nil && !bytes.Equal(got, want) {
			t.Errorf("damage to byte %d of %d goes unnoticed", at, len(whole))
		}
	}
}

func FuzzDecompress(f *testing.F) {
	for _, data := range packed(f) {
		f.Add(data)
	}
	f.Add(testdata(f, "x86.xz"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		if out, err := decompress(data); err == nil && len(out) > maxUnpacked {
			t.Errorf("%d bytes", len(out))
		}
	})
}
