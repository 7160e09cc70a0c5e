package main

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"pith/machine"
)

// TestOCI builds a container image of a program and its manifest, and has runc run
// it, with nothing of Pith's around: its files, arguments and variables are there.
func TestOCI(t *testing.T) {
	kindOrSkip(t, machine.KindContainer)
	c := newCLI(t)
	c.save("go.mod", "module shown\n\ngo 1.26\n")
	c.save("main.go", `package main

import (
	"fmt"
	"os"
)

func main() {
	dir, _ := os.Getwd()
	fmt.Println(os.Args[1:], os.Getenv("GREETING"), os.Getenv("PATH"), dir, os.Getuid())
	for _, name := range []string{"/etc/app.conf", "/srv/site/index.html", "/key"} {
		text, err := os.ReadFile(name)
		info, _ := os.Lstat(name)
		fmt.Println(name, string(text), info.Mode(), err)
	}
}
`)
	c.save("app.conf", "conf")
	c.save("key", "secret")
	if err := errors.Join(os.Chmod(filepath.Join(c.dir, "key"), 0o600), os.Chmod(filepath.Join(c.dir, "app.conf"), 0o640),
		os.Mkdir(filepath.Join(c.dir, "site"), 0o755), os.Symlink("app.conf", filepath.Join(c.dir, "site", "link"))); err != nil {
		t.Fatal(err)
	}
	c.save("site/index.html", "page")
	c.save("pith.yaml", `
args: [-v, two words]
env: {GREETING: hello}
working_dir: /srv
files: ["app.conf:/etc/app.conf", "site:/srv/site", "key:/key"]
ports: ["80", "5353:53/udp"]
volumes: ["data:/data"]
`)
	c.works("build", "--oci", "image", ".")
	c.works("build", "--oci", "again", ".")
	img := ociImage(t, filepath.Join(c.dir, "image"))
	digest, _ := img.Digest()
	if second, err := ociImage(t, filepath.Join(c.dir, "again")).Digest(); err != nil || second != digest {
		t.Errorf("built twice: %v and %v, %v", digest, second, err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	_, tcp := config.Config.ExposedPorts["80/tcp"]
	_, udp := config.Config.ExposedPorts["53/udp"]
	_, data := config.Config.Volumes["/data"]
	if !tcp || !udp || !data {
		t.Errorf("ports %v, volumes %v", config.Config.ExposedPorts, config.Config.Volumes)
	}
	bundle := t.TempDir()
	unpackOCI(t, img, filepath.Join(bundle, "rootfs"))
	if got, err := os.Readlink(filepath.Join(bundle, "rootfs/srv/site/link")); err != nil || got != "app.conf" {
		t.Errorf("the symbolic link leads to %q, %v", got, err)
	}
	out := runOCI(t, config.Config, bundle)
	for _, want := range []string{
		"[-v two words] hello  /srv 65534\n", "/etc/app.conf conf -rw-r----- <nil>\n", "/srv/site/index.html page -rw-r--r-- <nil>\n", "/key secret -rw------- <nil>\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
}

func ociImage(t *testing.T, folder string) v1.Image {
	t.Helper()
	index, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 {
		t.Fatalf("the layout's index: %+v, %v", manifest, err)
	}
	img, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// unpackOCI makes a root of an image's layers, with their owners.
func unpackOCI(t *testing.T, img v1.Image, dir string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	layers := mutate.Extract(img)
	defer layers.Close()
	for r := tar.NewReader(layers); ; {
		h, err := r.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, h.Name)
		switch h.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(path, h.FileInfo().Mode())
		case tar.TypeSymlink:
			err = os.Symlink(h.Linkname, path)
		default:
			var data []byte
			if data, err = io.ReadAll(r); err == nil {
				err = errors.Join(os.WriteFile(path, data, h.FileInfo().Mode().Perm()), os.Chmod(path, h.FileInfo().Mode().Perm()))
			}
		}
		if err = errors.Join(err, os.Lchown(path, h.Uid, h.Gid)); err != nil {
			t.Fatal(err)
		}
	}
}

// runOCI runs an image's own command by runc, as its configuration says, and returns
// what it prints.
func runOCI(t *testing.T, config v1.Config, bundle string) string {
	t.Helper()
	run := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), "runc", append([]string{"--root", filepath.Join(bundle, "state")}, args...)...)
		cmd.Dir = bundle
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("runc %q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	run("spec")
	file := filepath.Join(bundle, "config.json")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var s specs.Spec
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	user, group, _ := strings.Cut(config.User, ":")
	uid, err1 := strconv.ParseUint(user, 10, 32)
	gid, err2 := strconv.ParseUint(group, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	s.Process.Args = slices.Concat(config.Entrypoint, config.Cmd)
	s.Process.Env, s.Process.Cwd, s.Process.Terminal = config.Env, config.WorkingDir, false
	s.Process.User = specs.User{UID: uint32(uid), GID: uint32(gid)}
	if text, err = json.Marshal(s); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return run("run", fmt.Sprintf("pith-oci-%d", os.Getpid()))
}
