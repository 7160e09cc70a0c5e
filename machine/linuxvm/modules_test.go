package linuxvm

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const testDep = `kernel/drivers/virtio/virtio.ko:
kernel/drivers/virtio/virtio_ring.ko: kernel/drivers/virtio/virtio.ko
kernel/net/core/failover.ko.xz:
kernel/drivers/net/net_failover.ko: kernel/net/core/failover.ko.xz
kernel/drivers/net/virtio_net.ko: kernel/drivers/net/net_failover.ko kernel/net/core/failover.ko.xz kernel/drivers/virtio/virtio_ring.ko kernel/drivers/virtio/virtio.ko
kernel/drivers/char/hw_random/virtio-rng.ko: kernel/drivers/virtio/virtio_ring.ko
kernel/a.ko: kernel/b.ko
kernel/b.ko: kernel/a.ko
kernel/c.ko: kernel/gone.ko
`

func testTree(t testing.TB) *moduleTree {
	t.Helper()
	tree, err := parseModules("modules", []byte(testDep), []byte("kernel/drivers/virtio/virtio_mmio.ko\n"))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestModuleOrder(t *testing.T) {
	files, err := testTree(t).order("virtio_mmio", "virtio_net", "virtio_rng", "virtio-rng")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		names = append(names, moduleName(file))
	}
	want := []string{"failover", "net_failover", "virtio", "virtio_ring", "virtio_net", "virtio_rng"}
	if !slices.Equal(names, want) {
		t.Errorf("order %v, want %v", names, want)
	}
}

func TestModuleOrderRefuses(t *testing.T) {
	for name, part := range map[string]string{"a": "needs itself", "c": "gone.ko is not in modules.dep", "vfat": "vfat is not in modules"} {
		if _, err := testTree(t).order(name); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("module %s: error %v, want one with %q", name, err, part)
		}
	}
}

func TestParseModulesRefuses(t *testing.T) {
	for _, bad := range []string{"no colon\n", "../../etc/passwd:\n", "/etc/passwd:\n"} {
		if _, err := parseModules("modules", []byte(bad), nil); err == nil {
			t.Errorf("modules.dep %q is no error", bad)
		}
	}
}

func TestLoadModules(t *testing.T) {
	dir := t.TempDir()
	code := []byte("module code")
	signed := slices.Concat(code, []byte("signature!"), []byte{0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 10}, []byte(signature))
	for name, data := range map[string][]byte{
		"modules.dep": []byte("a.ko.zst: b.ko\nb.ko:\n"),
		"b.ko":        signed,
		"a.ko.zst":    zstandard(t, code),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := openModules(dir)
	if err != nil {
		t.Fatal(err)
	}
	modules, err := tree.load("a")
	if err != nil {
		t.Fatal(err)
	}
	if len(modules) != 2 || modules[0].Name != "b" || modules[1].Name != "a" {
		t.Fatalf("modules %v", modules)
	}
	for _, m := range modules {
		if !bytes.Equal(m.Data, code) {
			t.Errorf("module %s is %q", m.Name, m.Data)
		}
	}
}

func TestUnsignedLeavesOddOnesAlone(t *testing.T) {
	for _, odd := range [][]byte{nil, []byte("code"), []byte(signature), append([]byte("code\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), signature...)} {
		if got := unsigned(odd); !bytes.Equal(got, odd) {
			t.Errorf("%q became %q", odd, got)
		}
	}
}

func TestInstalledModules(t *testing.T) {
	dirs, err := filepath.Glob("/lib/modules/*/modules.dep")
	if err != nil || len(dirs) == 0 {
		t.Skip("no kernel modules are installed")
	}
	tree, err := openModules(filepath.Dir(dirs[0]))
	if err != nil {
		t.Fatal(err)
	}
	files, err := tree.order(cardModules...)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) > 0 && moduleName(files[len(files)-1]) != "virtio_net" {
		t.Errorf("order %v doesn't end with the card", files)
	}
}

func FuzzModules(f *testing.F) {
	f.Add([]byte(testDep), "virtio_net")
	f.Fuzz(func(t *testing.T, dep []byte, name string) {
		tree, err := parseModules("modules", dep, nil)
		if err != nil {
			return
		}
		files, err := tree.order(name)
		if err != nil {
			return
		}
		for i, file := range files {
			for _, need := range tree.needs[file] {
				if at := slices.Index(files, need); at < 0 || at > i {
					t.Errorf("%s comes before %s, which it needs", file, need)
				}
			}
		}
	})
}
