package programs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

var installer = regexp.MustCompile(`/pbinstall?/([A-Za-z0-9_.-]+)`)

// TestPocketBase: SQLite in pure Go, and uploads.
func TestPocketBase(t *testing.T) {
	image := build(t, "github.com/pocketbase/pocketbase/examples/base@v0.38.0")
	addr, publish := port(t, "8090")
	s := serve(t, "-m", "512", "-p", publish, image, "--", "serve", "--http=0.0.0.0:8090", "--dir=/data")
	var token string
	s.eventually("the first start", func() error {
		m := installer.FindStringSubmatch(s.out.String())
		if m == nil {
			return fmt.Errorf("no installer's token yet")
		}
		token = m[1]
		return nil
	})
	c := &api{t: t, base: "http://" + addr + "/api/", token: token}
	c.post("collections/_superusers/records", map[string]any{"email": "a@example.org", "password": "1234567890", "passwordConfirm": "1234567890"})
	c.token = c.post("collections/_superusers/auth-with-password", map[string]any{"identity": "a@example.org", "password": "1234567890"})["token"].(string)
	c.post("collections", map[string]any{"name": "notes", "type": "base", "fields": []map[string]any{
		{"name": "title", "type": "text"}, {"name": "paper", "type": "file", "maxSelect": 1, "maxSize": 1 << 22},
	}})
	for i := range 50 {
		c.post("collections/notes/records", map[string]any{"title": fmt.Sprintf("note %02d", i)})
	}
	paper := strings.Repeat("all work and no play ", 50_000)
	record := c.upload("collections/notes/records", "paper", "paper.txt", paper)
	found := c.do(http.MethodGet, "collections/notes/records?filter=(title='note+49')", "", nil)
	if found["totalItems"] != 1.0 {
		t.Errorf("found %v", found)
	}
	r, err := http.Get(fmt.Sprintf("%sfiles/notes/%s/%s", c.base, record["id"], record["paper"]))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if text, err := io.ReadAll(r.Body); err != nil || string(text) != paper {
		t.Errorf("the file came back with %d bytes, %v", len(text), err)
	}
}

// api is PocketBase's.
type api struct {
	t           *testing.T
	base, token string
}

func (c *api) post(path string, body any) map[string]any {
	c.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.do(http.MethodPost, path, "application/json", bytes.NewReader(text))
}

func (c *api) upload(path, field, name, text string) map[string]any {
	c.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	part, err := w.CreateFormFile(field, name)
	if err != nil {
		c.t.Fatal(err)
	}
	io.WriteString(part, text)
	w.Close()
	return c.do(http.MethodPost, path, w.FormDataContentType(), &body)
}

func (c *api) do(method, path, kind string, body io.Reader) map[string]any {
	c.t.Helper()
	r, err := http.NewRequest(method, c.base+path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Authorization", c.token)
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	answer, err := (&http.Client{Timeout: time.Minute}).Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	var value map[string]any
	if err == nil {
		err = json.Unmarshal(text, &value)
	}
	if err != nil || answer.StatusCode >= 300 {
		c.t.Fatalf("%s %s: %s %v\n%s", method, path, answer.Status, err, text)
	}
	return value
}
