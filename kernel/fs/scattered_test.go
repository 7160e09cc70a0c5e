package fs

import (
	"bytes"
	"syscall"
	"testing"
)

// TestScattered: a file of pieces reads as if it were in one, and can't be
// changed.
func TestScattered(t *testing.T) {
	tree := New(0)
	n := tree.NewScattered(0o755, []Piece{{Off: 2, Data: []byte("abc")}, {Off: 5000, Data: []byte("xyz")}})
	if errno := tree.Make(tree.Root(), "/program", n); errno != 0 {
		t.Fatal(errno)
	}
	want := make([]byte, 5003)
	copy(want[2:], "abc")
	copy(want[5000:], "xyz")
	for _, size := range []int{1, 7, 4096, 6000} {
		var got []byte
		for off := int64(0); ; {
			buf := make([]byte, size)
			read, errno := n.ReadAt(buf, off)
			if errno != 0 {
				t.Fatal(errno)
			}
			if read == 0 {
				break
			}
			got = append(got, buf[:read]...)
			off += int64(read)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("in steps of %d: %d bytes, want %d", size, len(got), len(want))
		}
	}
	if _, errno := tree.Open(tree.Root(), "/program", syscall.O_WRONLY, 0); errno == 0 {
		t.Error("it can be written to")
	}
}
