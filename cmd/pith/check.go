package main

import (
	"encoding/json"
	"errors"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"pith"
	"pith/deploy"
	"pith/manifest"
	"pith/service/dns"
	"pith/service/firewall/nft"
)

// check refuses what can be refused before anything is built, all of it in one
// report: what a deployment can't do, what this host doesn't have, and mistakes in
// the files of Pith's own services.
func check(m *manifest.Manifest) error {
	d, err := openDeployment(m.Name)
	if err != nil {
		return err
	}
	var long error
	if len(m.Name) > 30 {
		long = pith.Errorf("%s: the name of a deployment has at most 30 characters", m.Name)
	}
	return errors.Join(deploy.Check(m.Topology), long, m.CheckHost(d.ours), d.checkVolumes(m.Topology), checkServiceFiles(m))
}

// checkServiceFiles looks into the zones and rules of services that are Pith's own.
func checkServiceFiles(m *manifest.Manifest) error {
	var errs []error
	for _, s := range m.Services {
		files := innards{s}
		build, _, _ := strings.Cut(filepath.ToSlash(s.Build), "@")
		switch {
		case strings.HasSuffix(build, "service/dns/cmd/dns"):
			errs = append(errs, files.zones())
		case strings.HasSuffix(build, "service/firewall/cmd/firewall"):
			errs = append(errs, files.rules())
		}
	}
	return errors.Join(errs...)
}

// innards are the files that a service's program will find.
type innards struct{ pith.Service }

// read is a file in the machine, and where its text comes from; ok is false where
// the manifest doesn't put one there.
func (s innards) read(target string) (from string, text []byte, ok bool) {
	for _, g := range slices.Concat(s.Configs, s.Secrets) {
		if g.Target == target && g.Source == "" {
			return g.Name, []byte(g.Content), g.Variable == ""
		}
	}
	from, ok = s.source(target)
	if !ok {
		return "", nil, false
	}
	text, err := os.ReadFile(from)
	return from, text, err == nil
}

// source is the host's path of a file in the machine.
func (s innards) source(target string) (string, bool) {
	files := slices.Clone(s.Files)
	for _, g := range slices.Concat(s.Configs, s.Secrets) {
		files = append(files, pith.File{Source: g.Source, Target: g.Target})
	}
	for _, f := range files {
		if rest, ok := strings.CutPrefix(target+"/", strings.TrimSuffix(f.Target, "/")+"/"); ok && f.Source != "" {
			return filepath.Join(f.Source, rest), true
		}
	}
	return "", false
}

// flag are the values of a flag among the program's arguments.
func (s innards) flag(name string) (values []string) {
	for i, a := range s.Args {
		bare, value, joined := strings.Cut(strings.TrimLeft(a, "-"), "=")
		switch {
		case !strings.HasPrefix(a, "-") || bare != name:
		case joined:
			values = append(values, value)
		case i+1 < len(s.Args):
			values = append(values, s.Args[i+1])
		}
	}
	return values
}

// zones are the mistakes in what a name server is to serve.
func (s innards) zones() error {
	var all []error
	for _, z := range s.zoneConfigs(&all) {
		if strings.Contains(z.File, "://") {
			continue
		}
		from, text, ok := s.read(path.Join("/", s.Dir, z.File))
		if z.Text != "" {
			from, text, ok = "zone "+z.Name+" of "+s.Name, []byte(z.Text), true
		}
		if !ok {
			all = append(all, pith.Errorf("%s: zone %s is to be in %s, where no file is put: name it under files or configs", s.Name, z.Name, z.File))
			continue
		}
		mistakes := dns.CheckZone(z.Name, from, func(name string) ([]byte, error) {
			if name == from {
				return text, nil
			}
			if _, text, ok := s.read(name); ok {
				return text, nil
			}
			return os.ReadFile(name)
		})
		for _, m := range mistakes.Fatal() {
			all = append(all, pith.Errorf("%s", m))
		}
	}
	return errors.Join(all...)
}

// zoneConfigs are the zones that a name server is told of, by its flags and its
// configuration.
func (s innards) zoneConfigs(wrong *[]error) (zones []dns.ZoneConfig) {
	for _, z := range s.flag("zone") {
		name, file, _ := strings.Cut(z, "=")
		zones = append(zones, dns.ZoneConfig{Name: name, File: file})
	}
	from, text := s.Name+"'s DNS_CONFIG", ""
	for _, v := range s.Env {
		if value, ok := strings.CutPrefix(v, "DNS_CONFIG="); ok {
			text = value
		}
	}
	for _, file := range s.flag("config") {
		f, data, _ := s.read(path.Join("/", s.Dir, file))
		from, text = f, string(data)
	}
	if text == "" {
		return zones
	}
	var c dns.Config
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		*wrong = append(*wrong, pith.Errorf("%s: %w", from, err))
	}
	return append(zones, c.Zones...)
}

// rules are the mistakes in a firewall's rules.
func (s innards) rules() error {
	var all []error
	for _, file := range s.flag("config") {
		file = path.Join("/", s.Dir, file)
		_, text, ok := s.read(file)
		var c struct{ Rules string }
		if !ok || yaml.Unmarshal(text, &c) != nil || c.Rules == "" {
			continue // the firewall itself tells what is wrong
		}
		rules := c.Rules
		if !path.IsAbs(rules) {
			rules = path.Join(path.Dir(file), rules)
		}
		from, text, ok := s.read(rules)
		if !ok {
			all = append(all, pith.Errorf("%s: its rules are to be in %s, where no file is put: name it under files or configs", s.Name, rules))
			continue
		}
		include := func(name string) ([]byte, error) {
			if _, text, ok := s.read(path.Join(path.Dir(rules), name)); ok {
				return text, nil
			}
			return os.ReadFile(filepath.Join(filepath.Dir(from), name))
		}
		if _, err := nft.Load(from, text, nft.Options{ReadFile: include}); err != nil {
			all = append(all, pith.Errorf("%w", err))
		}
	}
	return errors.Join(all...)
}
