package programs

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
)

const caddyfile = `{
	admin off
	skip_install_trust
}
http://:80 {
	root * /srv
	file_server
}
https://localhost {
	tls internal
	root * /srv
	file_server
	encode gzip
}
`

// TestCaddy: files, HTTPS by its internal CA, HTTP/2 and HTTP/3.
func TestCaddy(t *testing.T) {
	image := build(t, "github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.9")
	dir := t.TempDir()
	config := write(t, dir, "Caddyfile", caddyfile)
	big := strings.Repeat("0123456789abcdef", 1<<16)
	write(t, dir, "srv/index.html", "<h1>hello from caddy</h1>\n")
	write(t, dir, "srv/big.txt", big)
	plain, publishPlain := port(t, "80")
	secure, publishSecure := port(t, "443")
	s := serve(t, "-m", "256", "-e", "HOME=/root", "-p", publishPlain, "-p", publishSecure, "-p", publishSecure+"/udp",
		"--file", config+":/etc/Caddyfile", "--file", dir+"/srv:/srv", image, "--", "run", "--config", "/etc/Caddyfile")

	_, number, _ := net.SplitHostPort(secure)
	insecure := &tls.Config{InsecureSkipVerify: true}
	quic := &http3.Transport{TLSClientConfig: insecure}
	defer quic.Close()
	for _, client := range []struct {
		name, url, protocol string
		transport           http.RoundTripper
	}{
		{"HTTP", "http://" + plain, "HTTP/1.1", &http.Transport{}},
		{"HTTPS", "https://localhost:" + number, "HTTP/1.1", &http.Transport{TLSClientConfig: insecure, TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}}},
		{"HTTP/2", "https://localhost:" + number, "HTTP/2.0", &http.Transport{TLSClientConfig: insecure, ForceAttemptHTTP2: true}},
		{"HTTP/3", "https://localhost:" + number, "HTTP/3.0", quic},
	} {
		t.Run(client.name, func(t *testing.T) {
			c := &http.Client{Transport: client.transport, Timeout: 20 * time.Second}
			var text string
			s.eventually("a page", func() (err error) {
				text, err = fetch(c, client.url+"/", client.protocol)
				return err
			})
			if text != "<h1>hello from caddy</h1>\n" {
				t.Errorf("got %q", text)
			}
			if text, err := fetch(c, client.url+"/big.txt", client.protocol); err != nil || text != big {
				t.Errorf("a large file: %v, %d bytes, want %d", err, len(text), len(big))
			}
		})
	}
}

// fetch gets a page by a protocol, "HTTP/2.0" and its like.
func fetch(c *http.Client, url, protocol string) (string, error) {
	r, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	if r.Proto != protocol || r.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s by %s, want %s", r.Status, r.Proto, protocol)
	}
	text, err := io.ReadAll(r.Body)
	return string(text), err
}
