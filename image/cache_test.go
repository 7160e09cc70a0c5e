package image

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"pith/cache"
)

const small = "package main\n\nfunc main() { println(\"small\") }\n"

func openCache(t *testing.T, env []string) *cache.Cache {
	t.Helper()
	c, err := cache.Open(env)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSymbolsAreSmall: what is kept for debuggers has the linked program's symbols
// and lines, and of the rest only where it is.
func TestSymbolsAreSmall(t *testing.T) {
	env := testEnv(t, "PITH_CACHE="+t.TempDir())
	dir := tree(t, map[string]string{"go.mod": gomod, "main.go": "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(\"x\") }\n"})
	img := mustBuild(t, Options{Dir: dir, Env: env, Strip: true})
	linked := filepath.Join(filepath.Dir(img.Path), "linked")
	var symbols [2]string
	for i, file := range []string{linked, img.Symbols} {
		out, err := exec.Command("go", "tool", "nm", "-n", file).Output()
		if err != nil {
			t.Fatal(err)
		}
		symbols[i] = string(out)
	}
	// A section that has no bytes is called bss, or data, by nm; names and addresses stay.
	if a, b := names(symbols[0]), names(symbols[1]); a != b || !strings.Contains(a, "main.main") {
		t.Errorf("the symbols differ: %d and %d bytes", len(a), len(b))
	}
	var whole, kept syscall.Stat_t
	if err := syscall.Stat(linked, &whole); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Stat(img.Symbols, &kept); err != nil {
		t.Fatal(err)
	}
	if kept.Size != whole.Size || kept.Blocks > whole.Blocks/2 {
		t.Errorf("the symbols take %d blocks, the linked program %d", kept.Blocks, whole.Blocks)
	}
}

// names leaves the addresses and names of nm's lines.
func names(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) >= 3 {
			b.WriteString(words[0] + " " + words[len(words)-1] + "\n")
		}
	}
	return b.String()
}

// FuzzOnlySymbols: whatever a file says of its sections, nothing panics.
func FuzzOnlySymbols(f *testing.F) {
	self, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		f.Add(self[:min(len(self), 1<<16)])
	}
	f.Add([]byte("\x7fELF"))
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		symbols, from, err := onlySymbols(data)
		if err == nil && (len(symbols) != len(data) || from > int64(len(data))) {
			t.Errorf("%d bytes, from %d, of %d", len(symbols), from, len(data))
		}
		if !bytes.Equal(data, before) {
			t.Error("the linked program was changed")
		}
	})
}

// TestPruneWhileBuilding: builds hold what they use, whatever others remove.
func TestPruneWhileBuilding(t *testing.T) {
	env := testEnv(t, "PITH_CACHE="+t.TempDir())
	dir := tree(t, map[string]string{"go.mod": gomod, "main.go": small})
	c := openCache(t, env)
	stop := make(chan struct{})
	var pruner, builds sync.WaitGroup
	pruner.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := c.Prune(cache.Everything); err != nil {
				t.Error(err)
			}
		}
	})
	for range 2 {
		builds.Go(func() {
			var hold cache.Hold
			defer hold.Release()
			img, err := Build(t.Context(), Options{Dir: dir, Env: env, Strip: true, Hold: &hold})
			if err != nil {
				t.Error(err)
				return
			}
			for _, file := range []string{img.Path, img.Symbols} {
				if !isFile(file) {
					t.Errorf("%q is gone while it is held", file)
				}
			}
		})
	}
	builds.Wait()
	close(stop)
	pruner.Wait()
	p, err := c.Prune(cache.Everything)
	if err != nil || p.Left != 0 || p.InUse != 0 {
		t.Errorf("%+v, %v: something is held after the builds", p, err)
	}
	mustBuild(t, Options{Dir: dir, Env: env})
}

// TestBuildsStayInBounds: each build looks after the cache.
func TestBuildsStayInBounds(t *testing.T) {
	env := testEnv(t, "PITH_CACHE="+t.TempDir(), "PITH_CACHE_SIZE=12M")
	for i := range 4 {
		dir := tree(t, map[string]string{"go.mod": gomod, "main.go": small})
		mustBuild(t, Options{Dir: dir, Env: env, LDFlags: strings.Repeat(" ", i)})
	}
	usage, err := openCache(t, env).Usage()
	if err != nil {
		t.Fatal(err)
	}
	var size int64
	builds := 0
	for _, u := range usage {
		size += u.Size
		if u.Kind == cache.Builds {
			builds = u.Entries
		}
	}
	if builds == 0 || size > 20e6 { // the last build's own entries can't go
		t.Errorf("%d builds, %d bytes: %+v", builds, size, usage)
	}
}

// TestHostedOnce: a program for Linux is in the cache once, under two names.
func TestHostedOnce(t *testing.T) {
	env := testEnv(t, "PITH_CACHE="+t.TempDir())
	dir := tree(t, map[string]string{"go.mod": gomod, "main.go": small})
	for range 2 {
		img, err := BuildHosted(t.Context(), Options{Dir: dir, Env: env})
		if err != nil {
			t.Fatal(err)
		}
		if !same(img.Path, filepath.Join(filepath.Dir(img.Path), "linked")) {
			t.Error("the program was copied")
		}
		if got := output(t, img); got != "small\n" {
			t.Errorf("it printed %q", got)
		}
		if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(strings.Replace(small, "println", "/* */ println", 1)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
