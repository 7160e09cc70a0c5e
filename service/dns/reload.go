package dns

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sort"
	"strings"
	"time"
)

// Reload reads all zones anew and puts them in place at once: each query is
// answered by the old ones or the new ones. Where a zone has mistakes all
// zones stay as they were, and the error is of type Mistakes and lists them.
func (s *Server) Reload(ctx context.Context) error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	zones := map[string]*Zone{}
	var mistakes Mistakes
	for _, c := range s.config.Zones {
		zone, wrong := c.read(ctx)
		mistakes = append(mistakes, wrong...)
		if zone != nil {
			zones[zone.apex] = zone
		}
	}
	if fatal := mistakes.Fatal(); len(fatal) > 0 {
		s.metrics.reloads.WithLabelValues("refused").Inc()
		return fatal
	}
	for _, m := range mistakes {
		s.config.Log.Warn("zone", "mistake", m.String())
	}
	s.zones = zones
	s.refreshServices(ctx)
	s.publish()
	s.metrics.reloads.WithLabelValues("done").Inc()
	return nil
}

// publish makes a catalog of what was read; s.reloading is held.
func (s *Server) publish() {
	c := &catalog{zones: map[string]*Zone{}}
	for apex, z := range s.zones {
		c.zones[apex] = z
	}
	if s.services != nil {
		c.zones[s.services.apex] = s.services
	}
	for _, z := range c.zones {
		c.names = append(c.names, z.Name())
	}
	sort.Strings(c.names)
	s.catalog.Store(c)
}

// read reads a zone from where its configuration says.
func (c ZoneConfig) read(ctx context.Context) (*Zone, Mistakes) {
	switch {
	case c.Text != "":
		label := "zone " + c.Name
		return readZone(c.Name, label, instead(label, []byte(c.Text)))
	case isURL(c.File):
		data, err := fetch(ctx, c.File)
		if err != nil {
			return nil, Mistakes{{File: c.File, Text: err.Error()}}
		}
		return readZone(c.Name, c.File, func(name string) ([]byte, error) {
			if name != c.File {
				return nil, errors.New("a zone that is fetched can't include files")
			}
			return data, nil
		})
	default:
		return ReadZone(c.Name, c.File)
	}
}

// instead opens files, but has the contents of one itself.
func instead(name string, data []byte) func(string) ([]byte, error) {
	return func(asked string) ([]byte, error) {
		if asked == name {
			return data, nil
		}
		return os.ReadFile(asked)
	}
}

func isURL(s string) bool { return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") }

// Bounds of what is fetched.
const (
	maxFetched = 64 << 20
	fetchTime  = 10 * time.Second
)

// fetch gets a URL's body.
func fetch(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	r, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answered %s", r.Status)
	}
	data, err := io.ReadAll(io.LimitReader(r.Body, maxFetched+1))
	if len(data) > maxFetched {
		return nil, fmt.Errorf("it is larger than %d MiB", maxFetched>>20)
	}
	return data, err
}

// watch looks at the files of zones and at the names of services until ctx ends.
func (s *Server) watch(ctx context.Context) {
	files, services := every(s.config.WatchSeconds), every(0)
	if s.config.Services != nil {
		services = every(s.config.Services.Seconds)
	}
	last := "" // the first look reads once more: files may have changed since
	for {
		select {
		case <-ctx.Done():
			return
		case <-services:
			s.pollServices(ctx)
		case <-files:
			now := s.signature()
			if now == last {
				continue
			}
			last = now
			if err := s.Reload(ctx); err != nil {
				s.config.Log.Error("the zones changed but can't be used", "error", err)
			}
		}
	}
}

// every ticks, or never for 0 seconds.
func every(seconds int) <-chan time.Time {
	if seconds == 0 {
		return nil
	}
	return time.Tick(time.Duration(seconds) * time.Second)
}

// signature changes when a zone's file does.
func (s *Server) signature() string {
	var b strings.Builder
	s.reloading.Lock()
	defer s.reloading.Unlock()
	files := map[string]bool{}
	for _, c := range s.config.Zones {
		files[c.File] = true
	}
	for _, z := range s.zones {
		for _, file := range z.files {
			files[file] = true
		}
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if info, err := os.Stat(name); err == nil {
			fmt.Fprintln(&b, name, info.Size(), info.ModTime().UnixNano())
		}
	}
	return b.String()
}
