package test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFolder: a machine works in a folder of the host's, on both boards, and each
// sees at once what the other does.
func TestFolder(t *testing.T) {
	for _, board := range []string{"microvm", "q35"} {
		t.Run(board, func(t *testing.T) { useFolder(t, board) })
	}
}

func useFolder(t *testing.T, board string) {
	dir := filepath.Join(t.TempDir(), "a, b") // a comma means something to QEMU
	large := make([]byte, 64<<20)
	rand.Read(large)
	secret := filepath.Join(t.TempDir(), "secret")
	for name, text := range map[string][]byte{
		filepath.Join(dir, "large"): large, filepath.Join(dir, "sub/file"): nil, filepath.Join(dir, "page"): []byte("0"), secret: []byte("secret"),
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(secret, filepath.Join(dir, "outside")); err != nil {
		t.Fatal(err)
	}
	pages, ended := make(chan error, 1), make(chan struct{})
	go func() { pages <- changePage(dir, ended) }()
	run(t, "-m", "256", "--machine-type", board, "-v", dir+":/src", guest, "--", "folder").expect(t, 0,
		"found /src d", "found /src/sub d", "found /src/sub/file -", "found /src/outside L",
		fmt.Sprintf("large %d %x", len(large), sha256.Sum256(large)),
		`through the link "word word ", <nil>`, "outside missing true",
		"mapped to write: no such device", `mapped to read: "word ", <nil>`, "own files 20", "page last")
	close(ended)
	if err := <-pages; err != nil {
		t.Error(err)
	}
	lookAtMade(t, dir, large)
}

// changePage changes the page in each way that editors have, and waits until the
// machine has answered each change or has ended.
func changePage(dir string, ended <-chan struct{}) error {
	page := filepath.Join(dir, "page")
	for i := range 30 {
		text := fmt.Sprint(i)
		if i == 29 {
			text = "last"
		}
		var err error
		switch i % 3 {
		case 0:
			err = os.WriteFile(page+"~", []byte(text), 0o644)
			if err == nil {
				err = os.Rename(page+"~", page)
			}
		case 1:
			err = os.WriteFile(page, []byte(text), 0o644)
		default:
			os.Remove(page)
			err = os.WriteFile(page, []byte(text), 0o644)
		}
		if err != nil {
			return err
		}
		for over := false; ; time.Sleep(5 * time.Millisecond) {
			if b, _ := os.ReadFile(filepath.Join(dir, "seen")); string(b) == text {
				break
			}
			if over {
				return fmt.Errorf("the machine did not see change %d", i)
			}
			select {
			case <-ended:
				over = true // look once more
			default:
			}
		}
	}
	return nil
}

// lookAtMade looks at what the machine has made.
func lookAtMade(t *testing.T, dir string, large []byte) {
	t.Helper()
	made := filepath.Join(dir, "made")
	if b, err := os.ReadFile(filepath.Join(made, "copy")); err != nil || !bytes.Equal(b, large) {
		t.Errorf("the large file's copy differs: %d bytes, %v", len(b), err)
	}
	for name, mode := range map[string]os.FileMode{"deep": os.ModeDir | 0o750, "copy": 0o640, "second": 0o644, "link": os.ModeSymlink | 0o777} {
		info, err := os.Lstat(filepath.Join(made, name))
		if err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	info, err := os.Stat(filepath.Join(made, "deep/renamed"))
	if err != nil || info.Size() != 10 || !info.ModTime().Equal(time.Unix(2000, 7)) {
		t.Errorf("%v, %v", info, err)
	}
	if second, err := os.Stat(filepath.Join(made, "second")); err != nil || !os.SameFile(info, second) {
		t.Errorf("the second name: %v, %v", second, err)
	}
	for _, gone := range []string{"file", "../gone"} {
		if _, err := os.Lstat(filepath.Join(made, gone)); err == nil {
			t.Errorf("%s is still there", gone)
		}
	}
}

// TestFolderReadOnly: the machine refuses, and what it does not refuse QEMU would.
func TestFolderReadOnly(t *testing.T) {
	dir := t.TempDir()
	page := filepath.Join(dir, "page")
	if err := os.WriteFile(page, []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "-v", dir+":/src:ro", guest, "--", "folder", "look").expect(t, 0,
		`page "text", <nil>`, "write open /src/page: read-only file system", "make mkdir /src/new: read-only",
		"remove remove /src/page: read-only", "chmod chmod /src/page: read-only", "mount pith-0 /src 9p ro")
	if b, err := os.ReadFile(page); string(b) != "text" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

// TestFolderManifest: pith.yaml names a folder relative to itself, with a position
// for what is wrong.
func TestFolderManifest(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":    "module shared\ngo 1.26\n",
		"main.go":   "package main\nimport (\"fmt\"; \"os\")\nfunc main() { b, err := os.ReadFile(\"/srv/page\"); fmt.Println(string(b), err) }\n",
		"pith.yaml": "name: shared\nvolumes: [\"./site:/srv:ro\"]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run(t, dir).expect(t, 2, "pith.yaml:2:11: there is no folder")
	if err := os.Mkdir(filepath.Join(dir, "site"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "site/page"), []byte("by the manifest"), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, dir).expect(t, 0, "by the manifest <nil>")
}

// differsInFolder is what in a folder of the host's differs from a file system of
// its own.
var differsInFolder = map[string]string{
	"open: open d 0x410002":       "9P has no files without a name",
	"open: flags: 0x418002":       "the same",
	"open: tmpfile":               "the same",
	"data: seek 4611686018427387": "the largest size of a file is the host's affair",
	"data: fallocate":             "9P knows no fallocate",
	"data: punch":                 "the same",
	"data: zero range":            "the same",
	"data: collapse":              "the same",
	"data: sparse":                "9P tells of no holes",
	"names: mkfifo":               "QEMU makes no pipes, sockets and devices",
	"names: mknod":                "the same",
	"names: open socket":          "the same",
	"names: listing":              "the same",
	"names: stat removed":         "what has no name has no attributes",
	"attributes: times after tru": "QEMU truncates by name, which sets no time where the size stays",
	"attributes: statfs":          "the file system's type",
	"attributes: fstatfs":         "the same",
}

// TestFolderSameAsLinux runs the conform program in a folder of the host's, on the
// host and in a machine.
func TestFolderSameAsLinux(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the program of a machine is user 0, so that the comparison must be made as root")
	}
	program, here, there := filepath.Join(t.TempDir(), "conform"), t.TempDir(), t.TempDir()
	build := exec.Command("go", "build", "-o", program, "./conform")
	build.Dir, build.Env = "guest", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	img := filepath.Join(t.TempDir(), "conform.img") // run would tell of what it builds
	if out, err := exec.Command(command, "build", "-o", img, "./guest/conform").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	groups := []string{"open", "data", "names", "rename", "attributes", "directory", "locks", "transfer", "inotify"}
	host, err := exec.Command(program, append([]string{filepath.Join(here, "w")}, groups...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("on the host: %v\n%s", err, host)
	}
	machine := run(t, append([]string{"-m", "256", "-v", there + ":/src", img, "--", "/src/w"}, groups...)...)
	machine.expect(t, 0, "done")
	lines := func(output string) (lines []string) {
		for _, line := range comparable(output, differsInFolder) {
			if !strings.HasPrefix(line, "rename: ") || !exchanges(line) {
				lines = append(lines, line)
			}
		}
		return lines
	}
	if n := len(lines(string(host))); n < 300 {
		t.Errorf("only %d lines to compare", n)
	}
	compareLines(t, lines(string(host)), lines(machine.output))
}

// exchanges reports whether a line tells of an exchange of two names (flag 2), which
// 9P does not know.
func exchanges(line string) bool {
	_, outcome, _ := strings.Cut(line, " -> ")
	words := strings.Fields(outcome)
	return len(words) > 1 && words[1] == "2:"
}
