package web

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// problem is an error for a program (RFC 9457).
type problem struct {
	Type   string    `json:"type"`
	Title  string    `json:"title"`
	Status int       `json:"status"`
	Detail string    `json:"detail,omitempty"`
	Errors []invalid `json:"errors,omitempty"`
}

// invalid is one field that is wrong.
type invalid struct {
	Pointer string `json:"pointer"` // JSON pointer, "/name"
	Detail  string `json:"detail"`
}

// fail answers with a problem.
func fail(w http.ResponseWriter, status int, detail string, errors ...invalid) {
	writeJSON(w, status, "application/problem+json", problem{"about:blank", http.StatusText(status), status, detail, errors})
}

func writeJSON(w http.ResponseWriter, status int, contentType string, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body)
}
