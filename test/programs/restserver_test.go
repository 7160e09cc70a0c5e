package programs

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
)

// TestRestServer: the server of restic's backups, by its REST protocol: what it has
// acknowledged is on the volume, whole, and can't be taken away again.
func TestRestServer(t *testing.T) {
	image := build(t, "github.com/restic/rest-server/cmd/rest-server@v0.14.0")
	d := volume(t, "128M")
	start := func() (*server, backup) {
		addr, publish := port(t, "8000")
		s := serve(t, "-m", "64", "-p", publish, "-v", d.name+":/data", image, "--", "--no-auth", "--append-only", "--path", "/data")
		b := backup{t, "http://" + addr + "/repo/"}
		s.eventually("an answer", func() error {
			r, err := http.Get("http://" + addr + "/")
			if err == nil {
				r.Body.Close()
			}
			return err
		})
		return s, b
	}
	blobs := make(map[string][]byte)
	for i := range 12 {
		blob := make([]byte, 1+i<<18) // up to 3 MB
		rand.Read(blob)
		sum := sha256.Sum256(blob)
		blobs[hex.EncodeToString(sum[:])] = blob
	}

	s, b := start()
	b.want(http.StatusOK, "POST", "?create=true", nil, "")
	b.want(http.StatusOK, "POST", "config", []byte("made up"), "")
	for name, blob := range blobs {
		b.want(http.StatusOK, "POST", "data/"+name, blob, "")
	}
	b.want(http.StatusBadRequest, "POST", "data/"+hex.EncodeToString(make([]byte, 32)), []byte("of another name"), "")
	for name := range blobs {
		b.want(http.StatusForbidden, "POST", "data/"+name, []byte("again"), "")
		b.want(http.StatusForbidden, "DELETE", "data/"+name, nil, "")
		break
	}
	s.stop()
	d.sound()

	s, b = start()
	var list []struct {
		Name string
		Size int
	}
	text := b.want(http.StatusOK, "GET", "data/", nil, "")
	if err := json.Unmarshal(text, &list); err != nil || len(list) != len(blobs) {
		t.Fatalf("%d blobs of %d: %v", len(list), len(blobs), err)
	}
	for _, l := range list {
		blob := blobs[l.Name]
		if l.Size != len(blob) || !bytes.Equal(b.want(http.StatusOK, "GET", "data/"+l.Name, nil, ""), blob) {
			t.Errorf("%s came back changed", l.Name)
		}
		half := len(blob) / 2
		part := b.want(http.StatusPartialContent, "GET", "data/"+l.Name, nil, fmt.Sprintf("bytes=%d-", half))
		if !bytes.Equal(part, blob[half:]) {
			t.Errorf("%s from byte %d on is another", l.Name, half)
		}
	}
	s.stop()
	d.sound()
}

// backup is a repository's URL.
type backup struct {
	*testing.T
	url string
}

// want asks for what must be answered with a status; ranges is the header Range.
func (b backup) want(status int, method, path string, body []byte, ranges string) []byte {
	b.Helper()
	q, err := http.NewRequestWithContext(b.Context(), method, b.url+path, bytes.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	q.Header.Set("Accept", "application/vnd.x.restic.rest.v2")
	if ranges != "" {
		q.Header.Set("Range", ranges)
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != status {
		b.Fatalf("%s %s: %s, want %d: %v %.200s", method, path, r.Status, status, err, text)
	}
	return text
}
