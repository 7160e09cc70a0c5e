package image

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pith"
)

// TestGvisorStack builds with a kernel whose netstack needs gVisor's modules,
// which come from the module cache (this module requires them too), in a
// program that never imports os itself.
func TestGvisorStack(t *testing.T) {
	source := t.TempDir()
	if err := os.CopyFS(source, os.DirFS("testdata/pith")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		data, err := pith.Source.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(source, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	netstack := filepath.Join(source, "kernel", "netstack")
	if err := os.Mkdir(netstack, 0o755); err != nil {
		t.Fatal(err)
	}
	file := "package netstack\n\nimport (\n\t\"os\"\n\t\"gvisor.dev/gvisor/pkg/tcpip/stack\"\n\t\"pith/kernel/linux\"\n)\n\n" +
		"func init() {\n\tlinux.Stack = 2\n\tstack.New(stack.Options{}).Close()\n\tos.Stdout.WriteString(\"gvisor\\n\")\n}\n"
	if err := os.WriteFile(filepath.Join(netstack, "netstack.go"), []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	dir := tree(t, map[string]string{"go.mod": gomod, "main.go": "package main\n\nimport \"syscall\"\n" + ask + "\nfunc main() { println(ask(7003)) }\n"})
	img := mustBuild(t, Options{Dir: dir, Stack: pith.StackGvisor, Env: testEnv(t, "PITH_SOURCE="+source)})
	if got := output(t, img); got != "gvisor\n2\n" || img.Manifest.Stack != pith.StackGvisor {
		t.Errorf("printed %q, manifest %+v", got, img.Manifest)
	}

	sums := filepath.Join(source, "go.sum")
	data, err := os.ReadFile(sums)
	if err != nil {
		t.Fatal(err)
	}
	var forged strings.Builder
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "github.com/google/btree ") && !strings.Contains(line, "/go.mod") {
			line = line[:strings.Index(line, "h1:")] + "h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
		}
		forged.WriteString(line)
	}
	if err := os.WriteFile(sums, []byte(forged.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = Build(t.Context(), Options{Dir: dir, Stack: pith.StackGvisor, Env: testEnv(t, "PITH_SOURCE="+source)})
	if err == nil || !strings.Contains(err.Error(), "github.com/google/btree") {
		t.Errorf("a module with another checksum was taken: %v", err)
	}
}
