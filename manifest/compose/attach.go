package compose

import (
	"cmp"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/goccy/go-yaml"
)

// cards are the service's networks.
func (c *converter) cards(w *writer, s types.ServiceConfig) {
	at := []string{"services", s.Name}
	if s.NetworkMode != "" {
		c.note(append(at, "network_mode"), "network_mode %s is left out: %s is in the deployment's network default", s.NetworkMode, s.Name)
	}
	var cards writer
	for _, name := range sortedKeys(s.Networks) {
		var e writer
		if n := s.Networks[name]; n != nil {
			for key, value := range map[string]string{"ipv4_address": n.Ipv4Address, "ipv6_address": n.Ipv6Address, "mac_address": n.MacAddress} {
				if value != "" {
					e.put(key, value)
				}
			}
			slices.SortFunc(e.MapSlice, func(a, b yaml.MapItem) int { return strings.Compare(a.Key.(string), b.Key.(string)) })
		}
		if s.MacAddress != "" && len(s.Networks) == 1 && len(e.MapSlice) == 0 {
			e.put("mac_address", s.MacAddress)
		}
		if e.MapSlice == nil {
			e.MapSlice = yaml.MapSlice{}
		}
		cards.put(plain(name), e.MapSlice)
	}
	putSome(w, "networks", cards.MapSlice)
}

// ports are published at every address of the host where the file names none, as
// compose has it.
func (c *converter) ports(s types.ServiceConfig) (all []string) {
	at := []string{"services", s.Name, "ports"}
	for _, p := range s.Ports {
		if p.Protocol != "" && p.Protocol != "tcp" && p.Protocol != "udp" {
			c.note(at, "port %d/%s is left out: ports are tcp or udp", p.Target, p.Protocol)
			continue
		}
		if strings.Contains(p.Published, "-") {
			c.note(at, "port %d has a free port of the host, not one of %s", p.Target, p.Published)
			p.Published = ""
		}
		host := cmp.Or(p.HostIP, c.Bind, "0.0.0.0")
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		text := fmt.Sprintf("%s:%s:%d", host, cmp.Or(p.Published, "0"), p.Target)
		if p.Protocol == "udp" {
			text += "/udp"
		}
		all = append(all, text)
	}
	return all
}

// mounts are volumes and folders of the host, files of the host, of which a machine
// gets a copy, and what it is given.
func (c *converter) mounts(w *writer, s types.ServiceConfig) {
	var volumes []string
	var configs, secrets []yaml.MapSlice
	for _, v := range s.Volumes {
		at := []string{"services", s.Name, "volumes", v.Target}
		switch {
		case v.Type == types.VolumeTypeVolume && v.Source != "":
			volumes = append(volumes, place(plain(v.Source), v))
		case v.Type == types.VolumeTypeBind && isFolder(v.Source):
			volumes = append(volumes, place(c.relative(v.Source), v))
		case v.Type == types.VolumeTypeBind:
			how := "changes on the host come with the next pith up"
			if !v.ReadOnly {
				how += ", and what the machine writes there is gone with it"
			}
			c.note(at, "%s gets a copy of the file %s at %s: %s", s.Name, c.relative(v.Source), v.Target, how)
			configs = append(configs, yaml.MapSlice{{Key: "source", Value: c.relative(v.Source)}, {Key: "target", Value: v.Target}})
		case v.Type == types.VolumeTypeTmpfs:
		default:
			c.note(at, "volume %s is left out: it has no name, and so is gone with the machine anyway", v.Target)
		}
	}
	putSome(w, "volumes", volumes)
	for _, g := range s.Configs {
		configs = append(configs, given(types.FileReferenceConfig(g), "/"))
	}
	for _, g := range s.Secrets {
		secrets = append(secrets, given(types.FileReferenceConfig(g), "/run/secrets/"))
	}
	putSome(w, "configs", configs)
	putSome(w, "secrets", secrets)
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// place writes a volume in short.
func place(source string, v types.ServiceVolumeConfig) string {
	text := source + ":" + v.Target
	if v.ReadOnly {
		text += ":ro"
	}
	return text
}

func given(g types.FileReferenceConfig, folder string) yaml.MapSlice {
	target := cmp.Or(g.Target, g.Source)
	if !path.IsAbs(target) {
		target = folder + target
	}
	e := yaml.MapSlice{{Key: "source", Value: plain(g.Source)}, {Key: "target", Value: target}}
	if g.Mode != nil {
		e = append(e, yaml.MapItem{Key: "mode", Value: fmt.Sprintf("%04o", int64(*g.Mode))})
	}
	return e
}
