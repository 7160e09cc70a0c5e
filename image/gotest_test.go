package image

import (
	"os/exec"
	"path/filepath"
	"testing"

	"pith"
)

// TestIsLinkedForPith: what is linked for Pith is known by its entry, symbols or
// none, as the go command strips the tests that it runs itself.
func TestIsLinkedForPith(t *testing.T) {
	dir := tree(t, map[string]string{"go.mod": gomod, "main.go": "package main\n\nimport \"os\"\n\nfunc main() { os.Exit(0) }\n"})
	tools, err := Prepare(t.Context(), Options{Dir: dir, Stack: pith.StackInet, Env: testEnv(t)})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		ldflags string
		want    bool
	}{
		{tools.LDFlags, true},
		{tools.LDFlags + " -s -w", true},
		{"-checklinkname=0 -s -w", false},
	} {
		file := filepath.Join(t.TempDir(), "linked")
		cmd := exec.CommandContext(t.Context(), tools.Go, "build", "-ldflags="+c.ldflags, "-o", file)
		cmd.Dir, cmd.Env = dir, append(tools.Env, "PWD="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if got := isLinkedForPith(file); got != c.want {
			t.Errorf("linked with %s: %t", c.ldflags, got)
		}
	}
	if isLinkedForPith(filepath.Join(dir, "main.go")) {
		t.Error("a source file is linked for Pith")
	}
}
