package web

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// site is a server for tests.
func site(t testing.TB, change func(*Config)) *Server {
	t.Helper()
	c := Config{Listen: "127.0.0.1:0", Log: slog.New(slog.NewTextHandler(io.Discard, nil)), MaxItems: 50, MaxBody: 20000}
	if change != nil {
		change(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// checked asks the handler and checks question and answer against the description.
type checked struct {
	t       *testing.T
	handler http.Handler
	router  routers.Router
}

func newChecked(t *testing.T, s *Server) *checked {
	t.Helper()
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/openapi.json", nil))
	doc, err := openapi3.NewLoader().LoadFromData(w.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") {
		t.Errorf("the description is of version %s", doc.OpenAPI)
	}
	if err := doc.Validate(context.Background()); err != nil {
		t.Fatalf("the description is wrong: %v", err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &checked{t, s.Handler(), router}
}

// ask sends a request; header holds names and values in turn.
func (c *checked) ask(status int, method, path, body string, header ...string) *httptest.ResponseRecorder {
	c.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	c.handler.ServeHTTP(w, r.Clone(context.Background()))
	if w.Code != status {
		c.t.Errorf("%s %s: %d, want %d: %s", method, path, w.Code, status, w.Body)
	}
	c.checkAnswer(r, w)
	return w
}

func (c *checked) checkAnswer(r *http.Request, w *httptest.ResponseRecorder) {
	c.t.Helper()
	route, params, err := c.router.FindRoute(r)
	if err != nil {
		c.t.Errorf("%s %s is not described: %v", r.Method, r.URL.Path, err)
		return
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route},
		Status:                 w.Code, Header: w.Header(), Body: io.NopCloser(bytes.NewReader(w.Body.Bytes())),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	if err := openapi3filter.ValidateResponse(context.Background(), input); err != nil {
		c.t.Errorf("%s %s: the answer is not as described: %v", r.Method, r.URL.Path, err)
	}
}

func TestItems(t *testing.T) {
	c := newChecked(t, site(t, nil))
	c.ask(200, "GET", "/api/v1/items", "")
	w := c.ask(201, "POST", "/api/v1/items", `{"name":"one","text":"first","tags":["a","b"]}`)
	where, etag := w.Header().Get("Location"), w.Header().Get("ETag")
	if got := c.ask(200, "GET", where, ""); got.Header().Get("ETag") != etag || !strings.Contains(got.Body.String(), `"text":"first"`) {
		t.Errorf("%v %s", got.Header(), got.Body)
	}
	c.ask(304, "GET", where, "", "If-None-Match", `"x", `+etag)
	c.ask(428, "PUT", where, `{"name":"two"}`)
	c.ask(412, "PUT", where, `{"name":"two"}`, "If-Match", `"old"`)
	changed := c.ask(200, "PUT", where, `{"name":"two"}`, "If-Match", etag).Header().Get("ETag")
	c.ask(412, "PUT", where, `{"name":"three"}`, "If-Match", etag)
	c.ask(412, "DELETE", where, "", "If-Match", etag)
	c.ask(428, "DELETE", where, "")
	c.ask(204, "DELETE", where, "", "If-Match", changed)
	c.ask(404, "DELETE", where, "", "If-Match", "*")
	c.ask(404, "PUT", where, `{"name":"two"}`, "If-Match", "*")
	c.ask(404, "GET", where, "")
	c.ask(200, "GET", "/healthz", "")
	c.ask(503, "GET", "/readyz", "")
}

func TestBadItems(t *testing.T) {
	c := newChecked(t, site(t, nil))
	long := strings.Repeat("x", 101)
	for body, status := range map[string]int{
		`{"name":""}`: 422, `{}`: 422, `{"name":"` + long + `"}`: 422, `{"name":"a","tags":[""]}`: 422,
		`{"name":"a","text":"` + strings.Repeat("é", 10001) + `"}`: 413, // 20,002 octets
		`{"name":"a","text":"` + strings.Repeat("x", 10001) + `"}`: 422,
		`{"name":1}`: 400, `{`: 400, `{"name":"a"} {}`: 400, `{"name":"a","more":1}`: 400, `[]`: 400,
	} {
		c.ask(status, "POST", "/api/v1/items", body)
	}
	c.ask(415, "POST", "/api/v1/items", `{"name":"a"}`, "Content-Type", "text/plain")
	c.ask(400, "GET", "/api/v1/items?limit=0", "")
	w := c.ask(422, "POST", "/api/v1/items", `{"name":"","tags":[""]}`)
	var p problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || len(p.Errors) != 2 || p.Errors[0].Pointer != "/name" {
		t.Errorf("%s", w.Body)
	}
	for range 50 {
		c.ask(201, "POST", "/api/v1/items", `{"name":"a"}`)
	}
	c.ask(507, "POST", "/api/v1/items", `{"name":"a"}`)
}

func TestPages(t *testing.T) {
	c := newChecked(t, site(t, nil))
	for range 25 {
		c.ask(201, "POST", "/api/v1/items", `{"name":"a"}`)
	}
	seen, after := 0, ""
	for range 10 {
		w := c.ask(200, "GET", "/api/v1/items?limit=7&after="+after, "")
		var page struct {
			Items []Item
			Next  string
		}
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil {
			t.Fatal(err)
		}
		seen += len(page.Items)
		if after = page.Next; after == "" {
			break
		}
	}
	if seen != 25 {
		t.Errorf("%d items in all pages", seen)
	}
}

func TestMethodsAndPaths(t *testing.T) {
	s := site(t, nil)
	for _, c := range []struct {
		method, path string
		status       int
	}{{"PATCH", "/api/v1/items", 405}, {"POST", "/api/v1/items/1", 405}, {"OPTIONS", "/api/v1/items", 204}, {"GET", "/api/v2", 404}, {"GET", "/no/such", 404}, {"HEAD", "/", 200}, {"GET", "/../../etc/passwd", 301}} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(c.method, "http://x"+c.path, nil)
		s.Handler().ServeHTTP(w, r)
		if w.Code != c.status && !(c.status == 301 && w.Code/100 == 3) {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, w.Code, c.status)
		}
		if c.status == 405 && w.Header().Get("Allow") == "" {
			t.Errorf("%s %s: no Allow", c.method, c.path)
		}
	}
}

// TestOneOfManyWins: of writers with the same ETag exactly one gets through.
func TestOneOfManyWins(t *testing.T) {
	s := site(t, nil)
	c := newChecked(t, s)
	w := c.ask(201, "POST", "/api/v1/items", `{"name":"a"}`)
	var work sync.WaitGroup
	codes := make(chan int, 32)
	for range 32 {
		work.Go(func() {
			r := httptest.NewRequest("PUT", w.Header().Get("Location"), strings.NewReader(`{"name":"b"}`))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("If-Match", w.Header().Get("ETag"))
			answer := httptest.NewRecorder()
			s.Handler().ServeHTTP(answer, r)
			codes <- answer.Code
		})
	}
	work.Wait()
	close(codes)
	won := 0
	for code := range codes {
		if code == 200 {
			won++
		}
	}
	if won != 1 {
		t.Errorf("%d writers got through", won)
	}
}
