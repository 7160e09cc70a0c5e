package manifest

import (
	"maps"
	"path"
	"strings"
	"time"

	"pith"
)

// service reads one entry of services.
func (d *decoder) service(root *node, p pair) {
	s := newService(p.key)
	n := p.value
	d.m.spots[s.Name] = p.spot
	d.program(&s, n)
	if v := n.get("image"); v != nil {
		if n.get("build") != nil {
			d.add(v.spot, "%s has both build and image: write one of them", s.Name)
		}
		s.Image = d.source(v, v.text)
	}
	if n.get("build") == nil && n.get("image") == nil {
		d.add(p.spot, "%s has nothing to run: write build or image", s.Name)
	}
	s.Configs = d.given(&s, root, n, "configs", "/")
	s.Secrets = d.given(&s, root, n, "secrets", "/run/secrets/")
	d.needs(&s, n.get("depends_on"))
	if v := n.get("healthcheck"); v != nil {
		s.Health = d.health(v)
		d.mark(v, s.Name, "health")
	}
	d.deploy(&s, n)
	d.m.Services = append(d.m.Services, s)
}

// deploy reads compose's part for clusters. What stands outside of it wins.
func (d *decoder) deploy(s *pith.Service, n *node) {
	v := n.get("deploy")
	replicas := v.get("replicas")
	if own := n.get("replicas"); own != nil {
		replicas = own
	}
	s.Replicas = number(replicas, s.Replicas)
	limits := v.get("resources").get("limits")
	if m := limits.get("memory"); m != nil && s.Memory == 0 {
		s.Memory = byteCount(m)
	}
	if n.get("cpus") == nil {
		s.CPUs = number(limits.get("cpus"), s.CPUs)
	}
	policy := v.get("restart_policy")
	if policy == nil || n.get("restart") != nil {
		return
	}
	s.Restart = pith.RestartPolicy{When: pith.RestartAlways} // compose's default here
	if c := policy.get("condition"); c != nil {
		s.Restart.When = map[string]pith.RestartWhen{
			"none": pith.RestartNo, "on-failure": pith.RestartOnFailure, "any": pith.RestartAlways,
		}[c.text]
	}
	s.Restart.Max = number(policy.get("max_attempts"), 0)
}

// given reads configs or secrets: names of the top level's, or files.
func (d *decoder) given(s *pith.Service, root, n *node, key, folder string) []pith.Given {
	var files []pith.Given
	for _, v := range items(n.get(key)) {
		from, to := v.text, ""
		var g pith.Given
		if v.form == mapping {
			if v.get("source") == nil {
				d.add(v.spot, "an entry of %s needs a source", key)
				continue
			}
			from = v.get("source").text
			if t := v.get("target"); t != nil {
				to = t.text
			}
			if m := v.get("mode"); m != nil {
				g.Mode, _ = parseMode(m.text) // checked by the table
			}
		} else {
			from, to, _ = strings.Cut(v.text, ":")
		}
		if to == "" {
			to = folder + path.Base(from)
		} else if !path.IsAbs(to) {
			d.add(v.spot, "%q is no path in the machine: it begins with /", to)
		}
		g.Target = path.Clean(to)
		d.mark(v, s.Name, key, len(files))
		if strings.Contains(from, "/") {
			g.Source = d.source(v, from)
		} else if !d.origin(&g, root, v, key, from) {
			continue
		}
		files = append(files, g)
	}
	return files
}

// origin finds where the file called name under the top level's configs or secrets
// comes from.
func (d *decoder) origin(g *pith.Given, root, at *node, key, name string) bool {
	entry := root.get(key).get(name)
	if entry == nil {
		d.add(at.spot, "there is no %q under %s%s", name, key, meant(name, keysOf(root.get(key))))
		return false
	}
	if len(entry.pairs) != 1 {
		d.add(entry.spot, "%s comes from one place: write one of %s", name, strings.Join(originsOf(key).names(), ", "))
		return false
	}
	g.Name = name
	switch v := entry.pairs[0].value; entry.pairs[0].key {
	case "file":
		g.Source = d.source(v, v.text)
	case "environment":
		g.Variable = v.text
	case "content":
		g.Content = v.text
	}
	return true
}

func keysOf(n *node) (names []string) {
	for _, p := range pairs(n) {
		names = append(names, p.key)
	}
	return names
}

// meant proposes the nearest of the names that there are.
func meant(name string, names []string) string {
	best, distance := "", len(name)/2+1
	for _, n := range names {
		if d := editDistance(name, n); d < distance {
			best, distance = n, d
		}
	}
	switch {
	case best != "":
		return ": do you mean " + best + "?"
	case len(names) == 0:
		return ": it names none"
	}
	return ": there are " + strings.Join(names, ", ")
}

func (d *decoder) needs(s *pith.Service, n *node) {
	if n == nil {
		return
	}
	for i, v := range n.items {
		s.Needs = append(s.Needs, pith.Dependency{Service: v.text, Condition: pith.Started})
		d.mark(v, s.Name, "need", i)
	}
	for i, p := range n.pairs {
		c := pith.Started
		if v := p.value.get("condition"); v != nil {
			c = pith.Condition(v.text)
		}
		s.Needs = append(s.Needs, pith.Dependency{Service: p.key, Condition: c})
		d.mark(&node{spot: p.spot}, s.Name, "need", i)
	}
}

// health reads a health check with compose's times, but for shorter intervals:
// a machine is there within a second.
func (d *decoder) health(n *node) *pith.HealthCheck {
	if v := n.get("disable"); v != nil && v.text == "true" {
		return nil
	}
	h := &pith.HealthCheck{
		Interval: span(n.get("interval"), 10*time.Second),
		Timeout:  span(n.get("timeout"), 3*time.Second),
		Start:    span(n.get("start_period"), 0),
		Retries:  number(n.get("retries"), 3),
	}
	usual := map[pith.ProbeKind]int{pith.ProbeHTTP: 80, pith.ProbeDNS: 53, pith.ProbeTCP: 0, pith.ProbeUDP: 0}
	found := 0
	for kind := range maps.Keys(usual) {
		v := n.get(string(kind))
		if v == nil {
			continue
		}
		found++
		h.Kind = kind
		switch kind {
		case pith.ProbeHTTP:
			h.Path = v.text
		case pith.ProbeDNS:
			h.Query = v.text
		default:
			h.Port = uint16(number(v, 0))
			continue
		}
		h.Port = uint16(number(n.get("port"), usual[kind]))
	}
	if found != 1 {
		d.add(n.spot, "a health check asks in one way: write http, tcp, dns or udp")
		return nil
	}
	if n.get("port") != nil && (h.Kind == pith.ProbeTCP || h.Kind == pith.ProbeUDP) {
		d.add(n.get("port").spot, "the port of a %s check stands behind %s", h.Kind, h.Kind)
	}
	if h.Timeout == 0 || h.Interval == 0 {
		d.add(n.spot, "interval and timeout of a health check are longer than 0s")
	}
	return h
}

func span(n *node, otherwise time.Duration) time.Duration {
	if n == nil {
		return otherwise
	}
	d, err := time.ParseDuration(n.text)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return d
}
