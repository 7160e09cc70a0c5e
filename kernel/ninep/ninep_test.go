package ninep

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pith/kernel/fs"
)

// mounted returns a tree with the server's folder at /src.
func mounted(t testing.TB, readOnly bool) (*fs.Tree, *server, *System) {
	t.Helper()
	host := newServer(t)
	system, err := New(host, Options{Source: "src", ReadOnly: readOnly, Report: func(s string) { t.Error(s) }})
	if err != nil {
		t.Fatal(err)
	}
	tree := fs.New(0)
	must(t, tree.Mkdir(tree.Root(), "/src", 0o755))
	must(t, tree.Mount("/src", system))
	return tree, host, system
}

func must(t testing.TB, errno Errno) {
	t.Helper()
	if errno != 0 {
		t.Fatal(errno)
	}
}

func want(t testing.TB, got, wanted Errno) {
	t.Helper()
	if got != wanted {
		t.Errorf("%v, want %v", got, wanted)
	}
}

// open opens a file as a program does.
func open(t testing.TB, tree *fs.Tree, path string, flags int) *fs.Node {
	t.Helper()
	o, errno := tree.Open(tree.Root(), path, flags, 0o644)
	must(t, errno)
	if flags&syscall.O_ACCMODE != syscall.O_RDONLY {
		must(t, o.Node.AcquireToWrite())
	} else {
		must(t, o.Node.Acquire())
	}
	return o.Node
}

func contents(t testing.TB, tree *fs.Tree, path string) string {
	t.Helper()
	n := open(t, tree, path, syscall.O_RDONLY)
	defer n.Release()
	b := make([]byte, 1<<20)
	got, errno := n.ReadAt(b, 0)
	must(t, errno)
	return string(b[:got])
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestNames(t *testing.T) {
	tree, host, _ := mounted(t, false)
	root := tree.Root()
	must(t, tree.Mkdir(root, "/src/dir", 0o750))
	n := open(t, tree, "/src/dir/file", syscall.O_RDWR|syscall.O_CREAT)
	if done, _, errno := n.WriteAt([]byte("contents"), 3, false); done != 8 || errno != 0 {
		t.Fatal(done, errno)
	}
	must(t, n.Fsync(false))
	if b, err := os.ReadFile(filepath.Join(host.root, "dir/file")); string(b) != "\x00\x00\x00contents" || err != nil {
		t.Errorf("the host has %q, %v", b, err)
	}
	must(t, tree.Symlink("dir/file", root, "/src/link"))
	must(t, tree.Link(n, root, "/src/second", false))
	must(t, tree.Rename(root, "/src/second", root, "/src/dir/third", 0))
	if got := contents(t, tree, "/src/link"); got != "\x00\x00\x00contents" {
		t.Errorf("through the link: %q", got)
	}
	var st syscall.Stat_t
	must(t, n.Stat(&st))
	if st.Nlink != 2 || st.Size != 11 || st.Mode != syscall.S_IFREG|0o644 {
		t.Errorf("%+v", st)
	}
	n.Release()
	want(t, tree.Rmdir(root, "/src/dir"), syscall.ENOTEMPTY)
	must(t, tree.Unlink(root, "/src/dir/file"))
	must(t, tree.Unlink(root, "/src/dir/third"))
	must(t, tree.Rmdir(root, "/src/dir"))
	want(t, tree.Unlink(root, "/src/nothing"), syscall.ENOENT)
	want(t, tree.Rename(root, "/src/link", root, "/link", 0), syscall.EXDEV)
	must(t, tree.Symlink("x", root, "/src/other"))
	want(t, tree.Rename(root, "/src/link", root, "/src/other", fs.RenameExchange), syscall.EINVAL)
	want(t, tree.Rename(root, "/src/link", root, "/src/other", fs.RenameNoReplace), syscall.EEXIST)
	must(t, tree.Close())
}

// TestReplacing renames a file over another and a directory over an empty one.
func TestReplacing(t *testing.T) {
	tree, host, _ := mounted(t, false)
	root := tree.Root()
	write(t, filepath.Join(host.root, "a"), "new")
	write(t, filepath.Join(host.root, "b"), "old")
	old := open(t, tree, "/src/b", syscall.O_RDWR)
	must(t, tree.Rename(root, "/src/a", root, "/src/b", 0))
	if got := contents(t, tree, "/src/b"); got != "new" {
		t.Errorf("%q", got)
	}
	b := make([]byte, 10)
	if n, errno := old.ReadAt(b, 0); string(b[:n]) != "old" || errno != 0 {
		t.Errorf("the open file: %q, %v", b[:n], errno)
	}
	old.Release()
	must(t, tree.Mkdir(root, "/src/d", 0o755))
	must(t, tree.Mkdir(root, "/src/e", 0o755))
	must(t, tree.Rename(root, "/src/d", root, "/src/e", 0))
	dir, errno := tree.Lookup(root, "/src/e", true)
	must(t, errno)
	if path, errno := tree.Path(dir); path != "/src/e" || errno != 0 {
		t.Error(path, errno)
	}
}

// TestHostChanges changes the folder behind the tree's back: all is seen at once.
func TestHostChanges(t *testing.T) {
	tree, host, _ := mounted(t, false)
	root := tree.Root()
	page := filepath.Join(host.root, "page")
	for i := range 20 {
		text := strings.Repeat("x", i)
		switch i % 3 {
		case 0: // as most editors save: beside it, then over it
			write(t, page+"~", text)
			if err := os.Rename(page+"~", page); err != nil {
				t.Fatal(err)
			}
		case 1:
			write(t, page, text)
		default: // a new file, which may get the old one's number
			os.Remove(page)
			write(t, page, text)
		}
		if got := contents(t, tree, "/src/page"); got != text {
			t.Fatalf("change %d: %q, want %q", i, got, text)
		}
	}
	os.Remove(page)
	if _, errno := tree.Lookup(root, "/src/page", true); errno != syscall.ENOENT {
		t.Errorf("removed on the host: %v", errno)
	}
	if err := os.Mkdir(page, 0o755); err != nil { // the number may mean a directory now
		t.Fatal(err)
	}
	if n, errno := tree.Lookup(root, "/src/page", true); errno != 0 || !n.IsDir() {
		t.Errorf("a directory now: %v", errno)
	}
}

// TestReplacedWhileOpen: what is done to an open file that the host has replaced
// happens to that file, and never to the new one.
func TestReplacedWhileOpen(t *testing.T) {
	tree, host, _ := mounted(t, false)
	name := filepath.Join(host.root, "log")
	write(t, name, "the old one")
	n := open(t, tree, "/src/log", syscall.O_RDWR)
	defer n.Release()
	var st syscall.Stat_t
	must(t, n.Stat(&st))
	write(t, name+"~", "the new one")
	if err := os.Rename(name+"~", name); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 20)
	if got, errno := n.ReadAt(b, 0); string(b[:got]) != "the old one" || errno != 0 {
		t.Errorf("%q, %v", b[:got], errno)
	}
	want(t, n.Truncate(0), syscall.ENOENT)
	want(t, n.Chmod(0), syscall.ENOENT)
	if _, _, errno := n.WriteAt([]byte("more"), 0, true); errno != 0 {
		t.Error(errno)
	}
	must(t, n.Stat(&st))
	if st.Nlink != 0 || st.Size != 15 {
		t.Errorf("%d names, %d bytes", st.Nlink, st.Size)
	}
	if b, _ := os.ReadFile(name); string(b) != "the new one" {
		t.Errorf("the new file has %q", b)
	}
}

// TestWithoutName: a file that was removed while open can be used on.
func TestWithoutName(t *testing.T) {
	tree, host, system := mounted(t, false)
	n := open(t, tree, "/src/temporary", syscall.O_RDWR|syscall.O_CREAT)
	must(t, tree.Unlink(tree.Root(), "/src/temporary"))
	if _, _, errno := n.WriteAt([]byte("hello"), 0, false); errno != 0 {
		t.Fatal(errno)
	}
	b := make([]byte, 9)
	if got, errno := n.ReadAt(b, 0); string(b[:got]) != "hello" || errno != 0 {
		t.Errorf("%q, %v", b[:got], errno)
	}
	if n.Size() != 5 || n.Links() != 0 {
		t.Errorf("%d bytes, %d names", n.Size(), n.Links())
	}
	n.Release()
	eventually(t, "the host closed the file", func() bool {
		host.mu.Lock()
		defer host.mu.Unlock()
		for _, f := range host.fids {
			if f.file != nil {
				return false
			}
		}
		return true
	})
	must(t, system.Close())
}

// eventually waits until something is so.
func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not: " + what)
		}
	}
}

// TestForgotten: nodes that the tree has forgotten are forgotten by the host, too.
func TestForgotten(t *testing.T) {
	tree, host, _ := mounted(t, false)
	for i := range 200 {
		write(t, filepath.Join(host.root, fmt.Sprint("f", i)), "x")
		contents(t, tree, fmt.Sprint("/src/f", i))
	}
	eventually(t, "few fids are left", func() bool {
		runtime.GC()
		host.mu.Lock()
		defer host.mu.Unlock()
		return len(host.fids) < 20
	})
}

func TestAttributes(t *testing.T) {
	tree, host, _ := mounted(t, false)
	n := open(t, tree, "/src/f", syscall.O_RDWR|syscall.O_CREAT)
	defer n.Release()
	then := time.Unix(3_000_000_000, 123456789)
	must(t, n.Chmod(0o4711))
	must(t, n.SetTimes(time.Time{}, then))
	must(t, n.Truncate(100_000))
	must(t, n.SetTimes(then.Add(time.Hour), then))
	var st, real syscall.Stat_t
	must(t, n.Stat(&st))
	if err := syscall.Stat(filepath.Join(host.root, "f"), &real); err != nil {
		t.Fatal(err)
	}
	st.Dev = real.Dev
	if st != real || st.Mode != syscall.S_IFREG|0o4711 || st.Mtim.Nano() != then.UnixNano() || st.Size != 100_000 {
		t.Errorf("%+v, the host has %+v", st, real)
	}
	var sfs syscall.Statfs_t
	must(t, n.Statfs(&sfs))
	if sfs.Type != 0x01021997 || sfs.Bavail == 0 || sfs.Namelen != 255 || sfs.Frsize != sfs.Bsize {
		t.Errorf("%+v", sfs)
	}
	want(t, n.Allocate(0, 0, 4096), syscall.EOPNOTSUPP)
	if !n.Remote() {
		t.Error("not remote")
	}
}

// TestList reads a large directory in parts, with positions from the start, the
// middle and the end, while the host adds names.
func TestList(t *testing.T) {
	tree, host, _ := mounted(t, false)
	root := tree.Root()
	var wanted []string
	for i := range 700 {
		name := fmt.Sprintf("%s-%d", strings.Repeat("n", i%200), i)
		wanted = append(wanted, name)
		write(t, filepath.Join(host.root, name), "")
	}
	dir, errno := tree.Lookup(root, "/src", true)
	must(t, errno)
	for range 2 {
		var names []string
		for pos, end := int64(0), false; !end; {
			end = true
			left := 1 + rand.IntN(90)
			must(t, tree.ReadDir(dir, pos, func(e fs.Entry) bool {
				if left--; left < 0 {
					return false
				}
				end = false
				names, pos = append(names, e.Name), e.Next
				return true
			}))
		}
		all := append([]string{".", ".."}, wanted...)
		slices.Sort(names)
		slices.Sort(all)
		if !slices.Equal(names, all) {
			t.Fatalf("%d names, want %d", len(names), len(all))
		}
		wanted = append(wanted, "later")
		write(t, filepath.Join(host.root, "later"), "")
	}
}

func TestPositions(t *testing.T) {
	for _, c := range []uint64{1, 2, 3, 1 << 40, 1<<63 - 1, 0x7ffffffe_ffffffff} {
		if p := position(c); p <= lastDot || cookie(p) != c {
			t.Errorf("cookie %#x: position %#x, back %#x", c, p, cookie(p))
		}
	}
}

// TestLarge reads and writes a file of several pieces, several goroutines at a time,
// and beyond its end.
func TestLarge(t *testing.T) {
	tree, host, _ := mounted(t, false)
	data := make([]byte, 3<<20+12345)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	n := open(t, tree, "/src/large", syscall.O_RDWR|syscall.O_CREAT)
	defer n.Release()
	if done, _, errno := n.WriteAt(data, 0, false); done != len(data) || errno != 0 {
		t.Fatal(done, errno)
	}
	if b, _ := os.ReadFile(filepath.Join(host.root, "large")); sha256.Sum256(b) != sha256.Sum256(data) {
		t.Error("the host has something else")
	}
	var group sync.WaitGroup
	for range 6 {
		group.Go(func() {
			for range 10 {
				off := rand.IntN(len(data) + 100)
				b := make([]byte, rand.IntN(len(data)))
				wanted := data[min(off, len(data)):min(off+len(b), len(data))]
				if got, errno := n.ReadAt(b, int64(off)); !bytes.Equal(b[:got], wanted) || errno != 0 {
					t.Errorf("%d bytes at %d: %d, %v", len(b), off, got, errno)
				}
			}
		})
	}
	group.Wait()
}

func TestReadOnly(t *testing.T) {
	tree, host, _ := mounted(t, true)
	root := tree.Root()
	write(t, filepath.Join(host.root, "f"), "text")
	if got := contents(t, tree, "/src/f"); got != "text" {
		t.Errorf("%q", got)
	}
	want(t, tree.Unlink(root, "/src/f"), syscall.EROFS)
	want(t, tree.Mkdir(root, "/src/d", 0o755), syscall.EROFS)
	_, errno := tree.Open(root, "/src/f", syscall.O_RDWR, 0)
	want(t, errno, syscall.EROFS)
	_, errno = tree.Open(root, "/src/g", syscall.O_RDWR|syscall.O_CREAT, 0)
	want(t, errno, syscall.EROFS)
}

// TestRights: the host decides who may read and write, when a file is opened.
func TestRights(t *testing.T) {
	tree, host, _ := mounted(t, false)
	write(t, filepath.Join(host.root, "f"), "text")
	var denied atomic.Uint32 // an access mode; handles that were let go are closed meanwhile
	denied.Store(syscall.O_WRONLY)
	host.setForge(func(request, reply []byte) []byte {
		if request[4] == typeLopen && le.Uint32(request[len(request)-4:])&3 == denied.Load() {
			// What was opened is closed by the clunk that follows.
			return le.AppendUint32([]byte{11, 0, 0, 0, 7, request[5], request[6]}, uint32(syscall.EACCES))
		}
		return reply
	})
	o, errno := tree.Open(tree.Root(), "/src/f", syscall.O_RDWR, 0)
	must(t, errno)
	want(t, o.Node.AcquireToWrite(), syscall.EACCES)
	if got := contents(t, tree, "/src/f"); got != "text" {
		t.Errorf("%q", got)
	}
	denied.Store(syscall.O_RDONLY)
	must(t, o.Node.AcquireToWrite())
	_, errno = o.Node.ReadAt(make([]byte, 4), 0)
	want(t, errno, syscall.EACCES)
	if n, _, errno := o.Node.WriteAt([]byte("TEXT"), 0, false); n != 4 || errno != 0 {
		t.Error(n, errno)
	}
	o.Node.Release()
}

// TestBadHost has the host break each rule: the caller gets EIO, one sentence says
// why, and the host is not asked again.
func TestBadHost(t *testing.T) {
	reply := func(change func(r []byte) []byte) func([]byte, []byte) []byte {
		return func(_, r []byte) []byte { return change(r) }
	}
	for name, forge := range map[string]func(request, reply []byte) []byte{
		"wrong length":    reply(func(r []byte) []byte { return r[:len(r)-1] }),
		"no header":       reply(func(r []byte) []byte { return r[:3] }),
		"another request": reply(func(r []byte) []byte { r[5]++; return r }),
		"by one of type":  reply(func(r []byte) []byte { r[4]++; return r }),
		"too short":       reply(func(r []byte) []byte { return le.AppendUint32(nil, 9)[:4:4] }),
		"too long": reply(func(r []byte) []byte {
			r = append(r, make([]byte, 1<<17)...)
			le.PutUint32(r, uint32(len(r)))
			return r
		}),
	} {
		t.Run(name, func(t *testing.T) {
			tree, host, system := mounted(t, false)
			var told []string
			system.c.report = func(s string) { told = append(told, s) }
			write(t, filepath.Join(host.root, "f"), "x")
			n := open(t, tree, "/src/f", syscall.O_RDONLY)
			host.setForge(forge)
			_, errno := n.ReadAt(make([]byte, 10), 0)
			want(t, errno, syscall.EIO)
			host.mu.Lock()
			clear(host.requests)
			host.mu.Unlock()
			_, errno = tree.Lookup(tree.Root(), "/src/f", true)
			want(t, errno, syscall.EIO)
			host.mu.Lock()
			defer host.mu.Unlock()
			if len(told) != 1 || len(host.requests) != 0 {
				t.Errorf("told %q, then %v", told, host.requests)
			}
		})
	}
}

// TestBadStart: a server of another kind is refused with a sentence.
func TestBadStart(t *testing.T) {
	host := newServer(t)
	for want, body := range map[string][]byte{
		"speaks \"9P2000\"":     append([]byte{0, 0, 1, 0, 6, 0}, "9P2000"...),
		"messages of 100 bytes": append([]byte{100, 0, 0, 0, 8, 0}, "9P2000.L"...),
		"messages of 524288":    append([]byte{0, 0, 8, 0, 8, 0}, "9P2000.L"...),
	} {
		host.setForge(func(request, _ []byte) []byte {
			return append(append(le.AppendUint32(nil, uint32(7+len(body))), 101, request[5], request[6]), body...)
		})
		if _, err := New(host, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	host.setForge(nil)
	if err := os.Remove(host.root); err != nil {
		t.Fatal(err)
	}
	if _, err := New(host, Options{}); err == nil || !strings.Contains(err.Error(), "can't be reached: no such file") {
		t.Error(err)
	}
}

// FuzzHost gives the client replies that say anything: it must neither crash nor
// hang, and never return more than fits.
func FuzzHost(f *testing.F) {
	f.Add([]byte{0}, uint8(0))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), uint8(4))
	f.Add(make([]byte, 160), uint8(9))
	f.Fuzz(func(t *testing.T, noise []byte, skip uint8) {
		tree, host, system := mounted(t, false)
		system.c.report, host.loose = nil, true
		write(t, filepath.Join(host.root, "f"), "some text")
		os.Symlink("f", filepath.Join(host.root, "link"))
		count := 0
		var mu sync.Mutex
		host.setForge(func(request, reply []byte) []byte {
			mu.Lock()
			defer mu.Unlock()
			if count++; count <= int(skip%16) || len(noise) == 0 {
				return reply
			}
			n := min(len(noise), 1+int(noise[0])%40)
			body := noise[1:n]
			noise = noise[n:]
			out := append(le.AppendUint32(nil, uint32(7+len(body))), request[4]+1, request[5], request[6])
			return append(out, body...)
		})
		root := tree.Root()
		if o, errno := tree.Open(root, "/src/f", syscall.O_RDWR|syscall.O_CREAT, 0o644); errno == 0 && o.Node.IsRegular() {
			if o.Node.AcquireToWrite() == 0 {
				b := make([]byte, 5)
				if n, _ := o.Node.ReadAt(b, 2); n > 5 {
					t.Errorf("read %d of 5 bytes", n)
				}
				if n, _, _ := o.Node.WriteAt(b, 1, true); n > 5 {
					t.Errorf("wrote %d of 5 bytes", n)
				}
				o.Node.Truncate(3)
				o.Node.Fsync(true)
				o.Node.Release()
			}
		}
		tree.Lookup(root, "/src/link", true)
		tree.Rename(root, "/src/f", root, "/src/g", 0)
		if dir, errno := tree.Lookup(root, "/src", true); errno == 0 {
			left := 1000
			tree.ReadDir(dir, 0, func(fs.Entry) bool { left--; return left > 0 })
			var st syscall.Statfs_t
			dir.Statfs(&st)
		}
		tree.Unlink(root, "/src/g")
		system.Sync()
	})
}
