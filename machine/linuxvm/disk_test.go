package linuxvm

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestWriteProgramDisk(t *testing.T) {
	dir := t.TempDir()
	program, disk := filepath.Join(dir, "program"), filepath.Join(dir, "disk")
	if err := os.WriteFile(program, []byte("the program"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := WriteProgramDisk(disk, program); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(disk)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(data, []byte("070701")) || !bytes.Contains(data, []byte("server\x00")) ||
		!bytes.Contains(data, []byte("the program")) || !bytes.Contains(data, []byte(cpioTrailer)) {
		t.Errorf("%q", data)
	}
	if err := WriteProgramDisk(disk, filepath.Join(dir, "none")); err == nil {
		t.Error("no error without a program")
	}
}
