package ext4

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// counted counts what is read of a device.
type counted struct {
	Device
	reads, bytes atomic.Int64
}

func (c *counted) Read(off int64, into ...[]byte) error {
	c.reads.Add(1)
	for _, p := range into {
		c.bytes.Add(int64(len(p)))
	}
	return c.Device.Read(off, into...)
}

// stamped returns a file whose every eighth byte tells where it is.
func stamped(size int) []byte {
	b := make([]byte, size)
	for at := 0; at+8 <= size; at += 8 {
		binary.LittleEndian.PutUint64(b[at:], uint64(at))
	}
	return b
}

// readingFrom mounts a fresh device with a small cache and two files: one that exceeds
// it, and one that does not.
func readingFrom(t *testing.T) (f *FS, dev *counted, large, small *Inode) {
	t.Helper()
	raw, _ := newFile(t, 64<<20)
	makeOn(t, raw)
	dev = &counted{Device: raw}
	f, err := Mount(dev, Options{Report: func(s string) { t.Error(s) }, Interval: -1, Memory: leastMemory})
	if err != nil {
		t.Fatal(err)
	}
	root, _ := f.Root()
	make := func(name string, size int) *Inode {
		in, errno := f.Make(root, name, syscall.S_IFREG|0o600, 0, 0, 0)
		if errno != 0 {
			t.Fatal(errno)
		}
		if n, _, errno := f.WriteAt(in, stamped(size), 0, false); n != size || errno != 0 {
			t.Fatal(n, errno)
		}
		return in
	}
	large, small = make("large", 4<<20+1000), make("small", 64<<10)
	if errno := f.SyncAll(); errno != 0 {
		t.Fatal(errno)
	}
	return f, dev, large, small
}

// TestReadPastCache: a large file that is read in large pieces leaves in memory what was
// there, and costs few requests.
func TestReadPastCache(t *testing.T) {
	f, dev, large, small := readingFrom(t)
	defer unmount(t, f)
	got := make([]byte, 5<<20)
	read := func(in *Inode, size int) (reads int64) {
		before := dev.reads.Load()
		if n, errno := f.ReadAt(in, got, 0); n != size || errno != 0 || !bytes.Equal(got[:n], stamped(size)) {
			t.Fatalf("read %d bytes of %d, %v, or others than were written", n, size, errno)
		}
		return dev.reads.Load() - before
	}
	read(small, 64<<10)
	if n := read(large, 4<<20+1000); n > 20 {
		t.Errorf("a large file in %d requests", n)
	}
	if n := read(small, 64<<10); n != 0 {
		t.Errorf("a large file has pushed a small one out of memory: %d requests", n)
	}
}

// TestReadAheadInPieces: a file that is read bit by bit costs few requests too.
func TestReadAheadInPieces(t *testing.T) {
	f, dev, large, _ := readingFrom(t)
	defer unmount(t, f)
	want := stamped(4<<20 + 1000)
	before := dev.reads.Load()
	got := make([]byte, 6000)
	for at := 0; at < len(want); {
		n, errno := f.ReadAt(large, got, int64(at))
		if n == 0 || errno != 0 || !bytes.Equal(got[:n], want[at:at+n]) {
			t.Fatalf("at %d: %d bytes, %v, or others than were written", at, n, errno)
		}
		at += n
	}
	if n := dev.reads.Load() - before; n > 60 {
		t.Errorf("%d requests for 4 MiB", n)
	}
}

// TestReadersAtOnce has readers of one file, in pieces of all sizes, beside a writer that
// writes what is there, makes holes and files beside it, and cuts the file and lets it grow:
// what is read is what belongs there, or a hole.
func TestReadersAtOnce(t *testing.T) {
	f, _, large, _ := readingFrom(t)
	defer unmount(t, f)
	want := stamped(4 << 20)
	var readers, writer sync.WaitGroup
	var stop atomic.Bool
	writer.Go(func() { disturb(t, f, large, want, &stop) })
	for i := range 4 {
		random := rand.New(rand.NewPCG(1, uint64(i)))
		readers.Go(func() {
			got := make([]byte, 1<<20)
			for range 150 {
				off := random.IntN(4<<20-8) &^ 7
				p := got[:1+random.IntN(min(1<<uint(random.IntN(21)), 4<<20-off))]
				n, errno := f.ReadAt(large, p, int64(off))
				if errno != 0 {
					t.Error(errno)
				}
				for at := 0; at+8 <= n; at += 8 {
					if v := binary.LittleEndian.Uint64(p[at:]); v != uint64(off+at) && v != 0 {
						t.Errorf("at %d is what belongs to %d", off+at, v)
						return
					}
				}
			}
		})
	}
	readers.Wait()
	stop.Store(true)
	writer.Wait()
}

func disturb(t *testing.T, f *FS, in *Inode, want []byte, stop *atomic.Bool) {
	random := rand.New(rand.NewPCG(2, 2))
	root, _ := f.Root()
	noise := bytes.Repeat([]byte{0xa5}, 200<<10)
	for round := 0; !stop.Load(); round++ {
		off := random.IntN(len(want)-300<<10) &^ 7
		var errno Errno
		switch random.IntN(4) {
		case 0:
			errno = f.Allocate(in, allocPunchHole|allocKeepSize, int64(off), 200<<10)
		case 1:
			errno = f.Truncate(in, int64(off))
			if errno == 0 {
				errno = f.Truncate(in, int64(len(want)))
			}
		case 2: // takes the blocks that the others have freed
			var other *Inode
			if other, errno = f.Make(root, "noise", syscall.S_IFREG|0o600, 0, 0, 0); errno == 0 {
				_, _, errno = f.WriteAt(other, noise, 0, false)
				f.Release(other)
				f.Unlink(root, "noise")
			}
		default:
			_, _, errno = f.WriteAt(in, want[off:off+300<<10], int64(off), false)
		}
		if errno == 0 && round%8 == 0 {
			errno = f.SyncAll()
		}
		if errno != 0 {
			t.Error(errno)
			return
		}
	}
}
