// Package oci makes a container image of a static Linux program, without a
// daemon: one layer on an empty base, as a file that `docker load` and `podman
// load` take, or as a folder in the OCI layout.
//
// It relies on the OCI image specification 1.1 by go-containerregistry. Nothing
// in an image depends on when, where or by whom it was made. It must not talk to
// a registry.
package oci

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"pith"
)

// ProgramPath is where the program is in its image.
const ProgramPath = "/app"

// File is one more file of an image.
type File struct {
	Name string // without the leading slash
	Mode fs.FileMode
	Data []byte
}

// epoch is the time of everything in an image.
var epoch = time.Unix(0, 0).UTC()

// user is nobody: an image needs no rights.
const user = "65534:65534"

// Image makes a container image of a program and files.
func Image(program *pith.Image, files []File) (v1.Image, error) {
	data, err := os.ReadFile(program.Path)
	if err != nil {
		return nil, fmt.Errorf("read the program: %w", err)
	}
	all := append([]File{{Name: strings.TrimPrefix(ProgramPath, "/"), Mode: 0o755, Data: data}}, files...)
	content, err := archive(all)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	})
	if err != nil {
		return nil, fmt.Errorf("container image: %w", err)
	}
	img, err := mutate.Append(empty.Image, mutate.Addendum{
		Layer:   layer,
		History: v1.History{Author: "pith", CreatedBy: "pith build --oci", Created: v1.Time{Time: epoch}},
	})
	if err != nil {
		return nil, fmt.Errorf("container image: %w", err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("container image: %w", err)
	}
	config = config.DeepCopy()
	m := program.Manifest
	config.Architecture, config.OS, config.Created = "amd64", "linux", v1.Time{Time: epoch}
	config.Config = v1.Config{
		Entrypoint: []string{ProgramPath}, Cmd: m.Args, Env: m.Env, User: user, WorkingDir: "/", StopSignal: "SIGTERM",
		Labels: labels(m),
	}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		return nil, fmt.Errorf("container image: %w", err)
	}
	return img, nil
}

// labels say where the program comes from. Source: OCI image specification,
// "Annotations".
func labels(m pith.Manifest) map[string]string {
	l := map[string]string{"org.opencontainers.image.title": m.Name}
	if m.Version != "" {
		l["org.opencontainers.image.version"] = m.Version
	}
	return l
}

// archive makes a layer: the folders, then the files, in the order of their
// names.
func archive(files []File) ([]byte, error) {
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	made := map[string]bool{".": true}
	for _, f := range files {
		if !fs.ValidPath(f.Name) || f.Name == "." {
			return nil, pith.Errorf("%q can't be a file's name in an image: write it without a leading slash", f.Name)
		}
		if err := folders(w, made, path.Dir(f.Name)); err != nil {
			return nil, err
		}
		err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.Name, Mode: int64(f.Mode.Perm()), Size: int64(len(f.Data)), ModTime: epoch, Format: tar.FormatPAX})
		if err != nil {
			return nil, fmt.Errorf("container image: %s: %w", f.Name, err)
		}
		if _, err := w.Write(f.Data); err != nil {
			return nil, fmt.Errorf("container image: %s: %w", f.Name, err)
		}
	}
	return buf.Bytes(), w.Close()
}

// folders writes a folder and those that it is in, unless that was done.
func folders(w *tar.Writer, made map[string]bool, dir string) error {
	if made[dir] {
		return nil
	}
	if err := folders(w, made, path.Dir(dir)); err != nil {
		return err
	}
	made[dir] = true
	return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755, ModTime: epoch, Format: tar.FormatPAX})
}

// Write writes an image: into a file where place ends with ".tar", or else as an
// OCI layout into a folder, which must be empty or not be there. It returns the
// image's digest.
func Write(img v1.Image, place, title string) (string, error) {
	digest, err := img.Digest()
	if err != nil {
		return "", fmt.Errorf("container image: %w", err)
	}
	if strings.HasSuffix(place, ".tar") {
		return digest.String(), writeTar(img, place, title)
	}
	return digest.String(), writeLayout(img, place)
}

func writeTar(img v1.Image, file, title string) error {
	tag, err := name.NewTag(strings.ToLower(title) + ":latest")
	if err != nil {
		return pith.Errorf("%q can't be a container image's name: %w", title, err)
	}
	tmp := file + ".tmp"
	if err := tarball.WriteToFile(tmp, tag, img); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", file, err), os.Remove(tmp))
	}
	return os.Rename(tmp, file)
}

func writeLayout(img v1.Image, dir string) error {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return pith.Errorf("%s is not empty: name a new folder, or a file that ends with .tar", dir)
	}
	place, err := layout.Write(dir, empty.Index)
	if err != nil {
		return fmt.Errorf("write %s: %w", dir, err)
	}
	if err := place.AppendImage(img); err != nil {
		return fmt.Errorf("write %s: %w", dir, err)
	}
	return nil
}
