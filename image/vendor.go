package image

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// vendored are the modules that kernel/netstack imports, directly or not.
var vendored = []string{
	"github.com/google/btree",
	"golang.org/x/sys",
	"golang.org/x/time",
	"gvisor.dev/gvisor",
}

// refused is, by module, the folder with a pragma that the compiler doesn't
// know, ignores elsewhere and refuses in a standard library.
var refused = map[string][]string{
	"gvisor.dev/gvisor": {"pkg", "sync", "locking"},
}

// addModules makes vendor with links to all of real's packages and to the
// vendored modules, in the versions that Pith's go.mod pins.
func (b *builder) addModules(ctx context.Context, vendor, real string, s *sources) error {
	if err := os.MkdirAll(vendor, 0o755); err != nil {
		return err
	}
	dirs, err := b.download(ctx, s)
	if err != nil {
		return err
	}
	for _, module := range vendored {
		if err := linkModule(filepath.Join(vendor, filepath.FromSlash(module)), dirs[module], refused[module]); err != nil {
			return err
		}
	}
	return linkMissing(vendor, real)
}

// linkModule makes dir with links to what a module's folder has, but for one
// folder below it, of whose files it makes copies without the pragma.
func linkModule(dir, real string, except []string) error {
	if len(except) == 0 {
		return linkEntries(dir, real)
	}
	if err := linkEntries(dir, real, except[0]); err != nil {
		return err
	}
	dir, real = filepath.Join(dir, except[0]), filepath.Join(real, except[0])
	if len(except) == 1 {
		return copyWithout(dir, real, "//go:inline")
	}
	return linkModule(dir, real, except[1:])
}

// copyWithout makes dir with copies of the files of real, in which a pragma
// is an ordinary comment.
func copyWithout(dir, real, pragma string) error {
	if err := copyPackage(dir, real); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		changed := strings.ReplaceAll(string(text), pragma, "// "+pragma[2:])
		if err := os.WriteFile(file, []byte(changed), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// linkMissing links what real has and dir has not; folders that both have are
// joined. Go's own copy of a package wins, because Go's own packages use it.
func linkMissing(dir, real string) error {
	entries, err := os.ReadDir(real)
	if err != nil {
		return err
	}
	for _, e := range entries {
		mine, theirs := filepath.Join(dir, e.Name()), filepath.Join(real, e.Name())
		info, err := os.Lstat(mine)
		switch {
		case os.IsNotExist(err):
			err = os.Symlink(theirs, mine)
		case err != nil:
		case info.IsDir() && e.IsDir():
			err = linkMissing(mine, theirs)
		default:
			if err = os.Remove(mine); err == nil {
				err = os.Symlink(theirs, mine)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// download brings the vendored modules into the module cache and returns their
// folders. The go command checks each against Pith's go.sum.
func (b *builder) download(ctx context.Context, s *sources) (map[string]string, error) {
	pins, err := pins(string(s.files["go.mod"]))
	if err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp("", "pith-modules-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	if err := os.WriteFile(filepath.Join(tmp, "go.mod"), []byte(moduleFile(pins)), 0o644); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(tmp, "go.sum"), s.files["go.sum"], 0o644); err != nil {
		return nil, err
	}
	go_ := b.command("go", tmp, "GOFLAGS=", "GOWORK=off", "GO111MODULE=on")
	out, err := go_.output(ctx, "mod", "download", "-json")
	if err != nil {
		return nil, fmt.Errorf("the network stack's modules: %w", err)
	}
	return moduleFolders(out, string(s.files["go.sum"]))
}

// pins finds the versions of the vendored modules in a go.mod file.
func pins(gomod string) (map[string]string, error) {
	versions := map[string]string{}
	for line := range strings.Lines(gomod) {
		words := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(words) >= 2 {
			versions[words[0]] = words[1]
		}
	}
	found := map[string]string{}
	for _, module := range vendored {
		if versions[module] == "" {
			return nil, fmt.Errorf("the kernel's go.mod does not require %s", module)
		}
		found[module] = versions[module]
	}
	return found, nil
}

// moduleFile is a go.mod that requires exactly the pinned modules.
func moduleFile(pins map[string]string) string {
	file := fmt.Sprintf("module pith.modules\n\ngo 1.%d\n\n", leastMinor)
	for _, module := range vendored {
		file += "require " + module + " " + pins[module] + "\n"
	}
	return file
}

// moduleFolders reads the answer of go mod download -json, and checks that
// each module's sum is the one in gosum.
func moduleFolders(out []byte, gosum string) (map[string]string, error) {
	folders := map[string]string{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var m downloaded
		err := dec.Decode(&m)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("go mod download: %w", err)
		}
		if m.Error != "" {
			return nil, fmt.Errorf("%s: %s", m.Path, m.Error)
		}
		if !strings.Contains(gosum, m.Path+" "+m.Version+" "+m.Sum+"\n") {
			return nil, fmt.Errorf("%s %s is not what Pith was tested with: its checksum is %s", m.Path, m.Version, m.Sum)
		}
		folders[m.Path] = m.Dir
	}
	for _, module := range vendored {
		if folders[module] == "" {
			return nil, fmt.Errorf("go mod download left out %s", module)
		}
	}
	return folders, nil
}

// downloaded is a record of go mod download -json.
type downloaded struct {
	Path, Version, Error, Dir, GoMod, Sum string
	Info                                  string // a file; set where the module is there, even if it can't be used
}
