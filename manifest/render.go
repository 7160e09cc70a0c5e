package manifest

import (
	"cmp"
	"fmt"
	"net/netip"

	"github.com/goccy/go-yaml"

	"pith"
	"pith/machine"
)

// writer builds a mapping in pith.yaml's own words and order.
type writer struct{ yaml.MapSlice }

// put adds a key, unless its value is the zero one.
func put[T comparable](w *writer, key string, value T) {
	var zero T
	if value != zero {
		w.MapSlice = append(w.MapSlice, yaml.MapItem{Key: key, Value: value})
	}
}

func putList[T any](w *writer, key string, list []T) {
	if len(list) > 0 {
		w.MapSlice = append(w.MapSlice, yaml.MapItem{Key: key, Value: list})
	}
}

func putMap(w *writer, key string, m writer) {
	if len(m.MapSlice) > 0 {
		w.MapSlice = append(w.MapSlice, yaml.MapItem{Key: key, Value: m.MapSlice})
	}
}

// YAML writes the manifest resolved: short notations in full, paths absolute,
// defaults filled in. Parse reads it as the same manifest.
func (m *Manifest) YAML() ([]byte, error) { return yaml.Marshal(m.resolved()) }

// JSON writes the same as JSON.
func (m *Manifest) JSON() ([]byte, error) {
	return yaml.MarshalWithOptions(m.resolved(), yaml.JSON())
}

func (m *Manifest) resolved() yaml.MapSlice {
	var w writer
	put(&w, "name", m.Name)
	if m.Single {
		m.program(&w, m.Services[0])
		return w.MapSlice
	}
	var networks, volumes, services writer
	for _, n := range m.Networks {
		putAlways(&networks, n.Name, networkEntry(n))
	}
	for _, v := range m.Volumes {
		var e writer
		put(&e, "size", mib(v.Size))
		put(&e, "path", v.Path)
		putAlways(&volumes, v.Name, e)
	}
	for _, s := range m.Services {
		var e writer
		m.program(&e, s)
		m.service(&e, s)
		putAlways(&services, s.Name, e)
	}
	putMap(&w, "networks", networks)
	putMap(&w, "volumes", volumes)
	putMap(&w, "configs", m.origins(func(s pith.Service) []pith.Given { return s.Configs }))
	putMap(&w, "secrets", m.origins(func(s pith.Service) []pith.Given { return s.Secrets }))
	putMap(&w, "services", services)
	return w.MapSlice
}

// putAlways adds an entry even where it is empty.
func putAlways(w *writer, key string, e writer) {
	if e.MapSlice == nil {
		e.MapSlice = yaml.MapSlice{}
	}
	w.MapSlice = append(w.MapSlice, yaml.MapItem{Key: key, Value: e.MapSlice})
}

func mib(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%dM", n/machine.MiB)
}

func networkEntry(n pith.Network) (e writer) {
	put(&e, "driver", string(n.Kind))
	put(&e, "bridge", n.Bridge)
	putList(&e, "subnet", texts(n.Subnet))
	putList(&e, "gateway", texts(n.Gateway))
	put(&e, "parent", n.Parent)
	put(&e, "vlan", n.VLAN)
	put(&e, "mtu", n.MTU)
	return e
}

func texts[T fmt.Stringer](list []T) []string {
	var words []string
	for _, v := range list {
		words = append(words, v.String())
	}
	return words
}

// program writes what both forms have.
func (m *Manifest) program(w *writer, s pith.Service) {
	put(w, "build", s.Build)
	put(w, "machine", string(s.Kind))
	put(w, "forward", s.Forward)
	put(w, "stack", s.Stack)
	put(w, "memory", mib(s.Memory))
	put(w, "cpus", s.CPUs)
	putList(w, "args", s.Args)
	putList(w, "env", s.Env)
	put(w, "working_dir", s.Dir)
	putList(w, "files", fileEntries(s.Files))
	var mounts []yaml.MapSlice
	for _, v := range s.Mounts {
		var e writer
		put(&e, "source", v.Volume+v.Source)
		put(&e, "target", v.Target)
		put(&e, "read_only", v.ReadOnly)
		mounts = append(mounts, e.MapSlice)
	}
	putList(w, "volumes", mounts)
	var cards writer
	for _, l := range s.Links {
		var e writer
		putList(&e, "addresses", texts(l.Addrs))
		put(&e, "mac_address", l.MAC)
		putList(&e, "gateway", texts(l.Gateway))
		putAlways(&cards, l.Network, e)
	}
	putMap(w, "networks", cards)
	var routes []string
	for _, r := range s.Routes {
		routes = append(routes, fmt.Sprintf("%s@%s", r.To, r.Via))
	}
	putList(w, "routes", routes)
	putList(w, "dns", texts(s.DNS))
	var ports []string
	for _, p := range s.Ports {
		ports = append(ports, machine.FormatPort(p))
	}
	putList(w, "ports", ports)
	put(w, "restart", restartText(s.Restart))
	if s.Override != nil {
		w.MapSlice = append(w.MapSlice, yaml.MapItem{Key: "override", Value: s.Override})
	}
}

func restartText(p pith.RestartPolicy) string {
	if p.When == pith.RestartOnFailure && p.Max > 0 {
		return fmt.Sprintf("%s:%d", p.When, p.Max)
	}
	return string(p.When)
}

func fileEntries(files []pith.File) (entries []yaml.MapSlice) {
	for _, f := range files {
		entries = append(entries, yaml.MapSlice{{Key: "source", Value: f.Source}, {Key: "target", Value: f.Target}})
	}
	return entries
}

// origins writes where the named configs or secrets come from. A secret's contents
// are never in a manifest.
func (m *Manifest) origins(of func(pith.Service) []pith.Given) (w writer) {
	seen := map[string]bool{"": true}
	for _, s := range m.Services {
		for _, g := range of(s) {
			if seen[g.Name] {
				continue
			}
			seen[g.Name] = true
			var e writer
			put(&e, "file", g.Source)
			put(&e, "environment", g.Variable)
			if e.MapSlice == nil {
				e.MapSlice = yaml.MapSlice{{Key: "content", Value: g.Content}}
			}
			putAlways(&w, g.Name, e)
		}
	}
	return w
}

func givenEntries(files []pith.Given) (entries []yaml.MapSlice) {
	for _, g := range files {
		var e writer
		put(&e, "source", cmp.Or(g.Name, g.Source))
		put(&e, "target", g.Target)
		if g.Mode != 0 {
			put(&e, "mode", fmt.Sprintf("%04o", g.Mode))
		}
		entries = append(entries, e.MapSlice)
	}
	return entries
}

// service writes what only a service has.
func (m *Manifest) service(w *writer, s pith.Service) {
	put(w, "image", s.Image)
	putList(w, "configs", givenEntries(s.Configs))
	putList(w, "secrets", givenEntries(s.Secrets))
	var needs writer
	for _, n := range s.Needs {
		var e writer
		put(&e, "condition", string(n.Condition))
		putAlways(&needs, n.Service, e)
	}
	putMap(w, "depends_on", needs)
	if h := s.Health; h != nil {
		putMap(w, "healthcheck", healthEntry(*h))
	}
	w.MapSlice = append(w.MapSlice, yaml.MapItem{Key: "replicas", Value: s.Replicas})
}

func healthEntry(h pith.HealthCheck) (e writer) {
	switch h.Kind {
	case pith.ProbeHTTP:
		put(&e, "http", h.Path)
		put(&e, "port", h.Port)
	case pith.ProbeDNS:
		put(&e, "dns", h.Query)
		put(&e, "port", h.Port)
	default:
		put(&e, string(h.Kind), h.Port)
	}
	put(&e, "interval", h.Interval.String())
	put(&e, "timeout", h.Timeout.String())
	put(&e, "retries", h.Retries)
	put(&e, "start_period", h.Start.String())
	return e
}

// Addrs returns the addresses of replica number i (from 0) on a card.
func Addrs(l pith.ServiceLink, i int) []netip.Prefix {
	var all []netip.Prefix
	for _, p := range l.Addrs {
		a := p.Addr()
		for range i {
			a = a.Next()
		}
		all = append(all, netip.PrefixFrom(a, p.Bits()))
	}
	return all
}
