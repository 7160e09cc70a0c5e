package ext4

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
)

var cutsFlag = flag.Int("cuts", 1500, "how many power cuts TestPowerCut tries")

// tape is a device in memory that remembers what was written since it began, with
// flushes between.
type tape struct {
	size   int64
	pieces map[int64][]byte // 1024 bytes each; what is missing is zeros
	log    []write
	keep   bool
}

// write is one write, or a flush (no data), or a note of the test's (note set).
type write struct {
	off  int64
	data []byte
	note func(*promise)
}

func newTape(size int64) *tape {
	return &tape{size: size, pieces: map[int64][]byte{}}
}

func (d *tape) Size() int64    { return d.size }
func (d *tape) ReadOnly() bool { return false }
func (d *tape) Flush() error {
	if d.keep {
		d.log = append(d.log, write{})
	}
	return nil
}

func (d *tape) Read(off int64, into ...[]byte) error {
	for _, p := range into {
		for at := 0; at < len(p); at += 1024 {
			if b := d.pieces[off+int64(at)]; b != nil {
				copy(p[at:], b)
			} else {
				clear(p[at : at+1024])
			}
		}
		off += int64(len(p))
	}
	return nil
}

func (d *tape) Write(off int64, from ...[]byte) error {
	for _, p := range from {
		for at := 0; at < len(p); at += 1024 {
			b := append([]byte(nil), p[at:at+1024]...)
			d.pieces[off+int64(at)] = b
			if d.keep {
				d.log = append(d.log, write{off: off + int64(at), data: b})
			}
		}
		off += int64(len(p))
	}
	return nil
}

func (d *tape) clone() *tape {
	c := newTape(d.size)
	for off, b := range d.pieces {
		c.pieces[off] = b
	}
	return c
}

// promise is what was acknowledged: contents of files, by name. nil means that a
// file must not be there. Names that are not in it may be in any state.
type promise struct {
	files map[string][]byte
	loose map[string][][]byte // states in which a file may be found as well
}

// cutter does operations on a file system and notes on the tape what must hold.
type cutter struct {
	t    *testing.T
	r    *rand.Rand
	f    *FS
	dev  *tape
	now  map[string][]byte // contents as of now, without those that were removed
	root *Inode
}

// note puts a promise on the tape, between the writes.
func (c *cutter) note(f func(*promise)) { c.dev.log = append(c.dev.log, write{note: f}) }

// loosen says that a file may from now on be in a further state.
func (c *cutter) loosen(name string, state []byte) {
	c.note(func(p *promise) { p.loose[name] = append(p.loose[name], state) })
}

// settle says that a file must now be in one state.
func (c *cutter) settle(name string, state []byte) {
	c.note(func(p *promise) { p.files[name], p.loose[name] = state, nil })
}

func (c *cutter) must(errno Errno) {
	c.t.Helper()
	if errno != 0 {
		c.t.Fatal(errno)
	}
}

func (c *cutter) name() string { return fmt.Sprintf("f%d", c.r.IntN(6)) }

// step is one thing that programs do to keep data.
func (c *cutter) step() {
	switch c.r.IntN(6) {
	case 0, 1:
		c.replace()
	case 2, 3:
		c.append()
	case 4:
		c.remove()
	case 5: // something that frees and takes many blocks, and promises nothing
		c.churn()
	}
}

func (c *cutter) random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(c.r.Uint32())
	}
	return b
}

// replace writes a new file, syncs it, and renames it over another.
func (c *cutter) replace() {
	name, data := c.name(), c.random(c.r.IntN(30000))
	in, errno := c.f.Make(c.root, "new", syscall.S_IFREG|0o600, 0, 0, 0)
	if errno == syscall.EEXIST {
		c.must(c.f.Unlink(c.root, "new"))
		in, errno = c.f.Make(c.root, "new", syscall.S_IFREG|0o600, 0, 0, 0)
	}
	c.must(errno)
	_, _, errno = c.f.WriteAt(in, data, 0, false)
	c.must(errno)
	c.must(c.f.Sync(in, false))
	c.loosen(name, data)
	c.must(c.f.Rename(c.root, "new", c.root, name, false, false))
	c.now[name] = data
	if c.r.IntN(3) > 0 {
		c.must(c.f.Sync(c.root, false))
		c.settle(name, data)
	}
	c.f.Release(in)
}

// append adds to a file. Half done it may not be: a write of one step is in one
// transaction.
func (c *cutter) append() {
	name, more := c.name(), c.random(1+c.r.IntN(9000))
	in, errno := c.f.Lookup(c.root, name)
	if errno == syscall.ENOENT {
		return
	}
	c.must(errno)
	data := append(append([]byte(nil), c.now[name]...), more...)
	c.loosen(name, data)
	_, _, errno = c.f.WriteAt(in, more, 0, true)
	c.must(errno)
	c.now[name] = data
	if c.r.IntN(2) > 0 {
		c.must(c.f.Sync(in, true))
		c.settle(name, data)
	}
	c.f.Release(in)
}

func (c *cutter) remove() {
	name := c.name()
	if _, there := c.now[name]; !there {
		return
	}
	c.loosen(name, nil)
	c.must(c.f.Unlink(c.root, name))
	delete(c.now, name)
	if c.r.IntN(2) > 0 {
		c.must(c.f.Sync(c.root, false))
		c.settle(name, nil)
	}
}

// churn makes a directory full of files, with holes and long names, and removes it.
func (c *cutter) churn() {
	dir, errno := c.f.Make(c.root, "churn", syscall.S_IFDIR|0o755, 0, 0, 0)
	c.must(errno)
	for i := range 30 {
		name := fmt.Sprintf("a rather long name so that several blocks are needed for the directory %0100d", i)
		in, errno := c.f.Make(dir, name, syscall.S_IFREG|0o600, 0, 0, 0)
		c.must(errno)
		for range 3 {
			_, _, errno := c.f.WriteAt(in, c.random(2000), int64(c.r.IntN(200000)), false)
			c.must(errno)
		}
		c.f.Release(in)
	}
	if c.r.IntN(2) == 0 {
		c.must(c.f.SyncAll())
	}
	names, errno := c.f.Names(dir)
	c.must(errno)
	for _, n := range names {
		c.must(c.f.Unlink(dir, n))
	}
	c.must(c.f.Rmdir(c.root, "churn"))
	c.f.Release(dir)
}

// TestPowerCut records what gets written while files are replaced, appended to and
// removed, and cuts the power at every kind of moment: after any write, with any
// part of what was written since the last flush missing. Each time the journal is
// replayed, all that was promised must be there and whole, our check must find
// nothing, and, for some, neither must e2fsck.
func TestPowerCut(t *testing.T) {
	r := newRand(t)
	tried, judged := 0, 0
	for tried < *cutsFlag && !t.Failed() {
		n, j := cutRun(t, r, min(*cutsFlag-tried, 500))
		tried, judged = tried+n, judged+j
	}
	t.Logf("%d power cuts, %d of them judged by e2fsck", tried, judged)
}

// cutRun records one run and cuts it several times.
func cutRun(t *testing.T, r *rand.Rand, cuts int) (tried, judged int) {
	dev := newTape(20 << 20)
	makeOn(t, dev)
	start := dev.clone()
	dev.keep = true
	f, err := Mount(dev, Options{Report: func(s string) { t.Error(s) }, Interval: -1, Memory: leastMemory})
	if err != nil {
		t.Fatal(err)
	}
	root, _ := f.Root()
	c := &cutter{t: t, r: r, f: f, dev: dev, now: map[string][]byte{}, root: root}
	for range 60 {
		c.step()
	}
	if r.IntN(2) == 0 {
		unmount(t, f)
	}
	for range cuts {
		at := r.IntN(len(dev.log) + 1)
		if r.IntN(20) == 0 { // mounting and unmounting are few writes
			at = r.IntN(10)
		}
		if r.IntN(20) == 0 {
			at = len(dev.log) - r.IntN(10)
		}
		d, p := cut(start, dev.log[:at], r)
		judged += survived(t, d, p, r, at < 10 || at > len(dev.log)-10)
		tried++
		if t.Failed() {
			t.Logf("after write %d of %d", at, len(dev.log))
			return tried, judged
		}
	}
	return tried, judged
}

// cut is what a device may hold after the power went off behind a log: all up to
// the last flush, and of what came later some.
func cut(start *tape, log []write, r *rand.Rand) (*tape, *promise) {
	d, p := start.clone(), &promise{map[string][]byte{}, map[string][][]byte{}}
	flushed := 0
	for i, w := range log {
		if w.note != nil {
			w.note(p)
		} else if w.data == nil {
			flushed = i
		}
	}
	lose := r.IntN(3) // none, a random part, all but a few
	for i, w := range log {
		if w.data == nil || w.note != nil || i > flushed && lose > 0 && r.IntN(4) < 2*lose-1 {
			continue
		}
		d.pieces[w.off] = w.data
	}
	return d, p
}

// survived looks at what is left.
func survived(t *testing.T, d *tape, p *promise, r *rand.Rand, special bool) (judged int) {
	t.Helper()
	for _, problem := range Check(d) {
		t.Errorf("check: %s", problem)
	}
	if (special && r.IntN(3) == 0 || r.IntN(50) == 0) && !t.Failed() {
		judgeTape(t, d)
		judged = 1
	}
	f, err := Mount(d, Options{Report: func(s string) { t.Error(s) }, Interval: -1})
	if err != nil {
		t.Errorf("mount: %v", err)
		return judged
	}
	root, errno := f.Root()
	if errno != 0 {
		t.Fatal(errno)
	}
	for name, want := range p.files {
		p.holds(t, f, root, name, want)
	}
	unmount(t, f)
	for _, problem := range Check(d) {
		t.Errorf("check after a mount: %s", problem)
	}
	return judged
}

// holds checks that a file is in one of the states that it may be in.
func (p *promise) holds(t *testing.T, f *FS, root *Inode, name string, want []byte) {
	t.Helper()
	in, errno := f.Lookup(root, name)
	var got []byte
	if errno == 0 {
		got = make([]byte, f.Stat(in).Size)
		if n, errno := f.ReadAt(in, got, 0); errno != 0 || n != len(got) {
			t.Errorf("%s: read %d of %d: %v", name, n, len(got), errno)
		}
		f.Release(in)
	} else if errno != syscall.ENOENT {
		t.Errorf("%s: %v", name, errno)
	}
	for _, state := range append([][]byte{want}, p.loose[name]...) {
		if (state == nil) == (errno != 0) && string(state) == string(got) {
			return
		}
	}
	t.Errorf("%s: %d bytes (%v), want %d (there: %v), or one of %d other states", name, len(got), errno, len(want), want != nil, len(p.loose[name]))
}

// judgeTape has e2fsck replay and check a copy.
func judgeTape(t *testing.T, d *tape) {
	t.Helper()
	file, path := newFile(t, d.size)
	for off, b := range d.pieces {
		if _, err := file.f.WriteAt(b, off); err != nil {
			t.Fatal(err)
		}
	}
	preen(t, path)
	fsck(t, path, "-n")
	file.f.Close()
	os.Remove(path)
}
