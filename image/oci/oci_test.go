package oci

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/opencontainers/image-spec/schema"

	"pith"
)

func program(t *testing.T) *pith.Image {
	t.Helper()
	path := filepath.Join(t.TempDir(), "web")
	if err := os.WriteFile(path, bytes.Repeat([]byte("program"), 1000), 0o755); err != nil {
		t.Fatal(err)
	}
	return &pith.Image{Path: path, Manifest: pith.Manifest{Name: "web", Args: []string{"-v"}, Env: []string{"A=b"}}}
}

// TestWrite writes both forms twice: they are valid, and equal bit for bit.
func TestWrite(t *testing.T) {
	files := []File{{Name: "etc/site/a.conf", Mode: 0o444, Data: []byte("a")}, {Name: "b", Mode: 0o444},
		{Name: "etc/site", Mode: fs.ModeDir | 0o755}, {Name: "etc/link", Mode: fs.ModeSymlink | 0o777, Data: []byte("site/a.conf")}, {Name: "key", Mode: 0o400}}
	var digests []string
	var tars [][]byte
	for range 2 {
		img, err := Image(program(t), Config{Files: files, Dir: "/etc/site", Ports: []string{"80/tcp", "53/udp"}, Volumes: []string{"/data"}})
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		file := filepath.Join(dir, "web.tar")
		digest, err := Write(img, file, "web")
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, digest)
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tars = append(tars, data)
		read, err := tarball.ImageFromPath(file, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(read); err != nil {
			t.Error(err)
		}
		config, err := read.ConfigFile()
		if err != nil || config.Config.Entrypoint[0] != ProgramPath || config.Config.Cmd[0] != "-v" || config.Config.Env[0] != "A=b" {
			t.Errorf("config = %+v, %v", config, err)
		}
		folder := filepath.Join(dir, "layout")
		if _, err := Write(img, folder, "web"); err != nil {
			t.Fatal(err)
		}
		index, err := layout.ImageIndexFromPath(folder)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Index(index); err != nil {
			t.Error(err)
		}
		valid(t, folder, img)
		if _, err := Write(img, folder, "web"); pith.ExitCode(err) != 2 {
			t.Errorf("a folder in use: %v", err)
		}
	}
	if digests[0] != digests[1] || !bytes.Equal(tars[0], tars[1]) {
		t.Error("the same program gives different images")
	}
}

// valid checks an OCI layout against the image specification's own schemas.
func valid(t *testing.T, folder string, img v1.Image) {
	t.Helper()
	config, err := img.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := img.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for kind, text := range map[schema.Validator][]byte{
		schema.ValidatorMediaTypeImageConfig:  config,
		schema.ValidatorMediaTypeManifest:     manifest,
		schema.ValidatorMediaTypeImageIndex:   read("index.json"),
		schema.ValidatorMediaTypeLayoutHeader: read("oci-layout"),
	} {
		if err := kind.Validate(bytes.NewReader(text)); err != nil || bytes.Contains(text, []byte("vnd.docker")) {
			t.Errorf("%s: %v\n%s", kind, err, text)
		}
	}
}

func TestImageRefuses(t *testing.T) {
	for _, name := range []string{"/etc/x", "../x", "", "a//b"} {
		if _, err := Image(program(t), Config{Files: []File{{Name: name}}}); pith.ExitCode(err) != 2 {
			t.Errorf("file %q: %v", name, err)
		}
	}
}
