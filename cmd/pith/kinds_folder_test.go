//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pith/machine"
)

// sharer reads and writes the host's folder at /src.
const sharer = `package main

import (
	"fmt"
	"os"
)

func main() {
	b, err := os.ReadFile("/src/in")
	fmt.Printf("read %q, %v\n", b, err)
	fmt.Println("wrote", os.WriteFile("/src/out", []byte("from within"), 0o644))
}
`

// TestKindsFolder: the kinds that run on a kernel of Linux's see a folder of the host's,
// too, and can't write to it if it is read-only.
func TestKindsFolder(t *testing.T) {
	if testing.Short() {
		t.Skip("runs machines")
	}
	for _, kind := range []string{machine.KindProcess, machine.KindContainer, machine.KindLinuxVM} {
		t.Run(kind, func(t *testing.T) {
			kindOrSkip(t, kind)
			c := newCLI(t)
			c.save("go.mod", "module sharer\ngo 1.26\n")
			c.save("main.go", sharer)
			c.folder()
			out := filepath.Join(c.dir, "shared/out")
			run := func(volume string, words ...string) {
				t.Helper()
				r := c.pith("run", "--machine", kind, "-m", "256", "-v", volume, ".")
				for _, w := range words {
					if r.code != 0 || !strings.Contains(r.out, w) {
						t.Errorf("-v %s: %+v, want %q", volume, r, w)
					}
				}
			}
			run("./shared:/src:ro", `read "hello", <nil>`, "wrote open /src/out: read-only file system")
			if _, err := os.Stat(out); err == nil {
				t.Error("a read-only folder is written to")
			}
			run("./shared:/src", `read "hello", <nil>`, "wrote <nil>")
			if b, err := os.ReadFile(out); string(b) != "from within" || err != nil {
				t.Errorf("%q, %v", b, err)
			}
		})
	}
}

// folder makes one that everybody may use: a process or container that root starts is
// user nobody.
func (c *cli) folder() {
	c.Helper()
	shared := filepath.Join(c.dir, "shared")
	c.save("in", "hello")
	if err := os.Mkdir(shared, 0o700); err != nil {
		c.Fatal(err)
	}
	if err := os.Rename(filepath.Join(c.dir, "in"), filepath.Join(shared, "in")); err != nil {
		c.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{shared: 0o777, c.dir: 0o755, filepath.Dir(c.dir): 0o755} {
		if err := os.Chmod(path, mode); err != nil {
			c.Fatal(err)
		}
	}
}
