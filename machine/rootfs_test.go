package machine

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pith"
)

func TestRootFiles(t *testing.T) {
	source := filepath.Join(t.TempDir(), "site")
	if err := os.MkdirAll(filepath.Join(source, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(source, "sub", "page"), []byte("text"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("sub/page", filepath.Join(source, "link")); err != nil {
		t.Fatal(err)
	}
	s := Spec{}
	s.Name, s.Dir, s.Files = "web", "/work/here", []pith.File{{Source: source, Target: "/srv"}}
	files, err := s.RootFiles()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := WriteRoot(dir, files); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"srv/sub/page": "text", "srv/link": "text", "etc/hostname": "web\n"} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v", name, got, err)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "srv/sub/page")); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the page's mode: %v, %v", info, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "work/here")); err != nil || !info.IsDir() {
		t.Errorf("the working directory: %v", err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "etc/resolv.conf")); err != nil || !strings.Contains(string(text), "nameserver") {
		t.Errorf("resolv.conf: %q, %v", text, err)
	}
}

// TestWriteRootStaysInside: neither a link nor a name leads out of the root.
func TestWriteRootStaysInside(t *testing.T) {
	outside := t.TempDir()
	for _, files := range [][]RootFile{
		{{"out", syscall.S_IFLNK | 0o777, []byte(outside)}, {"out/file", syscall.S_IFREG | 0o644, []byte("x")}},
		{{"../file", syscall.S_IFREG | 0o644, []byte("x")}},
	} {
		if err := WriteRoot(t.TempDir(), files); err == nil {
			t.Errorf("%v was written", files[0].Name)
		}
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("outside: %v, %v", left, err)
	}
}
