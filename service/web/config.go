package web

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strconv"
)

// Config is what a server is told. The zero value of a field means its default.
type Config struct {
	Listen    string `json:"listen,omitempty"`    // HTTP; ":80" by default, "-" for none
	ListenTLS string `json:"listenTLS,omitempty"` // HTTPS; none by default
	Admin     string `json:"admin,omitempty"`     // health and metrics at an address of their own; by default where the page is

	Certificate string   `json:"certificate,omitempty"` // PEM file; self-made without it
	Key         string   `json:"key,omitempty"`         // PEM file
	Hosts       []string `json:"hosts,omitempty"`       // names and addresses in a self-made certificate; localhost by default

	Root string `json:"root,omitempty"` // folder of files; a page of our own by default

	MaxItems       int  `json:"maxItems,omitempty"`       // items that are kept; 10000 by default
	MaxBody        int  `json:"maxBody,omitempty"`        // octets of a request; 1 MiB by default
	MaxConnections int  `json:"maxConnections,omitempty"` // of each address; 10000 by default
	HeaderSeconds  int  `json:"headerSeconds,omitempty"`  // for a request's header; 5 by default
	ReadSeconds    int  `json:"readSeconds,omitempty"`    // for a whole request; 30 by default
	WriteSeconds   int  `json:"writeSeconds,omitempty"`   // for an answer; 60 by default
	IdleSeconds    int  `json:"idleSeconds,omitempty"`    // between two requests; 120 by default
	LeadSeconds    int  `json:"leadSeconds,omitempty"`    // not ready but still serving, before the drain; 0 by default
	DrainSeconds   int  `json:"drainSeconds,omitempty"`   // for requests under way at the end; 20 by default
	AccessLog      bool `json:"accessLog,omitempty"`      // a line for each request

	Files fs.FS        `json:"-"` // instead of Root
	Log   *slog.Logger `json:"-"` // slog.Default() by default
}

// check fills in defaults and lists all that is wrong.
func (c *Config) check() error {
	var wrong []error
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if c.Listen == "" {
		c.Listen = ":80"
	}
	if c.Listen == "-" && c.ListenTLS == "" {
		say("listen: there is neither an address for HTTP nor one for HTTPS")
	}
	for name, addr := range map[string]string{"listen": c.Listen, "listenTLS": c.ListenTLS, "admin": c.Admin} {
		if addr == "" || addr == "-" {
			continue
		}
		if _, port, err := net.SplitHostPort(addr); err != nil || !isPort(port) {
			say("%s: %q is no address: write one as in 10.0.0.5:80 or :80", name, addr)
		}
	}
	if (c.Certificate == "") != (c.Key == "") {
		say("certificate: it needs a key, and a key needs a certificate")
	}
	if len(c.Hosts) == 0 {
		c.Hosts = []string{"localhost", "127.0.0.1", "::1"}
	}
	c.checkRoot(say)
	c.checkNumbers(say)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return errors.Join(wrong...)
}

func (c *Config) checkRoot(say func(string, ...any)) {
	if c.Root == "" || c.Files != nil {
		return
	}
	info, err := os.Stat(c.Root)
	if err != nil || !info.IsDir() {
		say("root: %s is no folder", c.Root)
		return
	}
	root, err := os.OpenRoot(c.Root) // links can't lead out of it
	if err != nil {
		say("root: %w", err)
		return
	}
	c.Files = root.FS()
}

func (c *Config) checkNumbers(say func(string, ...any)) {
	for _, n := range []struct {
		name                 string
		value                *int
		byDefault, low, high int
	}{
		{"maxItems", &c.MaxItems, 10000, 1, 1 << 24},
		{"maxBody", &c.MaxBody, 1 << 20, 1, 1 << 30},
		{"maxConnections", &c.MaxConnections, 10000, 1, 1 << 20},
		{"headerSeconds", &c.HeaderSeconds, 5, 1, 3600},
		{"readSeconds", &c.ReadSeconds, 30, 1, 86400},
		{"writeSeconds", &c.WriteSeconds, 60, 1, 86400},
		{"idleSeconds", &c.IdleSeconds, 120, 1, 86400},
		{"leadSeconds", &c.LeadSeconds, 0, 0, 3600},
		{"drainSeconds", &c.DrainSeconds, 20, 1, 3600},
	} {
		if *n.value == 0 {
			*n.value = n.byDefault
		}
		if *n.value < n.low || *n.value > n.high {
			say("%s: %d is not from %d to %d", n.name, *n.value, n.low, n.high)
		}
	}
}

func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}
