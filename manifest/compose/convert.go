package compose

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/goccy/go-yaml"

	"pith"
)

// converter makes the pith.yaml.
type converter struct {
	Options
	sources
	project *types.Project
	dir     string // of the files, absolute
	notes   []Note
	left    map[string]bool // services that are left out
}

// note adds a note at a path's place.
func (c *converter) note(path []string, format string, args ...any) {
	n, _ := c.at(path...)
	n.Text = fmt.Sprintf(format, args...)
	c.notes = append(c.notes, n)
}

// unsupported notes an attribute that has no counterpart.
func (c *converter) unsupported(path []string) {
	last := path[len(path)-1]
	if last == "[]" && len(path) > 1 {
		last = path[len(path)-2]
	}
	why := reasons[last]
	if why == "" {
		why = "pith.yaml has no word for it"
	}
	c.note(path, "%s is left out: %s", strings.ReplaceAll(strings.Join(path, "."), ".[]", ""), why)
}

// writer builds a mapping in order.
type writer struct{ yaml.MapSlice }

func (w *writer) put(key string, value any) {
	w.MapSlice = append(w.MapSlice, yaml.MapItem{Key: key, Value: value})
}

// putSome adds a mapping or list that is not empty.
func putSome[L ~[]T, T any](w *writer, key string, list L) {
	if len(list) > 0 {
		w.put(key, list)
	}
}

// names in a pith.yaml are of lower-case letters, digits and a few signs.
var (
	notLabel = regexp.MustCompile(`[^a-z0-9-]+`)
	notName  = regexp.MustCompile(`[^a-z0-9_.-]+`)
)

func label(name string) string {
	return strings.Trim(notLabel.ReplaceAllString(strings.ToLower(name), "-"), "-")
}

func plain(name string) string {
	return strings.Trim(notName.ReplaceAllString(strings.ToLower(name), "-"), "-_.")
}

func sortedKeys[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

// convert writes the whole file.
func (c *converter) convert() ([]byte, error) {
	var w, services writer
	if name := label(c.project.Name); name != "" {
		w.put("name", name)
	}
	taken := c.services(&services)
	if len(services.MapSlice) == 0 {
		return nil, pith.Errorf("none of the services is a Go program that Pith could build%s", c.because())
	}
	c.disabled()
	c.networks(&w, taken)
	c.volumes(&w, taken)
	c.origins(&w, "configs", taken, c.project.Configs)
	secrets := types.Configs{}
	for name, s := range c.project.Secrets {
		secrets[name] = types.ConfigObjConfig(s)
	}
	c.origins(&w, "secrets", taken, secrets)
	w.put("services", services.MapSlice)
	return yaml.MarshalWithOptions(w.MapSlice, yaml.UseSingleQuote(false), yaml.IndentSequence(true))
}

// because are the notes, for an error.
func (c *converter) because() (text string) {
	for _, n := range c.sorted() {
		text += "\n" + n.String()
	}
	return text
}

// services writes those that are Go programs, and returns them.
func (c *converter) services(w *writer) (taken []types.ServiceConfig) {
	builds := map[string]string{}
	for _, name := range sortedKeys(c.project.Services) {
		s := c.project.Services[name]
		own, path := label(name), []string{"services", name}
		c.left[name] = true
		if slices.ContainsFunc(taken, func(t types.ServiceConfig) bool { return label(t.Name) == own }) || own == "" {
			c.note(path, "service %s is left out: its name would be %q, which is none or another one's", name, own)
			continue
		}
		build, ok := c.build(s)
		if !ok {
			continue
		}
		if own != name {
			c.note(path, "service %s is called %s: names are of a-z, 0-9 and -", name, own)
		}
		builds[name], c.left[name] = build, false
		taken = append(taken, s)
	}
	for _, s := range taken {
		for _, need := range sortedKeys(s.DependsOn) {
			if builds[need] == "" {
				c.note([]string{"services", s.Name, "depends_on", need}, "%s doesn't wait for %s, which is left out", s.Name, need)
				delete(s.DependsOn, need)
			}
		}
		w.put(label(s.Name), c.service(s, builds[s.Name]).MapSlice)
	}
	return taken
}

// disabled notes the services of profiles that were not asked for.
func (c *converter) disabled() {
	for _, name := range sortedKeys(c.project.DisabledServices) {
		c.left[name] = true
		c.note([]string{"services", name}, "service %s is left out: it is of profile %s, see --profile", name,
			strings.Join(c.project.DisabledServices[name].Profiles, ", "))
	}
}

// networks writes the networks that services are in.
func (c *converter) networks(w *writer, taken []types.ServiceConfig) {
	var all writer
	for _, name := range sortedKeys(c.project.Networks) {
		n, path := c.project.Networks[name], []string{"networks", name}
		if !slices.ContainsFunc(taken, func(s types.ServiceConfig) bool { _, ok := s.Networks[name]; return ok }) {
			if _, there := c.at(path...); there {
				c.note(path, "network %s is left out: no service is in it", name)
			}
			continue
		}
		var e writer
		if n.External {
			c.note(path, "network %s is external: a new one of the deployment's own takes its place, unless you write bridge: with a bridge of the host", name)
		}
		if n.Driver != "" && n.Driver != "bridge" && n.Driver != "default" {
			c.note(append(path, "driver"), "network %s is a bridge, not of driver %s", name, n.Driver)
		}
		if !bool(n.External) && !n.Internal {
			c.note(path, "network %s leads nowhere beyond its machines and published ports, as with internal: true", name)
		}
		var subnets, gateways []string
		for _, p := range n.Ipam.Config {
			if p.Subnet != "" {
				subnets = append(subnets, p.Subnet)
			}
			if p.Gateway != "" {
				gateways = append(gateways, p.Gateway)
			}
		}
		putSome(&e, "subnet", subnets)
		putSome(&e, "gateway", gateways)
		if e.MapSlice == nil {
			e.MapSlice = yaml.MapSlice{}
		}
		all.put(plain(name), e.MapSlice)
	}
	putSome(w, "networks", all.MapSlice)
}

// volumes writes those that services mount.
func (c *converter) volumes(w *writer, taken []types.ServiceConfig) {
	var all writer
	for _, name := range sortedKeys(c.project.Volumes) {
		v, path := c.project.Volumes[name], []string{"volumes", name}
		if !slices.ContainsFunc(taken, func(s types.ServiceConfig) bool {
			return slices.ContainsFunc(s.Volumes, func(m types.ServiceVolumeConfig) bool { return m.Type == types.VolumeTypeVolume && m.Source == name })
		}) {
			c.note(path, "volume %s is left out: no service mounts it", name)
			continue
		}
		if v.External {
			c.note(path, "volume %s is external: a new one, empty, takes its place", name)
		}
		if v.Driver != "" && v.Driver != "local" {
			c.note(append(path, "driver"), "volume %s is an ext4 file of this host, not of driver %s", name, v.Driver)
		}
		if _, there := c.at("volumes", name, "name"); there && !bool(v.External) {
			c.note(append(path, "name"), "volume %s is called by the deployment's and its own name, not %s", name, v.Name)
		}
		all.put(plain(name), yaml.MapSlice{})
	}
	putSome(w, "volumes", all.MapSlice)
}

// origins writes configs or secrets that services are given.
func (c *converter) origins(w *writer, key string, taken []types.ServiceConfig, all types.Configs) {
	var out writer
	for _, name := range sortedKeys(all) {
		o, path := all[name], []string{key, name}
		used := slices.ContainsFunc(taken, func(s types.ServiceConfig) bool {
			given := s.Configs
			if key == "secrets" {
				given = nil
				for _, g := range s.Secrets {
					given = append(given, types.ServiceConfigObjConfig(g))
				}
			}
			return slices.ContainsFunc(given, func(g types.ServiceConfigObjConfig) bool { return g.Source == name })
		})
		if !used {
			c.note(path, "%s is left out: no service is given it", name)
			continue
		}
		var e writer
		switch {
		case bool(o.External):
			c.note(path, "%s is external: write the file that it is in", name)
			e.put("file", "./"+plain(name))
		case o.File != "":
			e.put("file", c.relative(o.File))
		case o.Environment != "":
			e.put("environment", o.Environment)
		default:
			e.put("content", o.Content)
		}
		out.put(plain(name), e.MapSlice)
	}
	putSome(w, key, out.MapSlice)
}

// relative is a path from the pith.yaml's folder, which begins with a dot.
func (c *converter) relative(path string) string {
	rel, err := filepath.Rel(c.dir, path)
	if err != nil || !filepath.IsAbs(path) {
		return path
	}
	if !strings.HasPrefix(rel, ".") {
		rel = "./" + rel
	}
	return filepath.ToSlash(rel)
}
