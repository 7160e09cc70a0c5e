package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pith"
	"pith/abi"
)

// The tests build with the kernel in testdata/pith, whose images run as Linux
// processes and answer questions about the system calls that they saw.
const ask = `
func ask(question uintptr) uintptr { r, _, _ := syscall.RawSyscall(question, 0, 0, 0); return r }
`

// cacheForTests is shared, so that the standard library is compiled once.
var cacheForTests string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "pith-image-")
	if err != nil {
		panic(err)
	}
	cacheForTests = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// testEnv is the environment of test builds: the process's, without the
// network, and more.
func testEnv(t *testing.T, more ...string) []string {
	t.Helper()
	kernel, err := filepath.Abs("testdata/pith")
	if err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "PITH_CACHE="+cacheForTests, "PITH_SOURCE="+kernel, "GOPROXY=off", "GOFLAGS=", "GOWORK=")
	return append(env, more...)
}

// tree writes files below a new folder. The contents begin behind the first
// newline.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(strings.TrimPrefix(text, "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const gomod = "module example.com/prog\n\ngo 1.26\n"

// mustBuild builds and returns the image.
func mustBuild(t *testing.T, o Options) *Image {
	t.Helper()
	if o.Env == nil {
		o.Env = testEnv(t)
	}
	img, err := Build(t.Context(), o)
	if err != nil {
		t.Fatalf("Build: %v", err)
	}
	return img
}

// output runs an image as a process.
func output(t *testing.T, img *Image) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), img.Path).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", img.Path, err, out)
	}
	return string(out)
}

func TestSyscallsReachTheKernel(t *testing.T) {
	dir := tree(t, map[string]string{"go.mod": gomod, "main.go": `
package main

import ("fmt"; "os"; "syscall")
` + ask + `
func main() {
	before := ask(7001)
	syscall.Getpid()
	if _, err := os.Stat("/nowhere"); err == nil { panic("?") }
	fmt.Println("calls:", ask(7001) - before)
	var b [1]byte
	before = ask(7002)
	r, w, _ := os.Pipe()
	w.Write([]byte("x"))
	r.Read(b[:])
	fmt.Println("reads:", ask(7002) - before, string(b[:]))
	fmt.Println("stack:", ask(7003))
}
`})
	img := mustBuild(t, Options{Dir: dir})
	want := "reads: 1 x\nstack: 1\n"
	got := output(t, img)
	if !strings.HasSuffix(got, want) {
		t.Errorf("got %q, want the end %q", got, want)
	}
	// getpid goes the way of rawSyscallNoError; stat is Syscall6.
	if !strings.HasPrefix(got, "calls: 1\n") && !strings.HasPrefix(got, "calls: 2\n") {
		t.Errorf("no system call reached the kernel: %q", got)
	}
	m := img.Manifest
	if m.Name != "prog" || m.Package != "example.com/prog" || m.Module != "example.com/prog" || m.ABI != abi.Version ||
		m.Stack != pith.StackInet || !strings.HasPrefix(m.Go, "go1.") || m.Kernel == "" || m.Memory < 1<<20 {
		t.Errorf("manifest %+v", m)
	}
}

func TestStripAndTwin(t *testing.T) {
	dir := tree(t, map[string]string{"go.mod": gomod, "main.go": `
package main

import "fmt"

func main() { defer func() { recover(); fmt.Println("caught") }(); panic(1) }
`})
	full := mustBuild(t, Options{Dir: dir, Output: "full.elf"})
	lean := mustBuild(t, Options{Dir: dir, Output: "lean.elf", Strip: true, Args: []string{"-x"}, Vars: []string{"A=b"}})
	if lean.Size > full.Size*3/4 {
		t.Errorf("stripped %d, with symbols %d bytes", lean.Size, full.Size)
	}
	for _, img := range []*Image{full, lean} {
		if got := output(t, img); got != "caught\n" {
			t.Errorf("%s printed %q", img.Path, got)
		}
		symbols, err := exec.Command("go", "tool", "nm", img.Symbols).Output()
		if err != nil || !strings.Contains(string(symbols), " "+EntrySymbol+"\n") {
			t.Errorf("no symbol %s in %s: %v", EntrySymbol, img.Symbols, err)
		}
	}
	if symbols, err := exec.Command("go", "tool", "nm", full.Path).Output(); err != nil || !strings.Contains(string(symbols), " main.main\n") {
		t.Errorf("the image that keeps its symbols has none: %v", err)
	}
	if version, err := exec.Command("go", "version", "-m", lean.Path).Output(); err != nil || !strings.Contains(string(version), "example.com/prog") {
		t.Errorf("go version -m of a stripped image: %v %s", err, version)
	}
	if !slices.Equal(lean.Manifest.Args, []string{"-x"}) || !slices.Equal(lean.Manifest.Env, []string{"A=b"}) {
		t.Errorf("manifest %+v", lean.Manifest)
	}
}

func TestPrintlnOnly(t *testing.T) {
	files := map[string]string{"go.mod": gomod, "main.go": `
package main

func main() { println("hi") }
`}
	dir := tree(t, files)
	img := mustBuild(t, Options{Dir: dir})
	if got := output(t, img); got != "hi\n" {
		t.Errorf("printed %q", got)
	}
	symbols, err := exec.Command("go", "tool", "nm", img.Symbols).Output()
	if err != nil || !strings.Contains(string(symbols), " "+EntrySymbol+"\n") {
		t.Errorf("the kernel is missing: %v", err)
	}
	img = mustBuild(t, Options{Dir: dir, What: "main.go"})
	if got := output(t, img); got != "hi\n" || img.Manifest.Name != "main" {
		t.Errorf("main.go printed %q, is named %s", got, img.Manifest.Name)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != len(files) {
		t.Errorf("the build left something in the user's folder: %v %v", entries, err)
	}
}

// checkout is a module as Pith's own: of a program it is the image's kernel that counts.
var checkout = map[string]string{
	"go.mod":              "module pith\n\ngo 1.26\n",
	"source.go":           "package pith\n\nimport \"embed\"\n\n//go:embed kernel\nvar Source embed.FS\n",
	"kernel/boot/boot.go": "package boot\n\nfunc init() { panic(\"theirs\") }\n",
	"abi/abi.go":          "package abi\n\nfunc init() { panic(\"theirs\") }\n",
	"cmd/main.go": "package main\n\nimport (\"fmt\"; \"pith\"; _ \"pith/abi\"; _ \"pith/kernel/boot\")\n\n" +
		"func main() { embedded, err := pith.Source.ReadDir(\".\"); fmt.Println(len(embedded), err) }\n",
}

// inWorkspace puts a module into the folder pith of a workspace.
func inWorkspace(module map[string]string) map[string]string {
	files := map[string]string{"go.work": "go 1.26\n\nuse ./pith\n"}
	for name, text := range module {
		files["pith/"+name] = text
	}
	return files
}

func TestKindsOfPrograms(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		o     Options
		want  string
	}{
		{"vendored", map[string]string{
			"go.mod":                           gomod + "\nrequire example.com/dep v1.0.0\n",
			"main.go":                          "package main\n\nimport \"example.com/dep\"\n\nfunc main() { println(dep.Name) }\n",
			"vendor/modules.txt":               "# example.com/dep v1.0.0\n## explicit; go 1.26\nexample.com/dep\n",
			"vendor/example.com/dep/dep.go":    "package dep\n\nconst Name = \"vendored\"\n",
			"vendor/example.com/dep/LICENSE":   "",
			"vendor/example.com/unused/main.c": "",
		}, Options{}, "vendored\n"},
		{"workspace", map[string]string{
			"go.work":     "go 1.26\n\nuse ./app\nuse ./lib\n",
			"app/go.mod":  "module example.com/app\n\ngo 1.26\n",
			"app/main.go": "package main\n\nimport \"example.com/lib\"\n\nfunc main() { println(lib.Name()) }\n",
			"lib/go.mod":  "module example.com/lib\n\ngo 1.26\n",
			"lib/lib.go":  "package lib\n\nfunc Name() string { return \"workspace\" }\n",
		}, Options{What: "./app"}, "workspace\n"},
		{"tags", map[string]string{
			"go.mod":  gomod,
			"main.go": "package main\n\nfunc main() { println(name) }\n",
			"a.go":    "//go:build special\n\npackage main\n\nconst name = \"special\"\n",
			"b.go":    "//go:build !special\n\npackage main\n\nconst name = \"plain\"\n",
		}, Options{Tags: []string{"other", "special"}}, "special\n"},
		{"ldflags", map[string]string{
			"go.mod":  gomod,
			"main.go": "package main\n\nvar a, b = \"?\", \"?\"\n\nfunc main() { println(a, b) }\n",
		}, Options{LDFlags: "-X main.a=1 -X 'main.b=two words'"}, "1 two words\n"},
		{"GOFLAGS", map[string]string{
			"go.mod":  gomod,
			"main.go": "package main\n\nvar a = \"?\"\n\nfunc main() { println(a) }\n",
		}, Options{Env: []string{"GOFLAGS=-ldflags=-X=main.a=1"}}, "1\n"},
		{"embed", map[string]string{
			"go.mod":       gomod,
			"main.go":      "package main\n\nimport (\"embed\"; \"fmt\")\n\n//go:embed data\nvar data embed.FS\n\nfunc main() { b, err := data.ReadFile(\"data/x.txt\"); fmt.Print(string(b), err) }\n",
			"data/x.txt":   "embedded\n",
			"data/y/z.txt": "more\n",
		}, Options{}, "embedded\n<nil>"},
		{"package path", map[string]string{
			"go.mod":          gomod,
			"cmd/one/main.go": "package main\n\nfunc main() { println(1) }\n",
			"cmd/two/main.go": "package main\n\nfunc main() { println(2) }\n",
		}, Options{What: "example.com/prog/cmd/two"}, "2\n"},
		{"file of its own name", map[string]string{
			"go.mod":     gomod,
			"main.go":    "package main\n\nfunc main() { println(mine) }\n",
			"zz_pith.go": "package main\n\nconst mine = \"mine\"\n",
		}, Options{}, "mine\n"},
		{"module named pith", map[string]string{
			"go.mod":       "module pith\n\ngo 1.26\n",
			"main.go":      "package main\n\nimport (\"fmt\"; \"pith/other\")\n\nfunc main() { fmt.Println(other.Name) }\n",
			"other/x.go":   "package other\n\nconst Name = \"theirs\"\n",
			"kernel/x.go":  "package kernel\n\nfunc init() { panic(\"theirs\") }\n",
			"abi/other.go": "package abi\n",
		}, Options{}, "theirs\n"},
		{"package below kernel", map[string]string{
			"go.mod":        "module \"pith\" // theirs\n\ngo 1.26\n",
			"main.go":       "package main\n\nimport (\"fmt\"; \"pith/kernel/x\")\n\nfunc main() { fmt.Println(x.Name) }\n",
			"kernel/x/x.go": "package x\n\nconst Name = \"theirs\"\n",
		}, Options{}, "theirs\n"},
		{"Pith itself", checkout, Options{What: "./cmd"}, "0 <nil>\n"},
		{"Pith in a workspace", inWorkspace(checkout), Options{What: "./pith/cmd"}, "0 <nil>\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := test.o
			o.Dir = tree(t, test.files)
			o.Env = testEnv(t, test.o.Env...)
			if got := output(t, mustBuild(t, o)); got != test.want {
				t.Errorf("printed %q, want %q", got, test.want)
			}
		})
	}
}

func TestMistakes(t *testing.T) {
	main := "package main\n\nfunc main() {}\n"
	onlyCgo := "package sqlite\n\nimport \"C\"\n\nfunc Open() {}\n"
	stub := "//go:build !cgo\n\npackage sqlite\n\nfunc Open() { panic(\"built without CGO\") }\n"
	user := "package main\n\nimport \"example.com/prog/sqlite\"\n\nfunc main() { sqlite.Open() }\n"
	tests := []struct {
		name  string
		files map[string]string
		o     Options
		want  []string
	}{
		{"no main package", map[string]string{"go.mod": gomod, "x.go": "package x\n"}, Options{}, []string{"example.com/prog is package x", "package main"}},
		{"compile error", map[string]string{"go.mod": gomod, "main.go": "package main\n\nfunc main() { undefinedThing() }\n"}, Options{}, []string{"main.go:3:15: undefined: undefinedThing"}},
		{"syntax error", map[string]string{"go.mod": gomod, "main.go": "package main\n\nfunc main( {}\n"}, Options{}, []string{"main.go:3:"}},
		{"no main function", map[string]string{"go.mod": gomod, "main.go": "package main\n"}, Options{}, []string{"function main is undeclared"}},
		{"missing module", map[string]string{"go.mod": gomod, "main.go": "package main\n\nimport _ \"example.com/nowhere\"\n\nfunc main() {}\n"}, Options{}, []string{"no required module provides package example.com/nowhere", "go get"}},
		{"no module", map[string]string{"main.go": main}, Options{}, []string{"go.mod"}},
		{"no Go files", map[string]string{"go.mod": gomod}, Options{}, []string{"no Go files"}},
		{"no directory", map[string]string{"go.mod": gomod}, Options{What: "./nowhere"}, []string{"there is no directory ./nowhere"}},
		{"no package", map[string]string{"go.mod": gomod}, Options{What: "example.com/nowhere"}, []string{"example.com/nowhere"}},
		{"several packages", map[string]string{"go.mod": gomod, "a/x.go": main, "b/x.go": main}, Options{What: "example.com/prog/..."}, []string{"names 2 packages"}},
		{"other file", map[string]string{"go.mod": gomod, "notes.txt": ""}, Options{What: "notes.txt"}, []string{"notes.txt is a file, but no Go source"}},
		{"unknown stack", map[string]string{"go.mod": gomod, "main.go": main}, Options{Stack: "other"}, []string{`no network stack "other"`}},
		{"cgo", map[string]string{"go.mod": gomod, "main.go": user, "sqlite/x.go": onlyCgo}, Options{}, []string{"example.com/prog/sqlite needs cgo"}},
		{"cgo stub", map[string]string{"go.mod": gomod, "main.go": user, "sqlite/x.go": onlyCgo, "sqlite/stub.go": stub}, Options{}, []string{"example.com/prog/sqlite needs cgo"}},
		{"cgo in part", map[string]string{"go.mod": gomod, "main.go": user, "sqlite/x.go": onlyCgo, "sqlite/y.go": "package sqlite\n\nfunc Close() {}\n"}, Options{}, []string{"undefined: sqlite.Open", "example.com/prog/sqlite: built without cgo"}},
		{"cgo in main", map[string]string{"go.mod": gomod, "main.go": "package main\n\nimport \"C\"\n\nfunc main() {}\n"}, Options{}, []string{"example.com/prog needs cgo"}},
		{"cgo in a file", map[string]string{"go.mod": gomod, "main.go": "package main\n\nimport \"C\"\n\nfunc main() {}\n"}, Options{What: "main.go"}, []string{"main.go needs cgo"}},
		{"package of the kernel's", map[string]string{"go.mod": "module pith\n\ngo 1.26\n", "main.go": "package main\n\nimport _ \"pith/abi\"\n\nfunc main() {}\n", "abi/x.go": "package abi\n"}, Options{}, []string{"package pith/abi is there twice", "another name"}},
		{"malformed module", nil, Options{What: "@v1"}, []string{"no module@version"}},
		{"unknown module", nil, Options{What: "example.com/nowhere@v1.0.0"}, []string{"there is no module example.com/nowhere@v1.0.0"}},
		{"bad ldflags", map[string]string{"go.mod": gomod, "main.go": main}, Options{LDFlags: "-nonsense"}, []string{"nonsense"}},
		{"newer Go wanted", map[string]string{"go.mod": "module example.com/prog\n\ngo 1.999\n", "main.go": main}, Options{Env: []string{"GOTOOLCHAIN=local"}}, []string{"1.999"}},
		{"source that is none", map[string]string{"go.mod": gomod, "main.go": main}, Options{Env: []string{"PITH_SOURCE=/"}}, []string{"PITH_SOURCE=/ is no checkout of Pith"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := test.o
			o.Dir = tree(t, test.files)
			o.Env = testEnv(t, test.o.Env...)
			o.Output = "x.elf"
			_, err := Build(t.Context(), o)
			if pith.ExitCode(err) != 2 {
				t.Fatalf("err = %v, want a user's mistake", err)
			}
			for _, w := range test.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not say %q", err, w)
				}
			}
			entries, err := os.ReadDir(o.Dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				if strings.HasPrefix(e.Name(), ".pith-") || e.Name() == "x.elf" {
					t.Errorf("left behind: %s", e.Name())
				}
			}
		})
	}
}

func TestCgoWithAnAlternative(t *testing.T) {
	dir := tree(t, map[string]string{
		"go.mod":     gomod,
		"main.go":    "package main\n\nimport \"example.com/prog/fast\"\n\nfunc main() { println(fast.Name) }\n",
		"fast/c.go":  "package fast\n\nimport \"C\"\n\nconst Name = \"C\"\n",
		"fast/go.go": "//go:build !cgo\n\npackage fast\n\nconst Name = \"Go\"\n",
	})
	if got := output(t, mustBuild(t, Options{Dir: dir})); got != "Go\n" {
		t.Errorf("printed %q", got)
	}
}

func TestNoGo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Build(t.Context(), Options{Dir: tree(t, map[string]string{"go.mod": gomod}), Env: testEnv(t)})
	if pith.ExitCode(err) != 2 || !strings.Contains(err.Error(), "install Go") {
		t.Errorf("err = %v", err)
	}
}

// TestOldGo stands a go command of an older version on the PATH.
func TestOldGo(t *testing.T) {
	bin := tree(t, map[string]string{"go": "#!/bin/sh\necho '{\"GOROOT\":\"/nowhere\",\"GOVERSION\":\"go1.25.3\"}'\n"})
	if err := os.Chmod(filepath.Join(bin, "go"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	_, err := Build(t.Context(), Options{Dir: tree(t, map[string]string{"go.mod": gomod}), Env: testEnv(t)})
	if pith.ExitCode(err) != 2 || !strings.Contains(err.Error(), "go1.25.3 is too old") {
		t.Errorf("err = %v", err)
	}
}

func TestMinorVersion(t *testing.T) {
	for version, want := range map[string]int{"go1.26.8": 26, "go1.27rc1": 27, "devel go1.28-a1b2c3": 28, "go1.26.8-X:jsonv2": 26, "go2": -1, "": -1, "go1.": -1} {
		if got := minorVersion(version); got != want {
			t.Errorf("minorVersion(%q) = %d, want %d", version, got, want)
		}
	}
}

func TestReproducible(t *testing.T) {
	sums := map[string]bool{}
	for _, what := range []string{"", "main.go"} {
		clear(sums)
		for i := range 2 {
			dir := tree(t, map[string]string{"go.mod": gomod, "main.go": "package main\n\nfunc main() { println(\"same\"); panic(\"trace\") }\n"})
			env := testEnv(t, fmt.Sprintf("PITH_CACHE=%s/cache%d", t.TempDir(), i), fmt.Sprintf("USER=user%d", i), "HOME="+os.Getenv("HOME"))
			img := mustBuild(t, Options{Dir: dir, What: what, Env: env, Strip: true})
			data, err := os.ReadFile(img.Path)
			if err != nil {
				t.Fatal(err)
			}
			sums[fmt.Sprintf("%x", sha256.Sum256(data))] = true
			for _, secret := range []string{dir, cacheForTests, "/cache0", "/cache1"} {
				if strings.Contains(string(data), secret) {
					t.Errorf("the image holds the path %s", secret)
				}
			}
		}
		if len(sums) != 1 {
			t.Errorf("two builds of %q differ", what)
		}
	}
}

func TestRebuild(t *testing.T) {
	files := map[string]string{"go.mod": gomod, "main.go": "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(1) }\n"}
	dir := tree(t, files)
	o := Options{Dir: dir, Strip: true, Output: "x.elf", Env: testEnv(t)}
	img := mustBuild(t, o)
	before, err := os.Stat(img.Path)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	var said []string
	o.Progress = func(s string) { said = append(said, s) }
	mustBuild(t, o)
	if took := time.Since(start); took > 5*time.Second { // 0.2 s on an idle machine
		t.Errorf("a build with nothing changed took %v", took)
	}
	after, err := os.Stat(img.Path)
	if err != nil || !os.SameFile(before, after) || len(said) != 0 {
		t.Errorf("a build with nothing changed wrote the image again: %v %q", err, said)
	}
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(strings.Replace(files["main.go"], "1", "2", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := output(t, mustBuild(t, o)); got != "2\n" {
		t.Errorf("after a change it prints %q", got)
	}
	if len(said) == 0 {
		t.Error("no progress was told")
	}
	if err := os.Truncate(img.Path, 100); err != nil {
		t.Fatal(err)
	}
	if got := output(t, mustBuild(t, o)); got != "2\n" {
		t.Errorf("a cut image is not written again: %q", got)
	}
}

func TestTwoBuildsAtOnce(t *testing.T) {
	dir := tree(t, map[string]string{"go.mod": gomod, "main.go": "package main\n\nfunc main() { println(1) }\n"})
	env := testEnv(t, "PITH_CACHE="+t.TempDir())
	errs := make(chan error)
	for range 2 {
		go func() {
			img, err := Build(t.Context(), Options{Dir: dir, Env: env})
			if err == nil {
				_, err = Open(img.Path)
			}
			errs <- err
		}()
	}
	if err := errors.Join(<-errs, <-errs); err != nil {
		t.Error(err)
	}
}

func TestCancelled(t *testing.T) {
	dir := tree(t, map[string]string{"go.mod": gomod, "main.go": "package main\n\nfunc main() {}\n"})
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Build(ctx, Options{Dir: dir, Output: "x.elf", Env: testEnv(t, "PITH_CACHE="+t.TempDir()), Progress: func(string) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
	if isFile(filepath.Join(dir, "x.elf")) {
		t.Error("an image was written")
	}
}

// TestKernelFault builds with a kernel that doesn't compile: that is nobody's
// mistake but ours.
func TestKernelFault(t *testing.T) {
	source := t.TempDir()
	if err := os.CopyFS(source, os.DirFS("testdata/pith")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(source, "kernel", "linux", "bad.go"), []byte("package linux\n\nvar _ = undefined\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	dir := tree(t, map[string]string{"go.mod": gomod, "main.go": "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println() }\n"})
	_, err := Build(t.Context(), Options{Dir: dir, Env: testEnv(t, "PITH_SOURCE="+source)})
	if pith.ExitCode(err) != 1 || !strings.Contains(err.Error(), "the kernel does not compile") {
		t.Errorf("err = %v", err)
	}
}

// TestEmbeddedSources checks what the tool carries: all packages of the kernel,
// and no tests.
func TestEmbeddedSources(t *testing.T) {
	for _, stack := range []string{pith.StackInet, pith.StackGvisor} {
		s, err := readSources(pith.Source, stack)
		if err != nil {
			t.Fatal(err)
		}
		for _, folder := range []string{"abi", "kernel/link", "kernel/socket"} {
			if !s.has(folder) {
				t.Errorf("%s: no folder %s", stack, folder)
			}
		}
		for _, name := range s.names {
			if strings.Contains(name, "_test.go") || strings.Contains(name, "testdata") || strings.HasSuffix(name, ".md") {
				t.Errorf("%s: %s is among the sources", stack, name)
			}
		}
		if got, want := slices.ContainsFunc(s.names, func(n string) bool { return strings.HasPrefix(n, netstack+"/") }), stack == pith.StackGvisor; got != want {
			t.Errorf("%s: gVisor's stack is there: %v", stack, got)
		}
	}
	if _, err := fs.Stat(pith.Source, "go.sum"); err != nil {
		t.Error(err)
	}
}

// TestCompilerFlags: the kernel stays optimised whatever GOFLAGS says of all
// packages.
func TestCompilerFlags(t *testing.T) {
	for flags, want := range map[string]string{
		"":                                      "",
		"-mod=mod -tags=x":                      "",
		"-gcflags=-l -mod=mod":                  "-gcflags=-l|-gcflags=pith/kernel/...=|-gcflags=pith/abi/...=",
		"'-gcflags=all=-N -l' --gcflags=a/b=-m": "-gcflags=all=-N -l|-gcflags=a/b=-m|-gcflags=pith/kernel/...=|-gcflags=pith/abi/...=",
	} {
		b := &builder{goflags: flags}
		if got := strings.Join(b.compilerFlags(), "|"); got != want {
			t.Errorf("%s: %s, want %s", flags, got, want)
		}
	}
}

// TestProfileFlags: a program's own profile is used in place of the kernel's.
func TestProfileFlags(t *testing.T) {
	own := tree(t, map[string]string{"default.pgo": ""})
	for _, test := range []struct{ profile, goflags, dir, want string }{
		{"k.pgo", "", t.TempDir(), "-pgo=k.pgo"},
		{"k.pgo", "-mod=mod", t.TempDir(), "-pgo=k.pgo"},
		{"k.pgo", "-pgo=off", t.TempDir(), ""},
		{"k.pgo", "'--pgo=my own.pgo'", t.TempDir(), ""},
		{"k.pgo", "", own, ""},
		{"", "", t.TempDir(), ""},
	} {
		b := &builder{profile: test.profile, goflags: test.goflags}
		if got := strings.Join(b.profileFlags(&program{listed: listed{Dir: test.dir}}), "|"); got != test.want {
			t.Errorf("%+v: %s", test, got)
		}
	}
}

// TestInliningProfile reads the kernel's profile as the compiler does.
func TestInliningProfile(t *testing.T) {
	s, err := readSources(pith.Source, pith.StackInet)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "inlining.pgo")
	if err := os.WriteFile(file, s.files[inliningProfile], 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "tool", "preprofile", "-i", file).Output()
	if err != nil || !bytes.Contains(out, []byte("\npith/kernel.start\n")) {
		t.Errorf("preprofile: %v; no call from pith/kernel.start in %d bytes", err, len(out))
	}
}
