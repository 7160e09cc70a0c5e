package conformance

import (
	"os"
	"path/filepath"
	"testing"
)

// TestBook: what was added is there for the next run, which leaves it out if it is
// good.
func TestBook(t *testing.T) {
	file := filepath.Join(t.TempDir(), "results.json")
	book, err := OpenBook(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []Result{
		{Package: "os", CPUs: 1, Passed: 3, Failed: []string{"TestX"}},
		{Package: "io", CPUs: 1, Passed: 2, Long: true},
		{Package: "goroot/test/ken/a.go", CPUs: 2, Passed: 1},
		{Package: "goroot/test/ken/b.go", CPUs: 2, Failed: []string{"ken/b.go"}},
		{Package: "os", CPUs: 1, Passed: 4},
		{Package: "sync", CPUs: 1, Passed: 1},
		{Package: "sync", CPUs: 1, Passed: 2, Long: true},
	} {
		if err := book.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	if book, err = OpenBook(file); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		pkg  string
		cpus int
		long bool
		want bool
	}{
		{"os", 1, false, true}, {"os", 2, false, false}, {"os", 1, true, false}, {"io", 1, true, true}, {"io", 1, false, false}, {"sync", 1, false, true}, {"sync", 1, true, true}, {"net", 1, false, false},
		{"goroot/test/ken/a.go", 2, true, true}, {"goroot/test/ken/b.go", 2, false, false},
	} {
		if got := book.Done(c.pkg, c.cpus, c.long); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	rows := book.rows()
	if len(rows) != 5 || rows[0].Package != "goroot/test/ken" || rows[0].Passed != 1 || len(rows[0].Failed) != 1 || rows[2].Passed != 4 {
		t.Errorf("%+v", rows)
	}
	if err := os.WriteFile(file, []byte("{"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenBook(file); err == nil {
		t.Error("half a file is a book")
	}
}

// TestLayPackages: the files of a folder become packages by their package clauses.
func TestLayPackages(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		"a.go":      "package a\n\nconst N = 1\n",
		"a2.go":     "package a\n",
		"c_test.go": "package a\n",
		"d.go":      "package d\n\nfunc bodiless()\n",
		"b.go":      "package main\n\nimport (\n\t\"./a\"\n\tx \"./a\"\n\t\"os\"\n)\n\nvar _, _, _ = a.N, x.N, os.Args\n",
	} {
		if err := os.WriteFile(filepath.Join(from, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := layPackages(to, from); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"a/a.go": "package a\n\nconst N = 1\n", "a/a2.go": "package a\n", "a/c_test_.go": "package a\n",
		"b.go": "package main\n\nimport (\n\t\"test/a\"\n\tx \"test/a\"\n\t\"os\"\n)\n\nvar _, _, _ = a.N, x.N, os.Args\n",
	} {
		if got, err := os.ReadFile(filepath.Join(to, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
	for name, want := range map[string]bool{"d/empty.s": true, "a/empty.s": false, "empty.s": false} {
		if _, err := os.Stat(filepath.Join(to, name)); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}
