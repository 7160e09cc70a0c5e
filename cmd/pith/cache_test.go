package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pith/cache"
)

// cached is what `pith cache ls -o json` says, by kind.
func (c *cli) cached() map[string]cache.Usage {
	c.Helper()
	r := c.pith("cache", "ls", "-o", "json")
	var s cacheState
	if err := json.Unmarshal([]byte(r.out), &s); err != nil || r.code != 0 {
		c.Fatalf("%d, %v: %s%s", r.code, err, r.out, r.err)
	}
	kinds := map[string]cache.Usage{}
	var size int64
	for _, u := range s.Kinds {
		kinds[u.Kind], size = u, size+u.Size
	}
	if size != s.Size {
		c.Errorf("the cache takes %d bytes, its kinds %d", s.Size, size)
	}
	return kinds
}

// TestPruneSparesMachines: a machine's symbols stay until it has ended, whatever is
// asked for.
func TestPruneSparesMachines(t *testing.T) {
	c := newCLI(t)
	c.env = append(c.env, "PITH_CACHE="+t.TempDir())
	c.save("go.mod", "module sleeper\n\ngo 1.26\n")
	c.save("main.go", "package main\n\nimport \"time\"\n\nfunc main() { time.Sleep(time.Hour) }\n")
	if r := c.pith("run", "-d", "--name", "sleeper", "."); r.code != 0 {
		t.Fatalf("%s%s", r.out, r.err)
	}
	defer c.pith("rm", "-f", "sleeper")
	r := c.pith("cache", "prune", "--all", "-o", "json")
	var p cache.Pruned
	if err := json.Unmarshal([]byte(r.out), &p); err != nil || r.code != 0 {
		t.Fatalf("%d, %v: %s%s", r.code, err, r.out, r.err)
	}
	kinds := c.cached()
	if p.Removed != 1 || p.Freed == 0 || kinds[cache.Toolchain].Entries != 0 {
		t.Errorf("nobody needs the toolchain: %+v, %+v", p, kinds)
	}
	if s := kinds[cache.Symbols]; p.InUse != 2 || s.Entries != 1 || s.InUse != 1 || kinds[cache.Builds].InUse != 1 {
		t.Errorf("a machine runs: %+v, %+v", p, kinds)
	}
	if r := c.pith("rm", "-f", "sleeper"); r.code != 0 {
		t.Fatalf("%s%s", r.out, r.err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) { // until its supervisor has ended
		r := c.pith("cache", "prune", "--all")
		if r.code == 0 && strings.HasSuffix(r.out, "; 0 kB are left\n") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d %s%s", r.code, r.out, r.err)
		}
	}
	if r := c.pith("cache", "df"); r.code != 0 || !strings.Contains(r.out, "\nsymbols     0 ") || !strings.Contains(r.out, ": 0 kB, of 5.0 GB\n") {
		t.Errorf("%d %s%s", r.code, r.out, r.err)
	}
}

func TestCacheMistakes(t *testing.T) {
	c := newCLI(t)
	c.env = append(c.env, "PITH_CACHE="+t.TempDir())
	c.fails(2, "text or json", "cache", "ls", "-o", "xml")
	c.fails(2, "500M, 5G or off", "cache", "prune", "--size", "5")
	c.fails(2, "leaves nothing to choose", "cache", "prune", "--all", "--size", "5G")
	c.fails(2, "--unused -1h", "cache", "prune", "--unused", "-1h")
	c.env = append(c.env, "PITH_CACHE_SIZE=lots")
	c.fails(2, "PITH_CACHE_SIZE=lots is no size", "cache", "ls")
	c.fails(2, "PITH_CACHE_SIZE=lots is no size", "build", "-o", "x", ".")
}
