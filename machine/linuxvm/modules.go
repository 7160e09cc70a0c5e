package linuxvm

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// cardModules are what a guest needs to have its network card: virtio devices
// of the microvm machine are MMIO ones, announced by ACPI.
var cardModules = []string{"virtio_mmio", "virtio_net"}

// diskModules are those for a disk and its file system. The last one is the
// checksum that ext4 asks the kernel for by name.
var diskModules = []string{"virtio_blk", "ext4", "crc32c_generic"}

// folderModules are those for a folder of the host.
var folderModules = []string{"9pnet_virtio", "9p"}

// signature begins at the end of a signed module (the kernel's
// include/linux/module_signature.h).
const signature = "~Module signature appended~\n"

// module is one kernel module, unpacked.
type module struct {
	Name string
	Data []byte
}

// moduleTree is a kernel's folder of modules and its index.
type moduleTree struct {
	dir     string
	path    map[string]string   // name → path below dir
	needs   map[string][]string // path → paths
	builtin map[string]bool     // names that are part of the kernel
}

// openModules reads the index that depmod made in dir.
func openModules(dir string) (*moduleTree, error) {
	dep, err := os.ReadFile(filepath.Join(dir, "modules.dep"))
	if err != nil {
		return nil, fmt.Errorf("kernel modules: %w", err)
	}
	builtin, err := os.ReadFile(filepath.Join(dir, "modules.builtin"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("kernel modules: %w", err)
	}
	return parseModules(dir, dep, builtin)
}

// parseModules reads modules.dep ("path: path path ...") and modules.builtin
// (one path a line); see the manual page modules.dep(5).
func parseModules(dir string, dep, builtin []byte) (*moduleTree, error) {
	t := &moduleTree{dir: dir, path: map[string]string{}, needs: map[string][]string{}, builtin: map[string]bool{}}
	lines := bufio.NewScanner(bytes.NewReader(dep))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		file, needs, ok := strings.Cut(lines.Text(), ":")
		if !ok || !filepath.IsLocal(file) {
			return nil, fmt.Errorf("modules.dep: %q is no line of it", lines.Text())
		}
		t.path[moduleName(file)] = file
		t.needs[file] = strings.Fields(needs)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("modules.dep: %w", err)
	}
	for file := range strings.FieldsSeq(string(builtin)) {
		t.builtin[moduleName(file)] = true
	}
	return t, nil
}

// moduleName is the name that a file holds: its base without the endings, with
// one spelling of "-" and "_", which the kernel takes for the same.
func moduleName(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// order is the files of the named modules and of all that they need, each
// behind what it needs.
func (t *moduleTree) order(names ...string) ([]string, error) {
	var files []string
	state := map[string]int{} // 1: begun, 2: done
	var visit func(file string) error
	visit = func(file string) error {
		switch state[file] {
		case 1:
			return fmt.Errorf("kernel module %s needs itself", moduleName(file))
		case 2:
			return nil
		}
		needs, known := t.needs[file]
		if !known {
			return fmt.Errorf("kernel module %s is not in modules.dep", file)
		}
		state[file] = 1
		for _, need := range needs {
			if err := visit(need); err != nil {
				return err
			}
		}
		state[file] = 2
		files = append(files, file)
		return nil
	}
	for _, name := range names {
		name = strings.ReplaceAll(name, "-", "_")
		file, ok := t.path[name]
		if !ok && t.builtin[name] {
			continue
		}
		if !ok {
			return nil, fmt.Errorf("kernel module %s is not in %s", name, t.dir)
		}
		if err := visit(file); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// load reads the named modules and what they need, in the order of loading.
func (t *moduleTree) load(names ...string) ([]module, error) {
	files, err := t.order(names...)
	if err != nil {
		return nil, err
	}
	var modules []module
	for _, file := range files {
		data, err := os.ReadFile(filepath.Join(t.dir, file))
		if err != nil {
			return nil, fmt.Errorf("kernel module: %w", err)
		}
		if !strings.HasSuffix(file, ".ko") {
			if data, err = decompress(data); err != nil {
				return nil, fmt.Errorf("kernel module %s: %w", file, err)
			}
		}
		modules = append(modules, module{moduleName(file), unsigned(data)})
	}
	return modules, nil
}

// unsigned is a module without the signature at its end, so that the guest
// spends no time on checking it. Distribution kernels load such modules unless
// lockdown is on. The twelve bytes before the marker end with the signature's
// length, most significant byte first.
func unsigned(data []byte) []byte {
	body, ok := bytes.CutSuffix(data, []byte(signature))
	if !ok || len(body) < 12 {
		return data
	}
	n := body[len(body)-4:]
	length := uint64(n[0])<<24 | uint64(n[1])<<16 | uint64(n[2])<<8 | uint64(n[3])
	if length > uint64(len(body)-12) {
		return data
	}
	return body[:uint64(len(body))-12-length]
}
