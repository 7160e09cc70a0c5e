package dns

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"sort"
	"time"

	"github.com/miekg/dns"
)

// Names knows the services of a deployment: whoever runs them fills it.
type Names interface {
	// Names returns the addresses of each service by its name, which is relative to
	// the zone of services and may have dots.
	Names(ctx context.Context) (map[string][]netip.Addr, error)
}

// source is Names from a JSON file or URL: {"web": ["10.0.0.5"], "dns": [...]}.
type source string

// Names reads the source.
func (s source) Names(ctx context.Context) (map[string][]netip.Addr, error) {
	var data []byte
	var err error
	if isURL(string(s)) {
		data, err = fetch(ctx, string(s))
	} else {
		data, err = os.ReadFile(string(s))
	}
	if err != nil {
		return nil, err
	}
	return parseNames(data)
}

func parseNames(data []byte) (map[string][]netip.Addr, error) {
	names := map[string][]netip.Addr{}
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&names); err != nil {
		return nil, fmt.Errorf("it is not {\"name\": [\"address\", ...]}: %w", err)
	}
	if d.More() {
		return nil, errors.New("there is more after the JSON object")
	}
	return names, nil
}

// servicesZone makes a zone of names. Those that are no domain names are left
// out and returned.
func servicesZone(c *ServicesConfig, names map[string][]netip.Addr, serial uint32) (*Zone, []string, error) {
	origin, ttl := dns.Fqdn(c.Zone), uint32(c.TTL)
	server := "localhost."
	if len(names["dns"]) > 0 {
		server = "dns." + origin
	}
	head := func(name string, kind uint16) dns.RR_Header {
		return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: ttl}
	}
	records := []dns.RR{
		&dns.SOA{Hdr: head(origin, dns.TypeSOA), Ns: server, Mbox: "hostmaster." + origin, Serial: serial, Refresh: 60, Retry: 60, Expire: 3600, Minttl: ttl},
		&dns.NS{Hdr: head(origin, dns.TypeNS), Ns: server},
	}
	var bad []string
	for name, addrs := range names {
		full := name + "." + origin
		if _, err := wire(full); err != nil || name == "" {
			bad = append(bad, name)
			continue
		}
		for _, a := range addrs {
			if a = a.Unmap(); a.Is4() {
				records = append(records, &dns.A{Hdr: head(full, dns.TypeA), A: a.AsSlice()})
			} else if a.Is6() {
				records = append(records, &dns.AAAA{Hdr: head(full, dns.TypeAAAA), AAAA: a.AsSlice()})
			}
		}
	}
	sort.Strings(bad)
	zone, err := newZone(origin, records)
	return zone, bad, err
}

// pollServices looks at the names and publishes what changed.
func (s *Server) pollServices(ctx context.Context) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	if s.refreshServices(ctx) {
		s.publish()
	}
}

// refreshServices reads the names; s.reloading is held. Where that fails, the
// names stay as they are, and at the start there are none.
func (s *Server) refreshServices(ctx context.Context) bool {
	c := s.config.Services
	if c == nil {
		return false
	}
	from := c.Names
	if from == nil {
		from = source(c.Source)
	}
	names, err := from.Names(ctx)
	s.reportServices(err)
	if err != nil && s.services != nil || err == nil && s.services != nil && reflect.DeepEqual(names, s.names) {
		return false
	}
	zone, bad, err := servicesZone(c, names, uint32(time.Now().Unix()))
	if err != nil {
		s.config.Log.Error("the services' names can't be used", "error", err)
		return false
	}
	if len(bad) > 0 {
		s.config.Log.Warn("these services' names are no domain names", "names", bad)
	}
	s.services, s.names = zone, names
	return true
}

// reportServices tells of a failure once, and of its end.
func (s *Server) reportServices(err error) {
	if (err != nil) == s.namesFail {
		return
	}
	s.namesFail = err != nil
	if err != nil {
		s.config.Log.Warn("the services' names can't be read; they stay as they are", "error", err)
		return
	}
	s.config.Log.Info("the services' names are read again")
}
