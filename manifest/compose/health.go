package compose

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/goccy/go-yaml"
)

var (
	packageMain = regexp.MustCompile(`(?m)^package main\b`)
	variable    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)
)

// health writes a health check whose command does what Pith does itself: curl and wget
// ask by HTTP, nc by TCP, dig and nslookup by DNS.
func (c *converter) health(w *writer, s types.ServiceConfig) {
	h := s.HealthCheck
	if h == nil {
		return
	}
	at := []string{"services", s.Name, "healthcheck"}
	if h.Disable || len(h.Test) > 0 && h.Test[0] == "NONE" {
		w.put("healthcheck", yaml.MapSlice{{Key: "disable", Value: true}})
		return
	}
	check, ok := probe(h.Test)
	if !ok {
		c.note(append(at, "test"), "the health check of %s is left out: no command runs inside a machine; write http, tcp, dns or udp in its place (it was %q)", s.Name, strings.Join(h.Test, " "))
		return
	}
	set := func(key string, d *types.Duration, otherwise time.Duration) {
		v := otherwise
		if d != nil {
			v = time.Duration(*d)
		}
		check = append(check, yaml.MapItem{Key: key, Value: v.String()})
	}
	set("interval", h.Interval, 30*time.Second) // compose's own, where it says nothing
	set("timeout", h.Timeout, 30*time.Second)
	if h.Retries != nil && *h.Retries > 0 {
		check = append(check, yaml.MapItem{Key: "retries", Value: *h.Retries})
	}
	if h.StartPeriod != nil {
		set("start_period", h.StartPeriod, 0)
	}
	w.put("healthcheck", check)
}

// probe is what a command asks for.
func probe(test []string) (yaml.MapSlice, bool) {
	if len(test) < 2 {
		return nil, false
	}
	words := test[1:]
	if test[0] == "CMD-SHELL" {
		text := strings.Join(words, " ")
		text, _, _ = strings.Cut(text, "||")
		if strings.ContainsAny(text, "|&;<>$`") {
			return nil, false
		}
		words = strings.Fields(strings.NewReplacer(`"`, "", "'", "").Replace(text))
	}
	if len(words) < 2 {
		return nil, false
	}
	switch name := words[0][strings.LastIndexByte(words[0], '/')+1:]; name {
	case "curl", "wget":
		for _, word := range words[1:] {
			if u, err := url.Parse(word); err == nil && u.Scheme == "http" && local(u.Hostname()) {
				return httpProbe(u)
			}
		}
	case "nc":
		last := words[len(words)-2:]
		if port, err := strconv.ParseUint(last[1], 10, 16); err == nil && port > 0 && local(last[0]) {
			return yaml.MapSlice{{Key: "tcp", Value: int(port)}}, true
		}
	case "dig", "nslookup":
		return dnsProbe(words)
	}
	return nil, false
}

func local(host string) bool {
	return host == "localhost" || host == "127.0.0.1" || host == "::1" || host == "0.0.0.0"
}

func httpProbe(u *url.URL) (yaml.MapSlice, bool) {
	port := u.Port()
	if port == "" {
		port = "80"
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return nil, false
	}
	target := u.EscapedPath()
	if target == "" {
		target = "/"
	}
	if u.RawQuery != "" {
		target += "?" + u.RawQuery
	}
	return yaml.MapSlice{{Key: "http", Value: target}, {Key: "port", Value: int(n)}}, true
}

// dnsProbe reads "dig @127.0.0.1 -p 5353 name" and "nslookup name 127.0.0.1".
func dnsProbe(words []string) (yaml.MapSlice, bool) {
	port, name, server := 53, "", false
	for i := 1; i < len(words); i++ {
		switch w := words[i]; {
		case w == "-p" && i+1 < len(words):
			if _, err := fmt.Sscanf(words[i+1], "%d", &port); err != nil {
				return nil, false
			}
			i++
		case strings.HasPrefix(w, "-port="):
			if _, err := fmt.Sscanf(w, "-port=%d", &port); err != nil {
				return nil, false
			}
		case local(strings.TrimPrefix(w, "@")):
			server = true
		case strings.HasPrefix(w, "+"), strings.HasPrefix(w, "-"):
		case name == "":
			name = w
		}
	}
	if !server || name == "" || port < 1 || port > 65535 {
		return nil, false
	}
	return yaml.MapSlice{{Key: "dns", Value: name}, {Key: "port", Value: port}}, true
}
