package test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// packedFolder makes a manifest of the guest and files for it.
func packedFolder(t *testing.T, override string) (manifest string) {
	t.Helper()
	guest, err := filepath.Abs("guest")
	if err != nil {
		t.Fatal(err)
	}
	dir := writeFolder(t, map[string]string{
		"Corefile":     "hello",
		"site/a":       "text of a",
		"site/sub/b":   "",
		"site/large":   strings.Repeat("0123456789", 12_345),
		"pith.yaml":    "name: guest\nbuild: " + guest + "\nmemory: 96M\ncpus: 2\nargs: [packed, from, manifest]\nenv: {PACKED: yes it is}\nfiles: ['Corefile:/etc/Corefile', './site:/srv']\n" + override,
		"Corefile.new": "other",
	})
	if err := os.Symlink("a", filepath.Join(dir, "site/link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "site/a"), 0o640); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "pith.yaml")
}

// TestPackedFiles: a program finds its manifest's files, arguments and
// environment, and can't change the files.
func TestPackedFiles(t *testing.T) {
	manifest := packedFolder(t, "")
	o := run(t, filepath.Dir(manifest))
	for _, line := range []string{
		"args from manifest",
		"env yes it is",
		"walk /srv drwxr-xr-x 0",
		"walk /srv/a -rw-r----- 9",
		"walk /srv/link Lrwxrwxrwx 1",
		"walk /srv/sub drwxr-xr-x 0",
		"walk /srv/sub/b -rw-r--r-- 0",
		`link "text of a"`,
		`file "hello"`,
		"mmap 123450 true",
		"self true",
		"done",
	} {
		if !strings.Contains("\n"+strings.ReplaceAll(o.output, "\r", ""), "\n"+line+"\n") {
			t.Errorf("no line %q", line)
		}
	}
	if o.code != 0 || strings.Contains(o.output, "FAIL") || t.Failed() {
		t.Errorf("exit code %d:\n%s", o.code, o.output)
	}
}

// TestPackedReproducible: the same files of another folder, with other times,
// are the same image.
func TestPackedReproducible(t *testing.T) {
	var images [2][]byte
	for i := range images {
		img := filepath.Join(t.TempDir(), "guest.img")
		out, err := exec.Command(command, "build", "-f", packedFolder(t, ""), "-o", img).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if images[i], err = os.ReadFile(img); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(images[0], images[1]) {
		t.Error("two builds of the same files differ")
	}
}

// TestOverride: an instance may set what the manifest lets it, and never
// replaces a packed file.
func TestOverride(t *testing.T) {
	manifest := packedFolder(t, "override: [env]\n")
	dir := filepath.Dir(manifest)
	for _, c := range []struct {
		want string
		args []string
	}{
		{"doesn't let an instance set args, only env", []string{dir, "--", "packed"}},
		{"doesn't let an instance set memory, only env", []string{"-m", "200", dir}},
		{"doesn't let an instance set cpus, only env", []string{"--cpus", "1", dir}},
		{"holds /etc/Corefile, which an instance can't replace", []string{"--file", dir + "/Corefile.new:/etc/Corefile", dir}},
		{"holds /srv, which an instance can't replace", []string{"--file", dir + "/Corefile.new:/srv/sub/b", dir}},
	} {
		if o := run(t, c.args...); o.code != 2 || !strings.Contains(o.output, c.want) {
			t.Errorf("run %q: exit code %d, want 2 with %q in:\n%s", c.args, o.code, c.want, o.output)
		}
	}
	if o := run(t, "-e", "PACKED=by hand", dir); o.code != 0 || !strings.Contains(o.output, "env by hand") {
		t.Errorf("setting env: exit code %d\n%s", o.code, o.output)
	}
}

// TestMissingPacked: a missing file is named with its place in the manifest.
func TestMissingPacked(t *testing.T) {
	manifest := packedFolder(t, "")
	if err := os.Remove(filepath.Join(filepath.Dir(manifest), "Corefile")); err != nil {
		t.Fatal(err)
	}
	if o := run(t, "-f", manifest, "guest"); o.code != 2 || !strings.Contains(o.output, "pith.yaml:7:9: there is no file Corefile") {
		t.Errorf("exit code %d\n%s", o.code, o.output)
	}
}
