package ext4

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
)

// corrupted is a file system with files that nobody touches after they were made, and
// what lies where on its device.
type corrupted struct {
	clean    *tape               // as it was unmounted
	dev      *tape               // as it was after that, with a log that must be replayed
	contents map[string][]byte   // of the files that nobody touches
	data     map[int64]bool      // pieces of the device that hold them
	places   map[string][]uint64 // blocks to damage, by what they are
}

// newCorrupted makes one.
func newCorrupted(t *testing.T) *corrupted {
	t.Helper()
	c := &corrupted{dev: newTape(24 << 20), contents: map[string][]byte{}, data: map[int64]bool{}, places: map[string][]uint64{}}
	makeOn(t, c.dev)
	f, err := Mount(c.dev, Options{Interval: -1})
	if err != nil {
		t.Fatal(err)
	}
	root, _ := f.Root()
	must := func(errno Errno) {
		t.Helper()
		if errno != 0 {
			t.Fatal(errno)
		}
	}
	for i := range 8 {
		in, errno := f.Make(root, "kept"+itoa(i+1), syscall.S_IFREG|0o600, 0, 0, 0)
		must(errno)
		text := bytes.Repeat([]byte{byte(i + 1), 0xee}, 10_000)
		step := int64(1) // in one piece, or in so many that the tree has a second floor
		if i%2 == 1 {
			step = 3
		}
		for at := int64(0); at < int64(len(text)); at += 4096 {
			_, _, errno := f.WriteAt(in, text[at:min(at+4096, int64(len(text)))], at*step, false)
			must(errno)
		}
		c.contents["kept"+itoa(i+1)] = text
		f.Release(in)
	}
	must(f.Unmount())
	c.clean = c.dev.clone()
	if f, err = Mount(c.dev, Options{Interval: -1}); err != nil {
		t.Fatal(err)
	}
	c.look(t, f)
	root, _ = f.Root()
	for i := range 20 { // what the log holds
		in, errno := f.Make(root, "young"+itoa(i+1), syscall.S_IFREG|0o600, 0, 0, 0)
		must(errno)
		_, _, errno = f.WriteAt(in, []byte("contents"), 0, false)
		must(errno)
		must(f.Sync(in, false))
		f.Release(in)
	}
	return c // which is never unmounted
}

// look finds what is where.
func (c *corrupted) look(t *testing.T, f *FS) {
	t.Helper()
	place := func(kind string, block uint64) { c.places[kind] = append(c.places[kind], block) }
	place("superblock", f.superBlock)
	place("group descriptors", f.superBlock+1)
	g := &f.groups[0]
	place("block bitmap", g.blockBitmap)
	place("inode bitmap", g.inodeBitmap)
	root, _ := f.Root()
	block, _, _, _ := f.find(root, 0)
	place("directory", block)
	for name := range c.contents {
		in, errno := f.Lookup(root, name)
		if errno != 0 {
			t.Fatal(errno)
		}
		b, _, _ := f.slot(in.number)
		place("inodes", b.block)
		steps, errno := f.way(in, 0)
		if errno != 0 {
			t.Fatal(errno)
		}
		if leaf := steps[len(steps)-1]; leaf.b != nil {
			place("tree of extents", leaf.b.block)
		}
		for at := uint32(0); uint64(at) < in.size()>>f.blockShift+1; at++ {
			block, _, _, errno := f.find(in, at)
			if errno != 0 {
				t.Fatal(errno)
			}
			for off := f.offset(block); block != 0 && off < f.offset(block+1); off += 1024 {
				c.data[off] = true
			}
		}
		f.Release(in)
	}
	for i := range f.j.limit {
		place("journal", f.j.where[0].block+uint64(i))
	}
	if len(c.places["tree of extents"]) == 0 || len(c.data) < 100 {
		t.Fatal("BUG: nothing to damage")
	}
}

// damage changes some bits of one kind of block, and returns the device that has them.
func (c *corrupted) damage(r *rand.Rand, kind string) *tape {
	d, list := c.clean.clone(), c.places[kind]
	if kind == "journal" {
		d, list = c.dev.clone(), list[:min(len(list), 100)] // what is in use
	}
	off := int64(list[r.IntN(len(list))])*4096 + int64(r.IntN(4))*1024
	for tries := 0; d.pieces[off] == nil && tries < 100; tries++ {
		off = off&^4095 + int64(r.IntN(4))*1024
	}
	b := append(make([]byte, 0, 1024), d.pieces[off]...)
	if b = b[:1024]; d.pieces[off] == nil {
		clear(b)
	}
	switch r.IntN(3) {
	case 0:
		clear(b)
	case 1: // what lies elsewhere
		copy(b, d.pieces[superOffset])
	default:
		for range 1 + r.IntN(8) {
			b[r.IntN(1024)] ^= byte(1 << r.IntN(8))
		}
	}
	d.pieces[off] = b
	return d
}

// TestCorrupted damages each kind of structure, as -seed says. The file system is refused, or an
// operation fails, or nobody needs what was damaged; it never panics, and never writes to
// the data of files that nobody has opened for it, nor reads anything else in their place.
func TestCorrupted(t *testing.T) {
	c := newCorrupted(t)
	for kind := range c.places {
		t.Run(kind, func(t *testing.T) {
			r := rand.New(rand.NewPCG(*seedFlag, uint64(len(kind))))
			var refused, failed int
			const rounds = 30
			for range rounds {
				d := c.damage(r, kind)
				Check(d)
				f, err := Mount(d, Options{Interval: -1})
				if err != nil {
					refused++
				} else if !c.use(t, f) {
					failed++
				}
				for off := range c.data {
					if !bytes.Equal(d.pieces[off], c.dev.pieces[off]) {
						t.Fatalf("the data at %d was written to", off)
					}
				}
			}
			t.Logf("of %d, %d were refused and %d failed", rounds, refused, failed)
			if refused+failed == 0 {
				t.Error("no damage was found")
			}
		})
	}
}

// use reads the files, and writes others. It reports whether all went well.
func (c *corrupted) use(t *testing.T, f *FS) bool {
	root, errno := f.Root()
	if errno != 0 {
		return false
	}
	well := true
	for name, want := range c.contents {
		in, errno := f.Lookup(root, name)
		if errno != 0 {
			well = false
			continue
		}
		got := make([]byte, 200_000)
		n, errno := f.ReadAt(in, got, 0)
		if errno != 0 {
			well = false
		} else if !isFile(got[:n], want) {
			t.Errorf("%s is read as something else, without an error", name)
		}
		f.Release(in)
	}
	for i := range 30 {
		in, errno := f.Make(root, "new"+itoa(i+1), syscall.S_IFREG|0o600, 0, 0, 0)
		if errno != 0 {
			well = false
			continue
		}
		if _, _, errno := f.WriteAt(in, bytes.Repeat([]byte("new"), 30_000), 0, false); errno != 0 {
			well = false
		}
		f.Release(in)
		if i%3 == 0 {
			f.Unlink(root, fmt.Sprint("young", i+1))
		}
	}
	return f.Unmount() == 0 && well
}

// isFile tells whether a file was read as it was written, in one piece or with holes.
func isFile(got, want []byte) bool {
	if len(got) == len(want) {
		return bytes.Equal(got, want)
	}
	for at := 0; at < len(want); at += 4096 {
		piece := want[at:min(at+4096, len(want))]
		if at*3+len(piece) > len(got) || !bytes.Equal(got[at*3:at*3+len(piece)], piece) {
			return false
		}
	}
	return true
}
