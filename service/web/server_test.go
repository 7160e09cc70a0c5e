package web

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// patience bounds what a test waits for, many times what it needs.
const patience = 60 * time.Second

// start serves on free ports of loopback; the returned function ends it.
func start(t testing.TB, s *Server) (stop func() error) {
	t.Helper()
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-done
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return stop
}

func client(p func(*http.Protocols)) *http.Client {
	protocols := new(http.Protocols)
	p(protocols)
	return &http.Client{Timeout: patience, Transport: &http.Transport{
		Protocols: protocols, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableCompression: true,
	}}
}

func fetch(t testing.TB, c *http.Client, url string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

func TestProtocols(t *testing.T) {
	s := site(t, func(c *Config) { c.ListenTLS = "127.0.0.1:0" })
	start(t, s)
	plain, secure := "http://"+s.Addr("http").String(), "https://"+s.Addr("https").String()
	for _, c := range []struct {
		url   string
		set   func(*http.Protocols)
		proto string
	}{
		{plain, func(p *http.Protocols) { p.SetHTTP1(true) }, "HTTP/1.1"},
		{plain, func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }, "HTTP/2.0"},
		{secure, func(p *http.Protocols) { p.SetHTTP1(true) }, "HTTP/1.1"},
		{secure, func(p *http.Protocols) { p.SetHTTP2(true) }, "HTTP/2.0"},
	} {
		r, body := fetch(t, client(c.set), c.url+"/")
		if r.Proto != c.proto || r.StatusCode != 200 || !strings.Contains(body, "It works") {
			t.Errorf("%s: %s %s", c.url, r.Proto, r.Status)
		}
	}
	if r, body := fetch(t, http.DefaultClient, plain+"/readyz"); r.StatusCode != 200 {
		t.Errorf("readyz: %s", body)
	}
	if _, body := fetch(t, http.DefaultClient, plain+"/metrics"); !strings.Contains(body, `http_requests_total{code="2xx"} 5`) {
		t.Errorf("metrics:\n%s", body)
	}
}

func TestFiles(t *testing.T) {
	s := site(t, func(c *Config) {
		c.Files = fstest.MapFS{"a.txt": {Data: []byte("0123456789")}, "sub/index.html": {Data: []byte("<p>sub")}}
	})
	ask := func(path string, header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", path, nil)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		return w
	}
	etag := ask("/a.txt").Header().Get("ETag")
	for _, c := range []struct {
		path   string
		header []string
		status int
		body   string
	}{
		{"/a.txt", nil, 200, "0123456789"},
		{"/a.txt", []string{"If-None-Match", etag}, 304, ""},
		{"/a.txt", []string{"If-Match", `"x"`}, 412, ""},
		{"/a.txt", []string{"Range", "bytes=2-4"}, 206, "234"},
		{"/a.txt", []string{"Range", "bytes=-2"}, 206, "89"},
		{"/a.txt", []string{"Range", "bytes=2-4", "If-Range", etag}, 206, "234"},
		{"/a.txt", []string{"Range", "bytes=2-4", "If-Range", `"x"`}, 200, "0123456789"},
		{"/a.txt", []string{"Range", "bytes=20-"}, 416, "invalid range: failed to overlap\n"},
		{"/sub/", nil, 200, "<p>sub"},
		{"/", nil, 404, "there is no such page\n"},
		{"/openapi.json", []string{"If-None-Match", "*"}, 304, ""},
	} {
		if w := ask(c.path, c.header...); w.Code != c.status || w.Body.String() != c.body {
			t.Errorf("%s %v: %d %q, want %d %q", c.path, c.header, w.Code, w.Body, c.status, c.body)
		}
	}
}

// TestFolderHasWalls: a link does not lead out of the folder.
func TestFolderHasWalls(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	root := filepath.Join(dir, "root")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(root, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	s := site(t, func(c *Config) { c.Root = root })
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/link", nil))
	if w.Code == 200 || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestSlowClients: who doesn't send a header loses the connection.
func TestSlowClients(t *testing.T) {
	s := site(t, func(c *Config) { c.HeaderSeconds = 1 })
	start(t, s)
	conn, err := net.Dial("tcp", s.Addr("http").String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost:")
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.ReadAll(conn); err != nil {
		t.Errorf("the connection is kept: %v", err)
	}
}

// TestConnectionsAreBounded: one more waits until another ends.
func TestConnectionsAreBounded(t *testing.T) {
	s := site(t, func(c *Config) { c.MaxConnections = 2 })
	start(t, s)
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", s.Addr("http").String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		return conn
	}
	first, _ := dial(), dial()
	third := dial()
	third.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if _, err := third.Read(make([]byte, 1)); err == nil {
		t.Fatal("a third connection is served")
	}
	first.Close()
	third.SetReadDeadline(time.Now().Add(patience))
	if line, err := bufio.NewReader(third).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Errorf("%q %v", line, err)
	}
}

// stuck never returns from Write until it is freed.
type stuck struct{ free chan struct{} }

func (s stuck) Write(b []byte) (int, error) { <-s.free; return len(b), nil }

// TestLogNeverBlocks: the log's writer hangs, requests go on, lines are counted.
func TestLogNeverBlocks(t *testing.T) {
	out := stuck{make(chan struct{})}
	s := site(t, func(c *Config) { c.AccessLog = true })
	s.observer.log = slog.New(slog.NewJSONHandler(out, nil))
	start(t, s)
	t.Cleanup(func() { close(out.free) })
	for range queueLength + 100 {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	}
	if _, body := fetch(t, http.DefaultClient, "http://"+s.Addr("http").String()+"/metrics"); !strings.Contains(body, "http_log_dropped_total ") || strings.Contains(body, "http_log_dropped_total 0\n") {
		t.Error("no line was dropped")
	}
}

// TestDrain: a request that has begun is answered after the end was asked for.
func TestDrain(t *testing.T) {
	s := site(t, nil)
	stop := start(t, s)
	conn, err := net.Dial("tcp", s.Addr("http").String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := `{"name":"late"}`
	fmt.Fprintf(conn, "POST /api/v1/items HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", len(body))
	r := bufio.NewReader(conn)
	conn.SetDeadline(time.Now().Add(patience))
	if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, "100") {
		t.Fatalf("%q %v", line, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	for s.ready.Load() {
		time.Sleep(time.Millisecond)
	}
	fmt.Fprint(conn, body)
	r.ReadString('\n')
	if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, "201") {
		t.Errorf("%q %v", line, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// writePair writes a new self-made certificate and its key.
func writePair(t *testing.T, cert, key string) {
	t.Helper()
	c := certificate{config: &Config{Hosts: []string{"localhost"}}}
	if err := c.make(time.Now()); err != nil {
		t.Fatal(err)
	}
	pair := c.current.Load()
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCertificateReload(t *testing.T) {
	cert, key := filepath.Join(t.TempDir(), "c"), filepath.Join(t.TempDir(), "k")
	writePair(t, cert, key)
	s := site(t, func(c *Config) { c.Listen, c.ListenTLS, c.Certificate, c.Key = "-", "127.0.0.1:0", cert, key })
	start(t, s)
	shown := func() []byte {
		conn, err := tls.Dial("tcp", s.Addr("https").String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].Raw
	}
	first := shown()
	writePair(t, cert, key)
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	second := shown()
	if bytes.Equal(first, second) {
		t.Error("the old certificate is shown on")
	}
	if err := os.WriteFile(cert, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); err == nil || !strings.Contains(err.Error(), cert) {
		t.Errorf("a broken certificate: %v", err)
	}
	if !bytes.Equal(second, shown()) {
		t.Error("a broken certificate replaces a good one")
	}
}

func TestConfigMistakes(t *testing.T) {
	_, err := New(Config{Listen: "x", ListenTLS: "y:z", Certificate: "c", Root: "/no/such", MaxBody: -1})
	if err == nil {
		t.Fatal("it starts")
	}
	for _, want := range []string{`listen: "x"`, `listenTLS: "y:z"`, "certificate: it needs a key", "root: /no/such", "maxBody: -1"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not told:\n%v", want, err)
		}
	}
}

// discard is an http.ResponseWriter that costs nothing.
type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// TestPageAllocates: the page's path leaves next to nothing to collect.
func TestPageAllocates(t *testing.T) {
	s := site(t, nil)
	r, w := httptest.NewRequest("GET", "/", nil), discard{http.Header{}}
	if n := testing.AllocsPerRun(100, func() { s.Handler().ServeHTTP(w, r) }); n > 2 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPage(b *testing.B) {
	s := site(b, nil)
	r, w := httptest.NewRequest("GET", "/", nil), discard{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		s.Handler().ServeHTTP(w, r)
	}
}

// FuzzItem: whatever is posted, the answer is one of those described.
func FuzzItem(f *testing.F) {
	f.Add(`{"name":"a","tags":["b"]}`)
	f.Add(`{"name":null}`)
	f.Add("{\"name\":\"\xff\"}")
	s := site(f, func(c *Config) { c.MaxItems = 1 })
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest("POST", "/api/v1/items", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		switch w.Code {
		case 201, 400, 413, 422, 507:
		default:
			t.Errorf("%q: %d", body, w.Code)
		}
	})
}
