// Package web is a web server: a page and files, and a REST API of items in JSON
// with an OpenAPI 3.1 description of itself.
//
// It relies on net/http for HTTP/1.1 and HTTP/2 (over TLS, and without it by
// prior knowledge), and on RFC 9110 (conditional requests, ranges), RFC 9457
// (problem+json) and the Prometheus text format.
//
// It must not block a request for a log line, keep more than its configuration
// allows, or end connections that are being answered before the drain is over.
package web
