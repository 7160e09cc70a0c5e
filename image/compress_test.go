package image

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"pith"
)

func TestCompress(t *testing.T) {
	dir := tree(t, map[string]string{"go.mod": gomod, "main.go": "package main\n\nfunc main() { println(1) }\n"})
	img := mustBuild(t, Options{Dir: dir, Strip: true})
	packed, unpacked := filepath.Join(dir, "x.xz"), filepath.Join(dir, "y.elf")
	n, err := Compress(t.Context(), img.Path, packed)
	if err != nil || n > img.Size/2 {
		t.Fatalf("%d of %d bytes, %v", n, img.Size, err)
	}
	if _, err := Decompress(t.Context(), packed, unpacked); err != nil {
		t.Fatal(err)
	}
	before, err1 := os.ReadFile(img.Path)
	after, err2 := os.ReadFile(unpacked)
	if err := errors.Join(err1, err2); err != nil || !bytes.Equal(before, after) {
		t.Errorf("what comes out is not what went in: %v", err)
	}
	if _, err := Open(packed); pith.ExitCode(err) != 2 {
		t.Errorf("Open of a compressed image: %v", err)
	}
	if _, err := Compress(t.Context(), packed, unpacked); pith.ExitCode(err) != 2 {
		t.Errorf("compressed twice: %v", err)
	}

	data, err := os.ReadFile(packed)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(packed, data[:len(data)/2], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Decompress(t.Context(), packed, filepath.Join(dir, "z.elf")); pith.ExitCode(err) != 2 || isFile(filepath.Join(dir, "z.elf")) {
		t.Errorf("half a file: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Compress(ctx, img.Path, filepath.Join(dir, "z.xz")); !errors.Is(err, context.Canceled) || isFile(filepath.Join(dir, "z.xz")) {
		t.Errorf("cancelled: %v", err)
	}
}
