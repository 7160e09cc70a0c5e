package programs

import (
	"bytes"
	"crypto/rand"
	"io"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const registryConfig = `version: 0.1
storage:
  filesystem: {rootdirectory: /data/registry}
http: {addr: ":5000"}
`

// TestRegistry: the registry of container images, with its files on a volume; an image
// that was pushed to it is there after a stop.
func TestRegistry(t *testing.T) {
	large(t)
	program := build(t, "github.com/distribution/distribution/v3/cmd/registry@v3.1.2")
	config := write(t, t.TempDir(), "config.yml", registryConfig)
	d := volume(t, "128M")
	start := func() (*server, name.Reference) {
		addr, publish := port(t, "5000")
		s := serve(t, "-m", "256", "-p", publish, "-v", d.name+":/data", "--file", config+":/etc/config.yml", program, "--", "serve", "/etc/config.yml")
		ref, err := name.ParseReference(addr+"/pith/test:one", name.Insecure)
		if err != nil {
			t.Fatal(err)
		}
		s.eventually("an answer", func() error {
			_, err := remote.Catalog(t.Context(), ref.Context().Registry)
			return err
		})
		return s, ref
	}

	layer := make([]byte, 20<<20)
	rand.Read(layer)
	image, err := mutate.AppendLayers(empty.Image, static.NewLayer(layer, types.OCILayer))
	if err != nil {
		t.Fatal(err)
	}
	s, ref := start()
	if err := remote.Write(ref, image, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	s.stop()
	d.sound()
	s, ref = start()
	found, err := remote.Image(ref, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(contents(t, found), layer) {
		t.Error("the layer came back changed")
	}
	s.stop()
	d.sound()
}

// contents is an image's only layer.
func contents(t *testing.T, image v1.Image) []byte {
	t.Helper()
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	r, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
