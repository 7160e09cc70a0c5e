package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// goModule writes a module with a test that looks at what it is given.
func goModule(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":              "module example.com/tested\n\ngo 1.26\n",
		"sub/testdata/in.txt": "from a file",
		"sub/a.go":            "package sub\n\nfunc Covered() int { return 1 }\n",
		"sub/a_test.go": `package sub

import (
	"os"
	"testing"
)

func TestSees(t *testing.T) {
	text, err := os.ReadFile("testdata/in.txt")
	host, _ := os.Hostname()
	t.Log(string(text), err, host, os.Getenv("TESTED"))
	if Covered() != 1 {
		t.Fail()
	}
}

func TestFails(t *testing.T) {
	if os.Getenv("TESTED") == "fail" {
		t.Fatal("as it should")
	}
}
`,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestGoTest: go test runs in machines, called either way, with the package's
// files, flags, environment and exit code.
func TestGoTest(t *testing.T) {
	dir := goModule(t)
	tests := func(name string, args ...string) (string, int) {
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	t.Setenv("TESTED", "kept")
	for _, args := range [][]string{{command, "test", "-v", "./..."}, {"go", "test", "-v", "-exec", command + " run", "./..."}} {
		out, code := tests(args[0], args[1:]...)
		if code != 0 || !strings.Contains(out, "from a file <nil> pith kept") || !strings.Contains(out, "ok  \texample.com/tested/sub") {
			t.Errorf("%q: exit code %d\n%s", args, code, out)
		}
	}
	t.Setenv("TESTED", "fail")
	if out, code := tests(command, "test", "--cpus", "2", "./..."); code != 1 || !strings.Contains(out, "as it should") {
		t.Errorf("a test that fails: exit code %d\n%s", code, out)
	}
	if out, code := tests(command, "test", "-exec", "x", "./..."); code != 2 || !strings.Contains(out, "sets -exec itself") {
		t.Errorf("-exec: exit code %d\n%s", code, out)
	}
	if out, code := tests(command, "test", "--cpus", "many", "./..."); code != 2 || !strings.Contains(out, "--cpus") {
		t.Errorf("--cpus many: exit code %d\n%s", code, out)
	}
}

// TestFiles: a machine has its own copy of files and folders, and a working
// directory.
func TestFiles(t *testing.T) {
	dir := goModule(t)
	run(t, "--file", filepath.Join(dir, "sub")+":/data/sub", "-w", "/data/sub", guest, "--", "show", "testdata/in.txt").
		expect(t, 0, "/data/sub: from a file")
	run(t, "--file", filepath.Join(dir, "none")+":/data", guest, "--", "exit3").expect(t, 2, "there is no", "to copy into the machine")
	run(t, "--file", "relative", guest, "--", "exit3").expect(t, 2, "SOURCE:TARGET")
	run(t, "-w", "relative", guest, "--", "exit3").expect(t, 2, "begins with /")
}
