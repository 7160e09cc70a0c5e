package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// goModule writes a module with a test that looks at what it is given.
func goModule(t *testing.T) string {
	t.Helper()
	return writeFolder(t, map[string]string{
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
	})
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

// flagModule writes a module whose tests have a flag, write files, run a benchmark
// and panic on demand.
func flagModule(t *testing.T) string {
	t.Helper()
	return writeFolder(t, map[string]string{
		"go.mod":              "module example.com/flags\n\ngo 1.26\n",
		"testdata/in.txt":     "from a file",
		"testdata/empty.txt":  "",
		"testdata/golden.txt": "old",
		"none/none.go":        "package none\n\nfunc Untested() int { return 3 }\n",
		"a.go":                "package flags\n\nfunc Covered() int { return 1 }\n\nfunc Not() int { return 2 }\n",
		"a_test.go": `package flags

import (
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write what is expected anew")

func TestGolden(t *testing.T) {
	text, err := os.ReadFile("testdata/in.txt")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		os.Remove("testdata/golden.txt")
		if err := os.WriteFile("testdata/golden.txt", text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	os.WriteFile(t.ArtifactDir()+"/made", text, 0o644)
	t.Run("a part", func(t *testing.T) { t.Skip("left out: ", Covered()) })
}

func TestPanic(t *testing.T) {
	if os.Getenv("TESTED") == "panic" {
		panic("as it should")
	}
}

func BenchmarkCovered(b *testing.B) {
	for b.Loop() {
		Covered()
	}
}
`,
	})
}

// goTest calls pith test in a folder.
func goTest(t *testing.T, dir string, args ...string) (out []byte, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command, append([]string{"test"}, args...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out, cmd.ProcessState.ExitCode()
}

// TestGoTestWrites: what a test writes in its module and as artifacts comes back,
// and nothing else of the module is touched.
func TestGoTestWrites(t *testing.T) {
	dir, artifacts := flagModule(t), t.TempDir()
	var before []os.FileInfo
	untouched := []string{"go.mod", "a_test.go", "testdata/in.txt", "testdata/empty.txt"}
	for _, name := range untouched {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		before = append(before, info)
	}
	if out, code := goTest(t, dir, ".", "-run=Golden", "-artifacts", "-outputdir="+artifacts, "-update"); code != 0 {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "testdata/golden.txt")); err != nil || string(text) != "from a file" {
		t.Errorf("golden.txt: %q, %v", text, err)
	}
	if made, err := filepath.Glob(filepath.Join(artifacts, "_artifacts/*/made")); err != nil || len(made) != 1 {
		t.Errorf("artifacts: %q, %v", made, err)
	}
	for i, name := range untouched {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || !info.ModTime().Equal(before[i].ModTime()) {
			t.Errorf("%s was written: %v", name, err)
		}
	}
}

// TestGoTestJSON: the go command understands what a machine prints, event by
// event.
func TestGoTestJSON(t *testing.T) {
	out, code := goTest(t, flagModule(t), "-json", "-count=2", "-cover", "-bench=.", "-benchtime=3x", "./...")
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	count := map[string]int{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var event struct{ Action, Test, Output string }
		if err := d.Decode(&event); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if event.Action != "output" {
			count[event.Action+" "+event.Test]++
		}
		if strings.HasPrefix(event.Output, "coverage: 50.0% of statements\n") {
			count["coverage"]++
		}
		if strings.Contains(event.Output, "example.com/flags/none\t\tcoverage: 0.0% of statements") {
			count["coverage of what has no tests"]++
		}
	}
	for event, want := range map[string]int{"pass TestGolden": 2, "skip TestGolden/a_part": 2, "run BenchmarkCovered": 1, "pass ": 1, "coverage": 1, "coverage of what has no tests": 1} {
		if got := count[event]; got < want {
			t.Errorf("%q is there %d times, not %d", event, got, want)
		}
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
}

// TestGoTestPanic: a test that panics fails, with its trace, and the exit code is
// go test's.
func TestGoTestPanic(t *testing.T) {
	t.Setenv("TESTED", "panic")
	out, code := goTest(t, flagModule(t), "-run=Panic", ".")
	for _, part := range []string{"--- FAIL: TestPanic", "panic: as it should", "a_test.go:28", "FAIL\texample.com/flags"} {
		if !bytes.Contains(out, []byte(part)) {
			t.Errorf("it doesn't print %q", part)
		}
	}
	if code != 1 || t.Failed() {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

// TestGoTestRefuses: flags that can't work say so at once.
func TestGoTestRefuses(t *testing.T) {
	dir := flagModule(t)
	for _, flag := range []string{"-fuzz=.", "-race"} {
		if out, code := goTest(t, dir, flag, "."); code != 2 || !bytes.Contains(out, []byte("use go test "+flag[:5])) && !bytes.Contains(out, []byte("fuzz by go test")) {
			t.Errorf("%s: exit code %d\n%s", flag, code, out)
		}
	}
}
