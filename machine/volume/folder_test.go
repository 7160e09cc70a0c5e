package volume

import (
	"os"
	"path/filepath"
	"testing"

	"pith"
)

func TestCheckFolder(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, m := range []pith.Mount{{Volume: "data"}, {Source: dir}, {Source: dir, ReadOnly: true}} {
		if err := CheckFolder(m); err != nil {
			t.Errorf("%+v: %v", m, err)
		}
	}
	refused(t, CheckFolder(pith.Mount{Source: filepath.Join(dir, "none")}), "make it first")
	refused(t, CheckFolder(pith.Mount{Source: file, Target: "/x"}), "is no folder")
	refused(t, CheckFolder(pith.Mount{Source: filepath.Join(file, "x")}), "not a directory")
}

// TestRights looks at what only another user than root is refused.
func TestRights(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may read and write every folder: run this as another user")
	}
	dir := t.TempDir()
	for mode, want := range map[os.FileMode]string{0o500: "read-only, with :ro", 0o300: "may not read", 0: "may not read"} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		refused(t, CheckFolder(pith.Mount{Source: dir}), want)
	}
	os.Chmod(dir, 0o500)
	if err := CheckFolder(pith.Mount{Source: dir, ReadOnly: true}); err != nil {
		t.Error(err)
	}
	os.Chmod(dir, 0o700)
}
