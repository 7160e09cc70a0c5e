package programs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCompiler: Go's own compiler in a machine with little memory makes of a package,
// byte for byte, what it makes on the host. The result lies on a volume, and another
// program prints it.
func TestCompiler(t *testing.T) {
	large(t)
	const what = "strconv"
	compiler, cat := build(t, "cmd/compile"), build(t, "github.com/u-root/u-root/cmds/core/cat@v0.16.0")
	dir := t.TempDir()
	var here, there strings.Builder // where packages that are imported lie, on the host and in the machine
	for i, line := range strings.Fields(list(t, "-export", "-deps", "-f", "{{if .Export}}{{.ImportPath}}={{.Export}}{{end}}", what)) {
		name, path, _ := strings.Cut(line, "=")
		inside := filepath.Join("deps", string(rune('a'+i/26))+string(rune('a'+i%26)))
		copyFile(t, path, filepath.Join(dir, inside))
		here.WriteString("packagefile " + line + "\n")
		there.WriteString("packagefile " + name + "=/in/" + inside + "\n")
	}
	var sources []string
	for _, path := range strings.Fields(list(t, "-f", "{{range .GoFiles}}{{$.Dir}}/{{.}} {{end}}", what)) {
		sources = append(sources, filepath.Base(path))
		copyFile(t, path, filepath.Join(dir, "src", filepath.Base(path)))
	}
	config := write(t, t.TempDir(), "importcfg", here.String())
	write(t, dir, "importcfg", there.String())
	flags := func(src, config, out string) []string {
		return append([]string{"-o", out, "-p", what, "-std", "-complete", "-pack", "-trimpath", src + "=>" + what, "-importcfg", config}, sources...)
	}

	d := volume(t, "64M")
	args := []string{"-m", "96", "--cpus", "2", "-e", "GOGC=20", "-v", d.name + ":/data", "--file", dir + ":/in", "-w", "/in/src", compiler, "--"}
	output(t, append(args, flags("/in/src", "/in/importcfg", "/data/out.a")...)...)
	got := output(t, "-v", d.name+":/data:ro", cat, "--", "/data/out.a")

	tool, err := exec.Command("go", "tool", "-n", "compile").Output()
	if err != nil {
		t.Fatal(err)
	}
	own := exec.Command(strings.TrimSpace(string(tool)), flags(filepath.Join(dir, "src"), config, filepath.Join(dir, "out.a"))...)
	own.Dir = filepath.Join(dir, "src")
	if out, err := own.CombinedOutput(); err != nil {
		t.Fatalf("compile: %v\n%s", err, out)
	}
	want, err := os.ReadFile(filepath.Join(dir, "out.a"))
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the machine made %d bytes that are not the %d of the host", len(got), len(want))
	}
	d.sound()
}

// list runs go list.
func list(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list"}, args...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Dir(to), filepath.Base(to), string(b))
}
