package web

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// Items a page of a list holds.
const (
	pageSize    = 100
	maxPageSize = 1000
)

// api is the REST API; openapi.json describes it.
type api struct {
	store   *store
	maxBody int64
}

func (a *api) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/v1/items", a.list)
	mux.HandleFunc("POST /api/v1/items", a.create)
	mux.HandleFunc("GET /api/v1/items/{id}", a.get)
	mux.HandleFunc("PUT /api/v1/items/{id}", a.update)
	mux.HandleFunc("DELETE /api/v1/items/{id}", a.remove)
	mux.HandleFunc("/api/v1/items", notAllowed("GET, HEAD, POST"))
	mux.HandleFunc("/api/v1/items/{id}", notAllowed("GET, HEAD, PUT, DELETE"))
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, "there is nothing at "+r.URL.Path+"; /openapi.json tells what there is")
	})
}

func notAllowed(methods string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", methods)
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		fail(w, http.StatusMethodNotAllowed, r.Method+" is not one of "+methods)
	}
}

func (a *api) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	limit := pageSize
	if s := q.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxPageSize {
			fail(w, http.StatusBadRequest, "limit must be a number from 1 to "+strconv.Itoa(maxPageSize))
			return
		}
		limit = n
	}
	items, more := a.store.list(q.Get("after"), limit)
	page := struct {
		Items []*Item `json:"items"`
		Next  string  `json:"next,omitempty"`
	}{Items: items}
	if more {
		page.Next = items[len(items)-1].ID
	}
	writeJSON(w, http.StatusOK, "application/json", page)
}

func (a *api) create(w http.ResponseWriter, r *http.Request) {
	d, ok := a.read(w, r)
	if !ok {
		return
	}
	item, err := a.store.create(d)
	if err != nil {
		fail(w, http.StatusInsufficientStorage, err.Error())
		return
	}
	w.Header().Set("Location", "/api/v1/items/"+item.ID)
	writeItem(w, http.StatusCreated, item)
}

func (a *api) get(w http.ResponseWriter, r *http.Request) {
	item := a.store.get(r.PathValue("id"))
	if item == nil {
		fail(w, http.StatusNotFound, errNone.Error())
		return
	}
	if matches(r.Header.Get("If-None-Match"), item.etag()) {
		w.Header().Set("ETag", item.etag())
		w.WriteHeader(http.StatusNotModified)
		return
	}
	writeItem(w, http.StatusOK, item)
}

func (a *api) update(w http.ResponseWriter, r *http.Request) {
	match, ok := condition(w, r)
	if !ok {
		return
	}
	d, ok := a.read(w, r)
	if !ok {
		return
	}
	item, err := a.store.update(r.PathValue("id"), d, match)
	if err != nil {
		refuse(w, err)
		return
	}
	writeItem(w, http.StatusOK, item)
}

func (a *api) remove(w http.ResponseWriter, r *http.Request) {
	match, ok := condition(w, r)
	if !ok {
		return
	}
	if err := a.store.remove(r.PathValue("id"), match); err != nil {
		refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func refuse(w http.ResponseWriter, err error) {
	status := http.StatusPreconditionFailed
	if errors.Is(err, errNone) {
		status = http.StatusNotFound
	}
	fail(w, status, err.Error())
}

// condition is If-Match, without which nothing is changed: two clients must not
// undo one another's work unseen (RFC 6585, section 3).
func condition(w http.ResponseWriter, r *http.Request) (func(*Item) bool, bool) {
	header := r.Header.Get("If-Match")
	if header == "" {
		fail(w, http.StatusPreconditionRequired, "send If-Match with the item's ETag, or * for whichever it is")
		return nil, false
	}
	return func(i *Item) bool { return matches(header, i.etag()) }, true
}

// matches tells whether a list of entity tags holds one.
func matches(header, etag string) bool {
	for tag := range strings.SplitSeq(header, ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || tag == etag {
			return true
		}
	}
	return false
}

func writeItem(w http.ResponseWriter, status int, item *Item) {
	w.Header().Set("ETag", item.etag())
	writeJSON(w, status, "application/json", item)
}

// read reads and checks a request's item.
func (a *api) read(w http.ResponseWriter, r *http.Request) (draft, bool) {
	var d draft
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		fail(w, http.StatusUnsupportedMediaType, "send application/json")
		return d, false
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, a.maxBody))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&d)
	if err == nil {
		if _, more := decoder.Token(); more != io.EOF {
			err = errors.New("there is more after the JSON object")
		}
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		fail(w, http.StatusRequestEntityTooLarge, "the request is larger than "+strconv.FormatInt(a.maxBody, 10)+" octets")
	case err != nil:
		fail(w, http.StatusBadRequest, err.Error())
	default:
		if wrong := d.check(); len(wrong) > 0 {
			fail(w, http.StatusUnprocessableEntity, "fields are wrong", wrong...)
			return d, false
		}
		return d, true
	}
	return d, false
}
