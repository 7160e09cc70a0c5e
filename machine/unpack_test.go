package machine

import (
	"os"
	"path/filepath"
	"testing"

	"pith/abi"
)

// TestUnpacker: the files that were asked for are written, in whatever pieces
// they come, and no others.
func TestUnpacker(t *testing.T) {
	dir := t.TempDir()
	file, folder := filepath.Join(dir, "a", "profile"), filepath.Join(dir, "b")
	var stream []byte
	for path, text := range map[string]string{
		file: "one", folder + "/x/y": "two", dir + "/other": "three", folder + "/../other": "four", "/": "five",
	} {
		stream = abi.Record(stream, abi.RecordFile, abi.File(0o600, path, []byte(text)))
	}
	outside := t.TempDir()
	if err := os.Mkdir(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, folder+"/link"); err != nil {
		t.Fatal(err)
	}
	stream = abi.Record(stream, abi.RecordFile, abi.File(0o600, folder+"/link/z", []byte("six")))
	stream = abi.Record(stream, abi.RecordArg, []byte("no file"))
	u := NewUnpacker([]string{file, folder})
	for i := range stream {
		u.Write(stream[i : i+1])
	}
	for path, want := range map[string]string{file: "one", folder + "/x/y": "two"} {
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	if _, err := os.Stat(dir + "/other"); err == nil {
		t.Error("a file that nobody asked for was written")
	}
	if _, err := os.Stat(outside + "/z"); err == nil {
		t.Error("a file was written through a symbolic link")
	}
}

func FuzzUnpacker(f *testing.F) {
	f.Add(abi.Record(nil, abi.RecordFile, abi.File(0, "/x", []byte("x"))))
	f.Fuzz(func(t *testing.T, stream []byte) {
		u := NewUnpacker(nil) // wants nothing, and so writes nothing
		u.Write(stream)
	})
}
