package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"
)

//go:embed page
var embedded embed.FS

//go:embed openapi.json
var description []byte

// files serves a file system with entity tags, conditions and ranges.
type files struct {
	fs   fs.FS
	mu   sync.RWMutex
	tags map[string]tag
}

// tag is the entity tag of a file as it was.
type tag struct {
	size  int64
	time  time.Time
	value string
}

// maxTagged bounds how many tags are remembered.
const maxTagged = 10000

func newFiles(f fs.FS) *files { return &files{fs: f, tags: map[string]tag{}} }

// ServeHTTP answers with a file; a folder is its index.html.
func (f *files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "a page can only be fetched", http.StatusMethodNotAllowed)
		return
	}
	name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
	if name == "" {
		name = "."
	}
	file, info, err := f.open(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		http.Error(w, "there is no such page", http.StatusNotFound)
		return
	}
	if err != nil {
		http.Error(w, "the page can't be read", http.StatusForbidden)
		return
	}
	defer file.Close()
	content, ok := file.(io.ReadSeeker)
	if !ok {
		http.Error(w, "the page can't be read", http.StatusInternalServerError)
		return
	}
	value, err := f.etag(name, info, content)
	if err != nil {
		http.Error(w, "the page can't be read", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("ETag", value)
	h.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, info.Name(), info.ModTime(), content)
}

func (f *files) open(name string) (fs.File, fs.FileInfo, error) {
	file, err := f.fs.Open(name)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err != nil || !info.IsDir() {
		return file, info, err
	}
	file.Close()
	if strings.HasSuffix(name, "index.html") {
		return nil, nil, fs.ErrNotExist
	}
	return f.open(path.Join(name, "index.html"))
}

// etag hashes a file's content, once for each version of it.
func (f *files) etag(name string, info fs.FileInfo, content io.ReadSeeker) (string, error) {
	f.mu.RLock()
	known, ok := f.tags[name]
	f.mu.RUnlock()
	if ok && known.size == info.Size() && known.time.Equal(info.ModTime()) {
		return known.value, nil
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, content); err != nil {
		return "", err
	}
	if _, err := content.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	value := `"` + hex.EncodeToString(hash.Sum(nil)[:12]) + `"`
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.tags) >= maxTagged {
		clear(f.tags)
	}
	f.tags[name] = tag{info.Size(), info.ModTime(), value}
	return value, nil
}

// fixed serves one text from memory with as little work as there can be.
type fixed struct {
	body        []byte
	etag        string
	length      []string
	contentType []string
	tag         []string
}

func newFixed(body []byte, contentType string) *fixed {
	hash := sha256.Sum256(body)
	etag := `"` + hex.EncodeToString(hash[:12]) + `"`
	return &fixed{body, etag, []string{strconv.Itoa(len(body))}, []string{contentType}, []string{etag}}
}

// ServeHTTP writes the text, or 304 where the client has it.
func (f *fixed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h["Etag"] = f.tag // the slices are shared, and never changed
	if match := r.Header.Get("If-None-Match"); match != "" && matches(match, f.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h["Content-Type"], h["Content-Length"] = f.contentType, f.length
	w.Write(f.body)
}
