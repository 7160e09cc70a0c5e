package cache

import (
	"math"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"pith"
)

// testCache is an empty cache with bounds of its own.
func testCache(t *testing.T, l Limits) *Cache {
	t.Helper()
	return &Cache{dir: t.TempDir(), limits: l}
}

const block = 64 << 10 // a size that file systems count exactly

// put makes an entry that was used some time ago: a file, or a folder with one file
// where the kind has folders.
func (c *Cache) put(t *testing.T, kind, name string, size int, ago time.Duration) string {
	t.Helper()
	path := c.Path(kind, name)
	file := path
	if kind == Builds || kind == Modules || kind == Toolchain {
		file = filepath.Join(path, "linked")
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, make([]byte, size), 0o644); err != nil {
		t.Fatal(err)
	}
	used := time.Now().Add(-ago)
	if err := os.Chtimes(path, used, used); err != nil {
		t.Fatal(err)
	}
	return path
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func prune(t *testing.T, c *Cache, l Limits) Pruned {
	t.Helper()
	p, err := c.Prune(l)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestUnusedGoes(t *testing.T) {
	c := testCache(t, Limits{})
	old := c.put(t, Symbols, "0123456789abcdef.elf", block, 8*24*time.Hour)
	young := c.put(t, Modules, "0123456789abcdef", block, 6*24*time.Hour)
	foreign := c.put(t, Symbols, "mine.txt", block, 1000*time.Hour)
	elsewhere := filepath.Join(c.dir, "photos")
	if err := os.Mkdir(elsewhere, 0o755); err != nil {
		t.Fatal(err)
	}
	p := prune(t, c, Limits{Unused: DefaultUnused, Size: DefaultSize})
	if exists(old) || !exists(young) || p.Removed != 1 || p.Freed < block || p.Left < block {
		t.Errorf("old %v, young %v, %+v", exists(old), exists(young), p)
	}
	prune(t, c, Everything)
	if exists(young) {
		t.Error("all should go")
	}
	if !exists(foreign) || !exists(elsewhere) {
		t.Error("what is not Pith's was removed")
	}
}

func TestLeastRecentlyUsedGoesFirst(t *testing.T) {
	c := testCache(t, Limits{})
	a := c.put(t, Symbols, "000000000000000a.elf", block, 4*time.Hour)
	b := c.put(t, LinuxVM, "ramdisk-000000000000000b", block, 3*time.Hour)
	d := c.put(t, Symbols, "000000000000000c.elf", block, 5*time.Hour)
	e := c.put(t, Symbols, "000000000000000d.elf", block, time.Hour)
	var h Hold
	defer h.Release()
	if ok, err := h.Use(d); !ok || err != nil { // the oldest is used now
		t.Fatal(ok, err)
	}
	prune(t, c, Limits{Unused: DefaultUnused, Size: 3 * block})
	if exists(a) || exists(b) || !exists(d) || !exists(e) { // down to nine tenths
		t.Errorf("there are a %v, b %v, c %v, d %v", exists(a), exists(b), exists(d), exists(e))
	}
}

func TestHeldStays(t *testing.T) {
	c := testCache(t, Limits{})
	build := c.put(t, Builds, "0123456789abcdef", block, time.Hour)
	var one, other Hold
	for _, h := range []*Hold{&one, &other} {
		if err := c.UseOf(h, filepath.Join(build, "linked")); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range []*Hold{&one, &other} {
		if p := prune(t, c, Everything); !exists(build) || p.InUse != 1 || p.Removed != 0 || p.Left < block {
			t.Fatalf("there %v, %+v", exists(build), p)
		}
		h.Release()
	}
	if prune(t, c, Everything); exists(build) {
		t.Error("it stays although nobody holds it")
	}
	if ok, err := one.Use(build); ok || err != nil {
		t.Errorf("an entry that is gone: %v, %v", ok, err)
	}
}

// TestUseOfOthers: a file outside of the cache keeps its time.
func TestUseOfOthers(t *testing.T) {
	c := testCache(t, Limits{})
	c.put(t, Symbols, "mine", block, time.Hour)
	file := c.Path(Symbols, "mine")
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	var h Hold
	for _, path := range []string{file, c.dir, filepath.Dir(c.dir), c.Path(Symbols, ""), ""} {
		if err := c.UseOf(&h, path); err != nil {
			t.Error(path, err)
		}
	}
	if after, err := os.Stat(file); err != nil || !after.ModTime().Equal(before.ModTime()) || len(h.held) > 0 {
		t.Error("it was touched", err)
	}
}

func TestGoneSourceGoes(t *testing.T) {
	c := testCache(t, Limits{})
	gone, here := c.put(t, Builds, "0123456789abcdef", block, time.Hour), c.put(t, Builds, "0123456789abcdee", block, time.Hour)
	for path, source := range map[string]string{gone: filepath.Join(c.dir, "nowhere"), here: c.dir} {
		if err := os.WriteFile(filepath.Join(path, SourceFile), []byte(source), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	prune(t, c, Limits{Unused: DefaultUnused, Size: DefaultSize})
	if exists(gone) || !exists(here) {
		t.Errorf("gone %v, here %v", exists(gone), exists(here))
	}
}

func TestLeftovers(t *testing.T) {
	c := testCache(t, Limits{})
	old, young := c.put(t, Modules, Temporary+"1", block, 2*time.Hour), c.put(t, Modules, Temporary+"2", block, time.Minute)
	prune(t, c, Everything)
	if exists(old) || !exists(young) { // somebody may be making it
		t.Errorf("old %v, young %v", exists(old), exists(young))
	}
}

// TestTrueSizes: a file with two names counts once, a hole not at all.
func TestTrueSizes(t *testing.T) {
	c := testCache(t, Limits{})
	build := c.put(t, Builds, "0123456789abcdef", 16*block, time.Hour)
	if err := os.Link(filepath.Join(build, "linked"), filepath.Join(build, "prog.elf")); err != nil {
		t.Fatal(err)
	}
	sparse := c.put(t, Symbols, "0123456789abcdef.elf", block, time.Hour)
	if err := os.Truncate(sparse, 1<<30); err != nil {
		t.Fatal(err)
	}
	twin := c.Path(Symbols, "0123456789abcdee.elf")
	if err := os.Link(filepath.Join(build, "linked"), twin); err != nil {
		t.Fatal(err)
	}
	usage, err := c.Usage()
	if err != nil {
		t.Fatal(err)
	}
	sizes := map[string]int64{}
	for _, u := range usage {
		sizes[u.Kind] = u.Size
	}
	if got := sizes[Builds]; got < 16*block || got > 17*block {
		t.Errorf("builds take %d", got)
	}
	if got := sizes[Symbols]; got < block || got > 2*block {
		t.Errorf("symbols take %d", got)
	}
	outside := filepath.Join(c.dir, "outside")
	if err := os.Link(twin, outside); err != nil {
		t.Fatal(err)
	}
	if p := prune(t, c, Everything); p.Left != 0 || p.Freed > 3*block || p.Removed != 3 {
		t.Errorf("%+v, though a name outside is left", p)
	}
}

// TestAdded: only what goes over the bound, or a day, prunes.
func TestAdded(t *testing.T) {
	c := testCache(t, Limits{Unused: DefaultUnused, Size: 10 * block})
	c.put(t, Symbols, "000000000000000a.elf", block, 0)
	c.Added()
	old := c.put(t, Symbols, "000000000000000b.elf", block, 8*24*time.Hour)
	c.Added(old)
	if !exists(old) {
		t.Fatal("nothing was over a bound")
	}
	big := c.put(t, Symbols, "000000000000000c.elf", 10*block, time.Hour)
	c.Added(big)
	if exists(old) || exists(big) {
		t.Error("over the bound, old and big should go")
	}

	old = c.put(t, Symbols, "000000000000000b.elf", block, 8*24*time.Hour)
	file := filepath.Join(c.dir, recordFile)
	for _, text := range []string{"", "{", `{"pruned":"2020-01-01T00:00:00Z","bytes":1,"next":9999999999}`, `{"pruned":"2999-01-01T00:00:00Z"}`} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		c.Added()
		if exists(old) {
			t.Errorf("%q: it was time to prune", text)
		}
		old = c.put(t, Symbols, "000000000000000b.elf", block, 8*24*time.Hour)
		c.Added() // not again on the same day
		if !exists(old) {
			t.Errorf("%q: pruned twice", text)
		}
	}
	lock, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := flock(lock, syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	c.Added(big, old, c.dir) // waits for nobody
}

func TestLimits(t *testing.T) {
	for text, want := range map[string]int64{"": DefaultSize, "off": math.MaxInt64, "500M": 500e6, "7g": 7e9, "2TB": 2e12} {
		c, err := Open([]string{"PITH_CACHE=/x", "PITH_CACHE_SIZE=" + text})
		if err != nil || c.Limits().Size != want || c.Dir() != "/x" {
			t.Errorf("%q: %+v, %v", text, c, err)
		}
	}
	for _, text := range []string{"5", "-1G", "x", "1.5G", "G", "99999999999G", "999999999T", "5GiB"} {
		if _, err := Open([]string{"PITH_CACHE=/x", "PITH_CACHE_SIZE=" + text}); pith.ExitCode(err) != 2 {
			t.Errorf("%q: %v", text, err)
		}
	}
}
