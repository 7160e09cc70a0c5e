package image

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"pith"
	"pith/cache"
)

// netstack is the folder of the only package that imports gVisor.
const netstack = "kernel/netstack"

// sources are the library OS's files that an image is made of, without tests,
// by their path below the module's root.
type sources struct {
	files map[string][]byte
	names []string // sorted
	hash  string   // of all of them
}

// kernelSources reads the sources for a network stack: those embedded in this
// program, or those of the checkout that PITH_SOURCE names.
func (b *builder) kernelSources() (*sources, error) {
	var fsys fs.FS = pith.Source
	if dir := cache.Lookup(b.env, "PITH_SOURCE"); dir != "" {
		if !isDir(filepath.Join(dir, "kernel")) {
			return nil, pith.Errorf("PITH_SOURCE=%s is no checkout of Pith: it has no folder kernel", dir)
		}
		fsys = os.DirFS(dir)
	}
	return readSources(fsys, b.options.Stack)
}

func readSources(fsys fs.FS, stack string) (*sources, error) {
	s := &sources{files: map[string][]byte{}}
	for _, root := range []string{"abi", "ext4", "kernel"} {
		err := fs.WalkDir(fsys, root, func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() {
				if skipFolder(name, stack) {
					return fs.SkipDir
				}
				return nil
			}
			return s.add(fsys, name)
		})
		if err != nil {
			return nil, fmt.Errorf("the kernel's sources: %w", err)
		}
	}
	if stack == pith.StackGvisor {
		for _, name := range []string{"go.mod", "go.sum"} {
			data, err := fs.ReadFile(fsys, name)
			if err != nil {
				return nil, fmt.Errorf("the kernel's sources: %w", err)
			}
			s.files[name] = data
		}
	}
	s.seal()
	return s, nil
}

// skipFolder tells the folders that no image needs: test data, test helpers,
// and gVisor's stack where another one was chosen.
func skipFolder(name, stack string) bool {
	base := path.Base(name)
	return base == "testdata" || strings.HasSuffix(base, "test") ||
		strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") ||
		name == netstack && stack != pith.StackGvisor
}

// add takes a file that a compiler reads; others and tests stay outside.
func (s *sources) add(fsys fs.FS, name string) error {
	if strings.HasSuffix(name, "_test.go") || !slices.Contains([]string{".go", ".s", ".h", ".pgo"}, path.Ext(name)) {
		return nil
	}
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	s.files[name] = data
	return nil
}

// seal sorts the names and makes the hash.
func (s *sources) seal() {
	h := sha256.New()
	for name := range s.files {
		s.names = append(s.names, name)
	}
	slices.Sort(s.names)
	for _, name := range s.names {
		fmt.Fprintf(h, "%s %d\n", name, len(s.files[name]))
		h.Write(s.files[name])
	}
	s.hash = hex.EncodeToString(h.Sum(nil))[:16]
}

// folders are those that hold Go files.
func (s *sources) folders() (list []string) {
	for _, name := range s.names {
		if folder := path.Dir(name); path.Ext(name) == ".go" && !slices.Contains(list, folder) {
			list = append(list, folder)
		}
	}
	return list
}

// has tells whether a folder of the sources holds Go files.
func (s *sources) has(folder string) bool {
	return slices.Contains(s.folders(), folder)
}
