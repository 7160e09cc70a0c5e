package ext4

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

var seedFlag = flag.Uint64("seed", 0, "seed of random tests (0: by the clock)")

// newRand returns random numbers and prints how to get the same ones again.
func newRand(t testing.TB) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d (-seed repeats it)", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// thing is a file or directory of the model.
type thing struct {
	dir    map[string]*thing // of a directory
	data   []byte
	target string // of a link
	links  int
}

// model applies the same random operations to a file system and to plain maps, and
// compares.
type model struct {
	t    testing.TB
	r    *rand.Rand
	f    *FS
	root *thing
	full int // how often the disk was full
}

func newModel(t testing.TB, f *FS, r *rand.Rand) *model {
	return &model{t: t, r: r, f: f, root: &thing{dir: map[string]*thing{"lost+found": {dir: map[string]*thing{}}}}}
}

// place is a directory of both, and a name in it.
type place struct {
	in    *Inode
	thing *thing
	name  string
}

// pick chooses a directory, not too deep.
func (m *model) pick() place {
	in, errno := m.f.Root()
	m.must(errno)
	p := place{in, m.root, ""}
	for m.r.IntN(3) > 0 {
		var subs []string
		for name, th := range p.thing.dir {
			if th.dir != nil {
				subs = append(subs, name)
			}
		}
		if len(subs) == 0 {
			break
		}
		sortStrings(subs)
		name := subs[m.r.IntN(len(subs))]
		next, errno := m.f.Lookup(p.in, name)
		m.must(errno)
		m.f.Release(p.in)
		p.in, p.thing = next, p.thing.dir[name]
	}
	p.name = fmt.Sprintf("n%d", m.r.IntN(12))
	if m.r.IntN(20) == 0 {
		p.name += string(bytes.Repeat([]byte("x"), m.r.IntN(240)))
	}
	return p
}

func (m *model) must(errno Errno) {
	m.t.Helper()
	if errno != 0 {
		m.t.Fatal(errno)
	}
}

// same compares an operation's outcome with the model's; it reports whether both
// did it. A full disk is allowed at any time.
func (m *model) same(what string, got, want Errno) bool {
	m.t.Helper()
	if got == syscall.ENOSPC {
		m.full++
		return false
	}
	if got != want {
		m.t.Fatalf("%s: %v, want %v", what, got, want)
	}
	return got == 0
}

func (m *model) step() {
	p := m.pick()
	defer m.f.Release(p.in)
	th := p.thing.dir[p.name]
	switch m.r.IntN(12) {
	case 0, 1:
		m.make(p, th)
	case 2, 3, 4:
		m.write(p, th)
	case 5:
		m.truncate(p, th)
	case 6:
		m.remove(p, th)
	case 7, 8:
		m.rename(p)
	case 9:
		m.link(p)
	case 10:
		m.allocate(p, th)
	case 11:
		if th != nil && th.dir == nil && th.target == "" {
			m.compare(p.in, p.name, th)
		}
	}
}

func wantMake(th *thing) Errno {
	if th != nil {
		return syscall.EEXIST
	}
	return 0
}

func (m *model) make(p place, th *thing) {
	var in *Inode
	var errno Errno
	fresh := &thing{links: 1}
	switch m.r.IntN(4) {
	case 0:
		fresh.dir = map[string]*thing{}
		in, errno = m.f.Make(p.in, p.name, syscall.S_IFDIR|0o755, 1000, 70000, 0)
	case 1:
		fresh.target = string(bytes.Repeat([]byte("t"), 1+m.r.IntN(200)))
		in, errno = m.f.Symlink(p.in, p.name, fresh.target, 0, 0)
	default:
		in, errno = m.f.Make(p.in, p.name, syscall.S_IFREG|0o644, 0, 0, 0)
	}
	if m.same("make", errno, wantMake(th)) {
		p.thing.dir[p.name] = fresh
		m.f.Release(in)
	}
}

// open returns the inode of a regular file.
func (m *model) open(p place, th *thing) *Inode {
	if th == nil || th.dir != nil || th.target != "" {
		return nil
	}
	in, errno := m.f.Lookup(p.in, p.name)
	m.must(errno)
	return in
}

func (m *model) write(p place, th *thing) {
	in := m.open(p, th)
	if in == nil {
		return
	}
	defer m.f.Release(in)
	off := m.r.IntN(len(th.data) + 20000)
	data := make([]byte, 1+m.r.IntN(40000))
	for i := range data {
		data[i] = byte(m.r.Uint32())
	}
	n, _, errno := m.f.WriteAt(in, data, int64(off), false)
	if !m.same("write", errno, 0) {
		return
	}
	if n < len(data) {
		m.full++
	}
	if off+n > len(th.data) {
		th.data = append(th.data, make([]byte, off+n-len(th.data))...)
	}
	copy(th.data[off:], data[:n])
}

func (m *model) truncate(p place, th *thing) {
	in := m.open(p, th)
	if in == nil {
		return
	}
	defer m.f.Release(in)
	size := m.r.IntN(len(th.data)*3/2 + 5000)
	if m.same("truncate", m.f.Truncate(in, int64(size)), 0) {
		th.data = append(th.data, make([]byte, max(size-len(th.data), 0))...)[:size]
	}
}

func (m *model) allocate(p place, th *thing) {
	in := m.open(p, th)
	if in == nil {
		return
	}
	defer m.f.Release(in)
	off, size := m.r.IntN(len(th.data)+10000), 1+m.r.IntN(30000)
	if m.r.IntN(2) == 0 {
		if m.same("fallocate", m.f.Allocate(in, 0, int64(off), int64(size)), 0) {
			th.data = append(th.data, make([]byte, max(off+size-len(th.data), 0))...)
		}
		return
	}
	if m.same("punch", m.f.Allocate(in, allocPunchHole|allocKeepSize, int64(off), int64(size)), 0) {
		if off < len(th.data) {
			clear(th.data[off:min(off+size, len(th.data))])
		}
	}
}

func (m *model) remove(p place, th *thing) {
	switch {
	case th == nil:
		m.same("unlink", m.f.Unlink(p.in, p.name), syscall.ENOENT)
	case th.dir != nil:
		want := Errno(0)
		if len(th.dir) > 0 {
			want = syscall.ENOTEMPTY
		}
		if m.same("rmdir", m.f.Rmdir(p.in, p.name), want) {
			delete(p.thing.dir, p.name)
		}
	default:
		in := m.open(p, th)
		if m.same("unlink", m.f.Unlink(p.in, p.name), 0) {
			delete(p.thing.dir, p.name)
			th.links--
			if in != nil && th.links == 0 { // it can be used until it is closed
				_, _, errno := m.f.WriteAt(in, []byte("still here"), 7, false)
				m.same("write to a deleted file", errno, 0)
			}
		}
		m.f.Release(in)
	}
}

// inside tells whether dir is th or lies below it.
func inside(th, dir *thing) bool {
	if th == dir {
		return true
	}
	for _, sub := range th.dir {
		if sub.dir != nil && inside(sub, dir) {
			return true
		}
	}
	return false
}

func (m *model) rename(p place) {
	q := m.pick()
	defer m.f.Release(q.in)
	th, to := p.thing.dir[p.name], q.thing.dir[q.name]
	if th != nil && th.dir != nil && inside(th, q.thing) || to != nil && to.dir != nil && inside(to, p.thing) {
		return // for the caller to see
	}
	want := Errno(0)
	switch {
	case th == nil:
		want = syscall.ENOENT
	case to == nil || th == to:
	case th.dir != nil && to.dir == nil:
		want = syscall.ENOTDIR
	case th.dir == nil && to.dir != nil:
		want = syscall.EISDIR
	case to.dir != nil && len(to.dir) > 0:
		want = syscall.ENOTEMPTY
	}
	exchange := m.r.IntN(5) == 0
	if exchange {
		want = 0
		if th == nil || to == nil {
			want = syscall.ENOENT
		}
	}
	if !m.same("rename", m.f.Rename(p.in, p.name, q.in, q.name, false, exchange), want) || th == to {
		return
	}
	if exchange {
		p.thing.dir[p.name], q.thing.dir[q.name] = to, th
		return
	}
	if to != nil {
		to.links--
	}
	delete(p.thing.dir, p.name)
	q.thing.dir[q.name] = th
}

func (m *model) link(p place) {
	q := m.pick()
	defer m.f.Release(q.in)
	th := p.thing.dir[p.name]
	in := m.open(p, th)
	if in == nil {
		return
	}
	defer m.f.Release(in)
	if m.same("link", m.f.Link(in, q.in, q.name, false), wantMake(q.thing.dir[q.name])) {
		th.links++
		q.thing.dir[q.name] = th
	}
}

// compare reads a file in pieces.
func (m *model) compare(dir *Inode, name string, th *thing) {
	m.t.Helper()
	in, errno := m.f.Lookup(dir, name)
	m.must(errno)
	defer m.f.Release(in)
	if th.target != "" {
		text, errno := m.f.Readlink(in)
		if errno != 0 || text != th.target {
			m.t.Fatalf("link %q: %v", text, errno)
		}
		return
	}
	st := m.f.Stat(in)
	if st.Size != int64(len(th.data)) || int(st.Links) != th.links {
		m.t.Fatalf("%s: %d bytes and %d links, want %d and %d", name, st.Size, st.Links, len(th.data), th.links)
	}
	got := make([]byte, 0, len(th.data))
	buf := make([]byte, 1+m.r.IntN(30000))
	for {
		n, errno := m.f.ReadAt(in, buf, int64(len(got)))
		m.must(errno)
		if n == 0 {
			break
		}
		got = append(got, buf[:n]...)
	}
	if !bytes.Equal(got, th.data) {
		m.t.Fatalf("%s: contents differ at %d of %d", name, differ(got, th.data), len(th.data))
	}
}

func differ(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// check compares everything below a directory.
func (m *model) check(in *Inode, th *thing) {
	m.t.Helper()
	names, errno := m.f.Names(in)
	m.must(errno)
	if len(names) != len(th.dir) {
		m.t.Fatalf("inode %d: %d entries %q, want %d", in.number, len(names), names, len(th.dir))
	}
	for _, name := range names {
		sub := th.dir[name]
		if sub == nil {
			m.t.Fatalf("%s should not be there", name)
		}
		if sub.dir == nil {
			m.compare(in, name, sub)
			continue
		}
		next, errno := m.f.Lookup(in, name)
		m.must(errno)
		m.check(next, sub)
		m.f.Release(next)
	}
}

func (m *model) checkAll() {
	m.t.Helper()
	root, errno := m.f.Root()
	m.must(errno)
	m.check(root, m.root)
	m.f.Release(root)
}

func sortStrings(s []string) {
	for i := range s {
		for j := i; j > 0 && s[j] < s[j-1]; j-- {
			s[j], s[j-1] = s[j-1], s[j]
		}
	}
}

// TestRandomOperations: thousands of operations on a small volume, which gets full,
// with remounts; e2fsck agrees after each.
func TestRandomOperations(t *testing.T) {
	r := newRand(t)
	dev, path := newFile(t, 24<<20)
	makeOn(t, dev)
	f := mountOn(t, dev)
	m := newModel(t, f, r)
	for range 8 {
		for range 1500 {
			m.step()
		}
		m.checkAll()
		unmount(t, m.f)
		fsck(t, path, "-n")
		m.f = mountOn(t, dev)
		m.checkAll()
	}
	unmount(t, m.f)
	t.Logf("the disk was full %d times", m.full)
}

// loop mounts an image with this host's Linux.
func loop(t testing.TB, path string, options ...string) (dir string, done func()) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	ownMounts(t)
	dir = t.TempDir()
	args := append([]string{"-t", "ext4", "-o", "loop"}, options...)
	if out, err := exec.Command("mount", append(args, path, dir)...).CombinedOutput(); err != nil {
		t.Skipf("this host mounts no images: %s", out)
	}
	mounted := true
	done = func() {
		if mounted {
			mounted = false
			if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
				t.Errorf("umount: %s", out)
			}
		}
	}
	t.Cleanup(done)
	return dir, done
}

// ownMounts gives this goroutine's thread mounts of its own: a namespace that
// another process makes meanwhile would keep the file system mounted else, and
// unwritten, beyond its umount.
func ownMounts(t testing.TB) {
	t.Helper()
	runtime.LockOSThread() // for good: the thread ends with the goroutine
	if err := syscall.Unshare(syscall.CLONE_NEWNS | syscall.CLONE_FS); err != nil {
		t.Skipf("this host gives no mount namespace: %v", err)
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Skipf("this host gives no private mounts: %v", err)
	}
}

// compareLinux compares what Linux shows with the model.
func compareLinux(t testing.TB, dir string, th *thing) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != len(th.dir) {
		t.Fatalf("%s: %d entries, want %d: %v", dir, len(entries), len(th.dir), err)
	}
	for name, sub := range th.dir {
		path := filepath.Join(dir, name)
		switch {
		case sub.dir != nil:
			compareLinux(t, path, sub)
		case sub.target != "":
			if target, err := os.Readlink(path); err != nil || target != sub.target {
				t.Fatalf("%s: %q, %v", path, target, err)
			}
		default:
			data, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(data, sub.data) {
				t.Fatalf("%s: %d bytes of %d, differ at %d: %v", path, len(data), len(sub.data), differ(data, sub.data), err)
			}
		}
	}
}

// readLinux makes a model of what is in a folder.
func readLinux(t testing.TB, dir string, seen map[uint64]*thing) *thing {
	t.Helper()
	th := &thing{dir: map[string]*thing{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		st := info.Sys().(*syscall.Stat_t)
		switch {
		case e.IsDir():
			th.dir[e.Name()] = readLinux(t, path, seen)
		case e.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			th.dir[e.Name()] = &thing{target: target, links: 1}
			if err != nil {
				t.Fatal(err)
			}
		default:
			if seen[st.Ino] == nil {
				data, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				seen[st.Ino] = &thing{data: data, links: int(st.Nlink)}
			}
			th.dir[e.Name()] = seen[st.Ino]
		}
	}
	return th
}

// TestInTurnWithLinux: a file system of mkfs.ext4 (and of ours) is written by both
// in turn, with e2fsck after each.
func TestInTurnWithLinux(t *testing.T) {
	for name, make := range map[string][]string{
		"ours":        nil,
		"default":     {},
		"4k":          {"-b", "4096"},
		"1k":          {"-b", "1024"},
		"2k":          {"-b", "2048", "-I", "128"},
		"orphan file": {"-b", "4096", "-O", "orphan_file"},
		"no csum":     {"-O", "^metadata_csum", "-b", "4096"},
		"plain":       {"-O", "^metadata_csum,^64bit,^flex_bg,uninit_bg,^huge_file", "-b", "1024"},
		"meta_bg":     {"-O", "meta_bg,^resize_inode", "-b", "1024"},
		"seed":        {"-O", "metadata_csum_seed", "-b", "4096", "-g", "2048"},
		"sparse2":     {"-O", "sparse_super2,^resize_inode", "-b", "1024"},
		"fast":        {"-O", "fast_commit", "-b", "4096"},
	} {
		t.Run(name, func(t *testing.T) {
			dev, path := newFile(t, 40<<20)
			if make == nil {
				makeOn(t, dev)
			} else {
				mkfs(t, path, make...)
			}
			inTurn(t, dev, path)
		})
	}
}

func mkfs(t testing.TB, path string, args ...string) {
	t.Helper()
	out, err := exec.Command("/usr/sbin/mkfs.ext4", append(append([]string{"-q", "-F"}, args...), path)...).CombinedOutput()
	var missing *exec.Error
	if errors.As(err, &missing) || errors.Is(err, fs.ErrNotExist) {
		t.Skip("mkfs.ext4 is not installed")
	}
	if err != nil {
		t.Fatalf("mkfs.ext4: %s", out)
	}
}

func inTurn(t *testing.T, dev Device, path string) {
	m := newModel(t, nil, newRand(t))
	for round := range 3 {
		m.f = mountOn(t, dev)
		if round > 0 {
			m.checkAll()
		}
		for range 800 {
			m.step()
		}
		m.checkAll()
		unmount(t, m.f)
		fsck(t, path, "-n")

		dir, done := loop(t, path)
		compareLinux(t, dir, m.root)
		linuxWrites(t, dir, m.r, round)
		m.root = readLinux(t, dir, map[uint64]*thing{})
		done()
		fsck(t, path, "-n")
	}
	m.f = mountOn(t, dev)
	m.checkAll()
	emptyDir(m, "many")
	unmount(t, m.f)
	fsck(t, path, "-n")
}

// linuxWrites has Linux make what this package doesn't: hashed directories,
// unwritten extents, attributes.
func linuxWrites(t *testing.T, dir string, r *rand.Rand, round int) {
	many := filepath.Join(dir, "many")
	os.Mkdir(many, 0o755)
	for i := range 600 {
		name := filepath.Join(many, fmt.Sprintf("a long name so that the directory gets a hash %d %d", round, i))
		if err := os.WriteFile(name, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Create(filepath.Join(dir, fmt.Sprintf("reserved%d", round)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Fallocate(int(f.Fd()), 0, 0, 300000); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		f.WriteAt([]byte("some words in the middle"), int64(r.IntN(290000)))
	}
	big := make([]byte, 300)
	if err := syscall.Setxattr(f.Name(), "user.big", big, 0); err != nil {
		t.Fatal(err)
	}
	os.Symlink("somewhere", filepath.Join(dir, fmt.Sprintf("link%d", round)))
}

// emptyDir removes all files of a directory.
func emptyDir(m *model, name string) {
	root, errno := m.f.Root()
	m.must(errno)
	dir, errno := m.f.Lookup(root, name)
	m.must(errno)
	names, errno := m.f.Names(dir)
	m.must(errno)
	for _, n := range names {
		if errno := m.f.Unlink(dir, n); errno == syscall.EISDIR {
			return // the model has put something there
		} else if errno != 0 {
			m.t.Fatal(errno)
		}
	}
	m.must(m.f.Rmdir(root, name))
	m.f.Release(dir)
	m.f.Release(root)
}
