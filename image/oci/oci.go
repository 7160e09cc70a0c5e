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
	"cmp"
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
	"github.com/google/go-containerregistry/pkg/v1/types"

	"pith"
)

// ProgramPath is where the program is in its image.
const ProgramPath = "/app"

// File is one more file of an image, or a folder or symbolic link.
type File struct {
	Name string      // without the leading slash
	Mode fs.FileMode // type and permissions
	Data []byte      // of a link, where it leads
}

// Config is what an image says beside what the program's manifest does.
type Config struct {
	Files   []File
	Dir     string   // the working directory; "": "/"
	Ports   []string // "80/tcp"
	Volumes []string // folders that outlive a container
}

// epoch is the time of everything in an image.
var epoch = time.Unix(0, 0).UTC()

// nobody is the user that the program runs as: it needs no rights.
const nobody = 65534

var user = fmt.Sprintf("%d:%[1]d", nobody)

// Image makes a container image of a program.
func Image(program *pith.Image, c Config) (v1.Image, error) {
	data, err := os.ReadFile(program.Path)
	if err != nil {
		return nil, fmt.Errorf("read the program: %w", err)
	}
	all := append([]File{{Name: strings.TrimPrefix(ProgramPath, "/"), Mode: 0o755, Data: data}}, c.Files...)
	content, err := archive(all)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, fmt.Errorf("container image: %w", err)
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := mutate.Append(base, mutate.Addendum{
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
		Entrypoint: []string{ProgramPath}, Cmd: m.Args, Env: m.Env, User: user, WorkingDir: cmp.Or(c.Dir, "/"), StopSignal: "SIGTERM",
		Labels: labels(m), ExposedPorts: set(c.Ports), Volumes: set(c.Volumes),
	}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		return nil, fmt.Errorf("container image: %w", err)
	}
	return img, nil
}

func set(words []string) map[string]struct{} {
	if len(words) == 0 {
		return nil
	}
	all := map[string]struct{}{}
	for _, w := range words {
		all[w] = struct{}{}
	}
	return all
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
	for i, f := range files {
		if !fs.ValidPath(f.Name) || f.Name == "." {
			return nil, pith.Errorf("%q can't be a file's name in an image: write it without a leading slash", f.Name)
		}
		if i > 0 && files[i-1].Name == f.Name {
			return nil, pith.Errorf("an image can't hold two files %s", f.Name)
		}
		if err := folders(w, made, path.Dir(f.Name)); err != nil {
			return nil, err
		}
		if err := entry(w, made, f); err != nil {
			return nil, fmt.Errorf("container image: %s: %w", f.Name, err)
		}
	}
	return buf.Bytes(), w.Close()
}

// entry writes one file. What only its owner may read is the program's.
func entry(w *tar.Writer, made map[string]bool, f File) error {
	h := &tar.Header{Name: f.Name, Mode: int64(f.Mode.Perm()), ModTime: epoch, Format: tar.FormatPAX}
	if f.Mode&0o004 == 0 {
		h.Uid, h.Gid = nobody, nobody
	}
	switch f.Mode.Type() {
	case fs.ModeDir:
		h.Typeflag, h.Name = tar.TypeDir, f.Name+"/"
		made[f.Name] = true
		return w.WriteHeader(h)
	case fs.ModeSymlink:
		h.Typeflag, h.Linkname, h.Uid, h.Gid = tar.TypeSymlink, string(f.Data), 0, 0
		return w.WriteHeader(h)
	}
	h.Typeflag, h.Size = tar.TypeReg, int64(len(f.Data))
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err := w.Write(f.Data)
	return err
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
