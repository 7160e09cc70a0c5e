package image

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pith"
)

// TestKernelChangeStaysBelow: another kernel makes the go command compile package os
// again, and nothing that imports it: what Go's cache has of those is used on.
func TestKernelChangeStaysBelow(t *testing.T) {
	source := t.TempDir()
	if err := os.CopyFS(source, os.DirFS("testdata/pith")); err != nil {
		t.Fatal(err)
	}
	env := testEnv(t, "PITH_SOURCE="+source)
	before := exports(t, env)
	kernel := filepath.Join(source, "kernel", "kernel.go")
	text, err := os.ReadFile(kernel)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), "func AtExit() {}", "func AtExit() { Calls++ }\n\n// Calls is new.\nvar Calls int", 1)
	if err := os.WriteFile(kernel, []byte(changed), 0o644); err != nil || changed == string(text) {
		t.Fatal("the kernel did not change", err)
	}
	after := exports(t, env)
	if before["pith/kernel"] == after["pith/kernel"] {
		t.Error("it is the same kernel")
	}
	for _, name := range []string{"os", "fmt", "encoding/json"} {
		if before[name] == "" || content(t, before[name]) != content(t, after[name]) {
			t.Errorf("%s is another", name)
		}
	}
	for _, name := range []string{"fmt", "encoding/json"} {
		if before[name] != after[name] {
			t.Errorf("%s was compiled again", name)
		}
	}
}

// exports are the compiled packages of encoding/json and what it imports.
func exports(t *testing.T, env []string) map[string]string {
	t.Helper()
	tools, err := Prepare(t.Context(), Options{Stack: pith.StackInet, Env: env})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tools.Go, "list", "-export", "-deps", "-trimpath", "-f", "{{.ImportPath}} {{.Export}}", "encoding/json")
	cmd.Env, cmd.Dir = tools.Env, t.TempDir()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		files[name] = file
	}
	return files
}

// content is the second half of a package's build ID, the hash of what it is.
func content(t *testing.T, file string) string {
	t.Helper()
	out, err := exec.Command("go", "tool", "buildid", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	_, id, _ := strings.Cut(strings.TrimSpace(string(out)), "/")
	return id
}
