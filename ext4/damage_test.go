package ext4

import (
	"bytes"
	"errors"
	"strings"
	"syscall"
	"testing"
)

// fillDisk writes a file until there is no more room, and returns its size.
func fillDisk(t *testing.T, f *FS, root *Inode) (*Inode, int64) {
	t.Helper()
	in, errno := f.Make(root, "big", syscall.S_IFREG|0o600, 0, 0, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	block, size := bytes.Repeat([]byte("fill"), 64<<10), int64(0)
	for {
		n, _, errno := f.WriteAt(in, block, size, false)
		size += int64(n)
		if errno == syscall.ENOSPC {
			return in, size
		}
		if errno != 0 {
			t.Fatal(errno)
		}
	}
}

// TestFullDisk: nothing is harmed, what fits in place still works, and what is
// removed can be had again at once.
func TestFullDisk(t *testing.T) {
	dev, path := newFile(t, 20<<20)
	makeOn(t, dev)
	f := mountOn(t, dev)
	root, _ := f.Root()
	keep, errno := f.Make(root, "keep", syscall.S_IFREG|0o600, 0, 0, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	f.WriteAt(keep, []byte("important"), 0, false)
	for range 5 {
		in, size := fillDisk(t, f, root)
		if size < 10<<20 {
			t.Fatalf("full after %d bytes", size)
		}
		for i := 1; ; i++ { // the rest, which writes leave for names
			_, errno := f.Make(root, "more"+itoa(int(size))+itoa(i), syscall.S_IFDIR|0o700, 0, 0, 0)
			if errno == syscall.ENOSPC {
				break
			}
			if errno != 0 || i > 20 {
				t.Fatalf("directory %d on a full disk: %v", i, errno)
			}
		}
		if n, _, errno := f.WriteAt(in, []byte("over"), 0, false); n != 4 || errno != 0 {
			t.Fatalf("overwriting on a full disk: %d, %v", n, errno)
		}
		if errno := f.Rename(root, "big", root, "keep2", false, false); errno != syscall.ENOSPC {
			t.Fatalf("a new name on a full disk: %v", errno)
		}
		if errno := f.Sync(in, false); errno != 0 {
			t.Fatal(errno)
		}
		f.Release(in)
		if errno := f.Unlink(root, "big"); errno != 0 {
			t.Fatalf("removing on a full disk: %v", errno)
		}
	}
	unmount(t, f)
	fsck(t, path, "-n")
	f = mountOn(t, dev)
	root, _ = f.Root()
	in, errno := f.Lookup(root, "keep")
	b := make([]byte, 20)
	n, _ := f.ReadAt(in, b, 0)
	if errno != 0 || string(b[:n]) != "important" {
		t.Errorf("%q, %v", b[:n], errno)
	}
}

// TestManyEntries makes and removes 10,000 files in one directory.
func TestManyEntries(t *testing.T) {
	dev, path := newFile(t, 256<<20)
	makeOn(t, dev)
	f := mountOn(t, dev)
	root, _ := f.Root()
	name := func(i int) string {
		return "entry with a name " + strings.Repeat("y", i%20) + string(rune('a'+i%26)) + itoa(i)
	}
	for i := range 10000 {
		in, errno := f.Make(root, name(i), syscall.S_IFREG|0o600, 0, 0, 0)
		if errno != 0 {
			t.Fatal(i, errno)
		}
		f.Release(in)
	}
	unmount(t, f)
	fsck(t, path, "-n")
	f = mountOn(t, dev)
	root, _ = f.Root()
	if names, errno := f.Names(root); len(names) != 10001 || errno != 0 {
		t.Fatalf("%d names, %v", len(names), errno)
	}
	for i := range 10000 {
		if errno := f.Unlink(root, name(i)); errno != 0 {
			t.Fatal(i, errno)
		}
	}
	unmount(t, f)
	fsck(t, path, "-n")
}

func itoa(i int) string {
	var b []byte
	for ; i > 0; i /= 10 {
		b = append([]byte{byte('0' + i%10)}, b...)
	}
	return string(b)
}

// TestLargeFile: a file of 5 GiB, of which little is written, in many pieces.
func TestLargeFile(t *testing.T) {
	dev, path := newFile(t, 1<<30)
	makeOn(t, dev)
	f := mountOn(t, dev)
	root, _ := f.Root()
	in, _ := f.Make(root, "large", syscall.S_IFREG|0o600, 0, 0, 0)
	for i := int64(0); i < 5000; i++ { // backwards: a tree of several floors
		off := (4999 - i) << 20
		if n, _, errno := f.WriteAt(in, []byte("here"), off, false); n != 4 || errno != 0 {
			t.Fatal(off, errno)
		}
	}
	if st := f.Stat(in); st.Size != 4999<<20+4 || st.Sectors > 5100*8 {
		t.Errorf("%+v", st)
	}
	if off, errno := f.Next(in, 4096, false); off != 1<<20 || errno != 0 {
		t.Errorf("next data at %d, %v", off, errno)
	}
	unmount(t, f)
	fsck(t, path, "-n")
	f = mountOn(t, dev)
	root, _ = f.Root()
	in, _ = f.Lookup(root, "large")
	b := make([]byte, 8)
	for i := int64(0); i < 5000; i += 77 {
		if n, errno := f.ReadAt(in, b[:6], i<<20-min(i, 2)); errno != 0 || n == 0 || !bytes.Contains(b[:n], []byte("he")) {
			t.Fatalf("%q at %d MiB: %v", b[:n], i, errno)
		}
	}
	if errno := f.Truncate(in, 100<<20+1); errno != 0 {
		t.Fatal(errno)
	}
	unmount(t, f)
	fsck(t, path, "-n")
}

// failing is a device whose writes fail from some time on.
type failing struct {
	Device
	left int
}

func (d *failing) Write(off int64, from ...[]byte) error {
	if d.left--; d.left < 0 {
		return errors.New("broken")
	}
	return d.Device.Write(off, from...)
}

// TestBrokenDevice: after an error nothing is written any more, the program is told
// at fsync, and what was durable before is there, for e2fsck and for the next mount,
// which may write again.
func TestBrokenDevice(t *testing.T) {
	for left := range 40 {
		dev, path := newFile(t, 20<<20)
		makeOn(t, dev)
		broken := &failing{dev, 1 << 30}
		said := ""
		f, err := Mount(broken, Options{Report: func(s string) { said += s + "\n" }, Interval: -1})
		if err != nil {
			t.Fatal(err)
		}
		root, _ := f.Root()
		broken.left = left
		failedAt := -1
		for i := range 30 {
			in, errno := f.Make(root, "f"+itoa(i+1), syscall.S_IFREG|0o600, 0, 0, 0)
			if errno == 0 {
				_, _, errno = f.WriteAt(in, []byte("contents"), 0, false)
			}
			if errno == 0 {
				errno = f.Sync(in, false)
			}
			if errno != 0 {
				failedAt = i
				break
			}
		}
		if failedAt < 0 || !strings.Contains(said, "read-only") || !f.ReadOnly() {
			t.Fatalf("failed at %d and said %q", failedAt, said)
		}
		if _, errno := f.Make(root, "again", syscall.S_IFREG|0o600, 0, 0, 0); errno != syscall.EROFS {
			t.Errorf("a file is made after the failure: %v", errno)
		}
		if left%2 == 0 {
			preen(t, path)
		}
		g := mountOn(t, dev)
		root, _ = g.Root()
		for i := range failedAt {
			if _, errno := g.Lookup(root, "f"+itoa(i+1)); errno != 0 {
				t.Errorf("file %d of %d is lost", i, failedAt)
			}
		}
		if _, errno := g.Make(root, "later", syscall.S_IFREG|0o600, 0, 0, 0); errno != 0 {
			t.Errorf("the next mount can't write: %v", errno)
		}
		unmount(t, g)
		fsck(t, path, "-n")
	}
}

// TestDamaged: damage is noticed, said in a sentence, and never made worse.
func TestDamaged(t *testing.T) {
	dev, path := newFile(t, 20<<20)
	makeOn(t, dev)
	f := mountOn(t, dev)
	m := newModel(t, f, newRand(t))
	for range 200 {
		m.step()
	}
	unmount(t, f)
	fsck(t, path, "-n")
	r := m.r
	for range 150 {
		o := &overlay{Device: dev, blocks: map[int64][]byte{}}
		b := make([]byte, 1024)
		off := int64(r.IntN(2500)) * 1024 // groups, tables, directories
		o.Read(off, b)
		for range 1 + r.IntN(20) {
			b[r.IntN(1024)] ^= byte(1 << r.IntN(8))
		}
		o.Write(off, b)
		Check(o) // says something or not: parts are unused; it must not crash
		var said []string
		g, err := Mount(o, Options{Interval: -1, Report: func(s string) { said = append(said, s) }})
		if err != nil {
			continue
		}
		n := &model{t: t, r: r, f: g, root: m.root}
		n.wander()
		g.Unmount()
		if g.broken && len(said) == 0 {
			t.Error("it went read-only without a word")
		}
	}
}

// wander looks at everything, and writes some, whatever comes of it.
func (m *model) wander() {
	var visit func(dir *Inode, depth int)
	visit = func(dir *Inode, depth int) {
		names, _ := m.f.Names(dir)
		for _, name := range names {
			in, errno := m.f.Lookup(dir, name)
			if errno != 0 {
				continue
			}
			m.f.ReadAt(in, make([]byte, 5000), 0)
			m.f.WriteAt(in, make([]byte, 5000), 3000, true)
			m.f.Readlink(in)
			if depth < 5 {
				visit(in, depth+1)
			}
			m.f.Release(in)
			if m.r.IntN(3) == 0 {
				m.f.Unlink(dir, name)
			}
		}
	}
	if root, errno := m.f.Root(); errno == 0 {
		visit(root, 0)
	}
	m.f.SyncAll()
}

// FuzzMount mounts a file system of which some bytes were changed, with the
// checksum of the superblock made good.
func FuzzMount(f *testing.F) {
	base := newTape(MinSize)
	if err := Make(base, MakeOptions{UUID: [16]byte{1}}); err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{4, 4, 0, 9, 4, 0x18, 0, 3})
	f.Add([]byte{8, 0, 0x20, 1, 16, 1, 4, 200})
	root := int64(0) // where the root directory lies
	for off, b := range base.pieces {
		if le32(b) == rootInode && le16(b[4:]) == 12 {
			root = off
		}
	}
	f.Fuzz(func(t *testing.T, changes []byte) {
		d := base.clone()
		if len(changes)%2 == 1 { // without checksums more of it is looked at
			b := append([]byte(nil), d.pieces[superOffset]...)
			b[0x65] &^= roMetadataCsum >> 8
			d.pieces[superOffset] = b
		}
		for len(changes) >= 4 {
			off := int64(changes[0]) * 1024
			if changes[0] >= 250 {
				off = root
			}
			at := int(changes[1]) | int(changes[2]&3)<<8
			b := append([]byte(nil), make([]byte, 1024)...)
			copy(b, d.pieces[off])
			b[at] = changes[3]
			d.pieces[off], changes = b, changes[4:]
		}
		if b := d.pieces[superOffset]; b != nil {
			put32(b[0x3fc:], crc32c(^uint32(0), b[:0x3fc]))
		}
		Check(d)
		fs, err := Mount(d, Options{Interval: -1})
		if err != nil {
			return
		}
		m := &model{r: newRand(t), f: fs}
		m.wander()
		fs.Unmount()
	})
}
