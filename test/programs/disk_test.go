package programs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// buildNeeds is what the largest of the programs, CoreDNS, takes of a disk where nothing
// of it is compiled yet, with some reserve: 1.1 GB in Go's cache, as much again in the go
// command's temporary folder until it has linked, 0.3 GB for the program and its image.
const buildNeeds = 3e9

// needDisk fails where a build would drown in the compiler's messages about a full
// disk. It is no skip: what isn't tested then should not look as if it were.
func needDisk(t *testing.T) {
	t.Helper()
	if err := short(buildDirs(t), free); err != nil {
		t.Fatal(err)
	}
}

// buildDirs are the folders that a build fills.
func buildDirs(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	cache := os.Getenv("PITH_CACHE")
	if cache == "" {
		if cache, err = os.UserCacheDir(); err != nil {
			t.Fatal(err)
		}
	}
	return []string{strings.TrimSpace(string(out)), os.TempDir(), cache}
}

// short tells of the first folder on whose disk there is too little.
func short(dirs []string, free func(dir string) (int64, error)) error {
	for _, dir := range dirs {
		n, err := free(dir)
		if err != nil {
			return err
		}
		if n < buildNeeds {
			return fmt.Errorf("the disk of %s has %.1f GB free, and building a program may need %.1f: `pith cache prune --all` and `go clean -cache` free what can be made again",
				dir, float64(n)/1e9, buildNeeds/1e9)
		}
	}
	return nil
}

// free is what may be written on the disk of a folder that need not exist yet, in bytes.
func free(dir string) (int64, error) {
	var s syscall.Statfs_t
	err := syscall.Statfs(dir, &s)
	if up := filepath.Dir(dir); errors.Is(err, fs.ErrNotExist) && up != dir {
		return free(up)
	}
	return int64(s.Bavail) * s.Bsize, err
}

func TestShortOfDisk(t *testing.T) {
	sizes := map[string]int64{"/a": 50e9, "/b": buildNeeds, "/c": 1234567890}
	of := func(dir string) (int64, error) {
		if n, ok := sizes[dir]; ok {
			return n, nil
		}
		return 0, fs.ErrNotExist
	}
	if err := short([]string{"/a", "/b"}, of); err != nil {
		t.Error(err)
	}
	err := short([]string{"/a", "/c"}, of)
	if err == nil || !strings.HasPrefix(err.Error(), "the disk of /c has 1.2 GB free, and building a program may need 3.0: ") {
		t.Error(err)
	}
	if err := short([]string{"/d"}, of); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if n, err := free(filepath.Join(t.TempDir(), "not", "yet")); err != nil || n <= 0 {
		t.Error(n, err)
	}
}
