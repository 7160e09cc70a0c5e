package image

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pith"
)

// TestBuildHosted builds twice from nothing, in folders of other names, and
// runs what came out.
func TestBuildHosted(t *testing.T) {
	var built [2][]byte
	for i := range built {
		dir := filepath.Join(t.TempDir(), strings.Repeat("x", i+1))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		write := func(name, text string) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		write("go.mod", "module example.org/greet\n\ngo 1.26\n")
		write("main.go", "package main\n\nimport \"fmt\"\n\nvar who = \"nobody\"\n\nfunc main() { fmt.Println(\"hello\", who) }\n")
		write("image.go", "//go:build pith\n\npackage main\n\nfunc init() { panic(\"this file is for images\") }\n")
		img, err := BuildHosted(t.Context(), Options{Dir: dir, Output: "greet", Strip: true, LDFlags: "-X main.who=world"})
		if err != nil {
			t.Fatal(err)
		}
		if img.Manifest.Name != "greet" || img.Manifest.Stack != "" || img.Manifest.Kernel != "" {
			t.Errorf("manifest = %+v", img.Manifest)
		}
		if built[i], err = os.ReadFile(img.Path); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(img.Path).Output(); err != nil || string(out) != "hello world\n" {
			t.Errorf("it says %q, %v", out, err)
		}
		f, err := elf.Open(img.Path)
		if err != nil {
			t.Fatal(err)
		}
		if f.Section(".symtab") != nil || hasSegment(f, elf.PT_INTERP) {
			t.Error("not stripped, or not static")
		}
		f.Close()
		if opened, err := OpenHosted(img.Path); err != nil || opened.Manifest.Name != "greet" {
			t.Errorf("OpenHosted: %+v, %v", opened, err)
		}
	}
	if !bytes.Equal(built[0], built[1]) {
		t.Error("the same sources give different programs")
	}
}

func TestOpenHostedRefuses(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("no program"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{text, dir, filepath.Join(dir, "missing"), "/bin/sh"} {
		if img, err := OpenHosted(path); pith.ExitCode(err) != 2 {
			t.Errorf("OpenHosted(%s) = %+v, %v", path, img, err)
		}
	}
}
