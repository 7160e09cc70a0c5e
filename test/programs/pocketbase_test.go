package programs

import (
	"bytes"
	"context"
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

const pocketbase = "github.com/pocketbase/pocketbase/examples/base@v0.38.0"

// TestPocketBase: SQLite in pure Go, and uploads.
func TestPocketBase(t *testing.T) {
	image := build(t, pocketbase)
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
	value, err := c.try(c.t.Context(), method, path, kind, body)
	if err != nil {
		c.t.Fatal(err)
	}
	return value
}

// try makes a request and takes its answer apart.
func (c *api) try(ctx context.Context, method, path, kind string, body io.Reader) (value map[string]any, err error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", c.token)
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	answer, err := (&http.Client{Timeout: time.Minute}).Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil {
		err = json.Unmarshal(text, &value)
	}
	if err != nil || answer.StatusCode >= 300 {
		return value, fmt.Errorf("%s %s: %s %w\n%s", method, path, answer.Status, err, text)
	}
	return value, nil
}

// TestPocketBaseLasts: a database that SQLite keeps on a volume. PocketBase has it
// synced at checkpoints only, so that the last records may be lost in a power cut.
func TestPocketBaseLasts(t *testing.T) {
	image := build(t, pocketbase)
	l := &lasting{disk: volume(t, "256M")}
	output(t, "-m", "256", "-v", l.name+":/data", image, "--", "superuser", "upsert", "a@example.org", "1234567890", "--dir=/data/base")
	l.start = func() (*server, records) {
		addr, publish := port(t, "8090")
		s := serve(t, "-m", "256", "-p", publish, "-v", l.name+":/data", image, "--", "serve", "--http=0.0.0.0:8090", "--dir=/data/base")
		return s, &notes{api{t: t, base: "http://" + addr + "/api/"}}
	}
	l.run()
}

// notes are records in a collection.
type notes struct{ api }

func (n *notes) write(ctx context.Context, i int) error {
	_, err := n.try(ctx, http.MethodPost, "collections/lasting/records", "application/json", strings.NewReader(fmt.Sprintf(`{"title": %q}`, named(i))))
	return err
}

func (n *notes) all(ctx context.Context) (map[int]bool, error) {
	if err := n.enter(ctx); err != nil {
		return nil, err
	}
	all := map[int]bool{}
	for page := 1; ; page++ {
		found, err := n.try(ctx, http.MethodGet, fmt.Sprintf("collections/lasting/records?perPage=500&page=%d", page), "", nil)
		if err != nil {
			return nil, err
		}
		items := found["items"].([]any)
		for _, item := range items {
			i, err := number(item.(map[string]any)["title"].(string))
			if err != nil {
				return nil, err
			}
			all[i] = true
		}
		if len(items) < 500 {
			return all, nil
		}
	}
}

// enter logs in, and makes the collection if there is none.
func (n *notes) enter(ctx context.Context) error {
	const kind = "application/json"
	who, err := n.try(ctx, http.MethodPost, "collections/_superusers/auth-with-password", kind, strings.NewReader(`{"identity": "a@example.org", "password": "1234567890"}`))
	if err != nil {
		return err
	}
	n.token = who["token"].(string)
	if _, err := n.try(ctx, http.MethodGet, "collections/lasting", "", nil); err == nil {
		return nil
	}
	_, err = n.try(ctx, http.MethodPost, "collections", kind, strings.NewReader(`{"name": "lasting", "type": "base", "fields": [{"name": "title", "type": "text"}]}`))
	return err
}

func (n *notes) close() {}
