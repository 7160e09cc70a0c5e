package dns

import (
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// Config is what a server is told. The zero value of a field means its default.
type Config struct {
	// Listen are the addresses for UDP and TCP; ":53" by default. On a host with
	// several addresses name each, because answers leave from the socket's.
	Listen []string `json:"listen,omitempty"`
	// Admin is the address of /metrics, /healthz, /readyz and /reload; "": none.
	Admin string       `json:"admin,omitempty"`
	Zones []ZoneConfig `json:"zones,omitempty"`
	// Transfer are the networks that may fetch whole zones; none by default.
	Transfer []netip.Prefix  `json:"transfer,omitempty"`
	Services *ServicesConfig `json:"services,omitempty"`
	Forward  *ForwardConfig  `json:"forward,omitempty"`
	// RateLimit is the number of equal answers a second that a network of 24 (IPv6:
	// 56) bits gets over UDP without a cookie; 0: no limit.
	RateLimit int `json:"rateLimit,omitempty"`
	// Slip: every so many'th answer over the limit is sent truncated, so that who is
	// real can come by TCP; 2 by default, -1 for none.
	Slip int `json:"slip,omitempty"`
	// CookieSecret is 32 hexadecimal digits that servers of one address share; made
	// up at the start by default.
	CookieSecret string `json:"cookieSecret,omitempty"`
	// UDPSize is the largest answer over UDP, 512 to 4096 octets; 1232 by default.
	UDPSize int `json:"udpSize,omitempty"`
	// Connections bounds the TCP connections; 1000 by default.
	Connections int `json:"connections,omitempty"`
	// ClientConnections bounds those of one address; a tenth of all by default.
	ClientConnections int `json:"clientConnections,omitempty"`
	// IdleSeconds is how long a TCP connection may be silent; 10 by default.
	IdleSeconds int `json:"idleSeconds,omitempty"`
	// WatchSeconds is how often the zones' files are looked at; 0: never.
	WatchSeconds int `json:"watchSeconds,omitempty"`

	Log *slog.Logger `json:"-"` // slog.Default() by default
}

// ZoneConfig is one zone.
type ZoneConfig struct {
	Name string `json:"name"`           // "example.org"
	File string `json:"file,omitempty"` // a master file, or the http or https URL of one
	Text string `json:"text,omitempty"` // or the master file itself
}

// ServicesConfig names the services of the same deployment.
type ServicesConfig struct {
	Zone    string `json:"zone"`              // their zone, "internal"
	Source  string `json:"source,omitempty"`  // a JSON file, or the http or https URL of one
	TTL     int    `json:"ttl,omitempty"`     // seconds, 5 by default
	Seconds int    `json:"seconds,omitempty"` // between two looks at the source, 2 by default

	Names Names `json:"-"` // asked instead of Source, if set
}

// ForwardConfig is the caching forwarder.
type ForwardConfig struct {
	Upstreams []string       `json:"upstreams"`           // "192.0.2.1:53"; tried in turn
	Clients   []netip.Prefix `json:"clients"`             // who may use it
	Cache     int            `json:"cache,omitempty"`     // most answers kept, 10000 by default
	MixedCase bool           `json:"mixedCase,omitempty"` // random letter case in questions: 20 more bits against forgery, but not every server keeps it
}

// check fills in defaults and lists all that is wrong.
func (c *Config) check() error {
	var wrong []error
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if len(c.Listen) == 0 {
		c.Listen = []string{":53"}
	}
	for _, addr := range c.Listen {
		if err := checkAddr(addr); err != nil {
			say("listen: %w", err)
		}
	}
	seen := map[string]bool{}
	for _, z := range c.Zones {
		name, err := wire(z.Name)
		switch {
		case z.Name == "" || err != nil:
			say("zones: %q is no domain name", z.Name)
		case seen[lower(name)]:
			say("zones: %s stands there twice", z.Name)
		case (z.File == "") == (z.Text == ""):
			say("zones: %s needs either a file or a text", z.Name)
		}
		seen[lower(name)] = true
	}
	c.checkServices(say, seen)
	c.checkForward(say)
	if secret, err := hex.DecodeString(c.CookieSecret); err != nil || len(secret) != 0 && len(secret) != 16 {
		say("cookieSecret: write 32 hexadecimal digits")
	}
	number(say, "udpSize", &c.UDPSize, 1232, 512, 4096)
	number(say, "connections", &c.Connections, 1000, 1, 1<<20)
	number(say, "clientConnections", &c.ClientConnections, max(c.Connections/10, 1), 1, 1<<20)
	number(say, "idleSeconds", &c.IdleSeconds, 10, 1, 3600)
	number(say, "slip", &c.Slip, 2, -1, 100)
	number(say, "rateLimit", &c.RateLimit, 0, 0, 1<<30)
	number(say, "watchSeconds", &c.WatchSeconds, 0, 0, 86400)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return errors.Join(wrong...)
}

func (c *Config) checkServices(say func(string, ...any), seen map[string]bool) {
	s := c.Services
	if s == nil {
		return
	}
	name, err := wire(s.Zone)
	switch {
	case s.Zone == "" || err != nil:
		say("services: %q is no domain name", s.Zone)
	case seen[lower(name)]:
		say("services: the zone %s has a file too", s.Zone)
	case s.Source == "" && s.Names == nil:
		say("services: the source is missing: a file or URL of JSON")
	}
	number(say, "services: ttl", &s.TTL, 5, 1, 86400)
	number(say, "services: seconds", &s.Seconds, 2, 1, 86400)
}

func (c *Config) checkForward(say func(string, ...any)) {
	f := c.Forward
	if f == nil {
		return
	}
	if len(f.Upstreams) == 0 {
		say("forward: there is no upstream server")
	}
	for i, u := range f.Upstreams {
		if ip, err := netip.ParseAddr(u); err == nil {
			f.Upstreams[i] = netip.AddrPortFrom(ip, 53).String()
		} else if _, err := netip.ParseAddrPort(u); err != nil {
			say("forward: %q is no address", u)
		}
	}
	if len(f.Clients) == 0 {
		say("forward: no client may use it: name their networks in clients")
	}
	number(say, "forward: cache", &f.Cache, 10000, 1, 1<<24)
}

// number sets a default and checks a range.
func number(say func(string, ...any), name string, value *int, byDefault, low, high int) {
	if *value == 0 {
		*value = byDefault
	}
	if *value < low || *value > high {
		say("%s: %d is not from %d to %d", name, *value, low, high)
	}
}

func checkAddr(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is no address: write one as in 10.0.0.100:53 or :53", addr)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q has no port from 0 to 65535", addr)
	}
	return nil
}

func (c *Config) idle() time.Duration { return time.Duration(c.IdleSeconds) * time.Second }

// allowed tells whether one of the networks holds an address.
func allowed(networks []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}
