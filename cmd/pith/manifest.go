package main

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"pith"
	"pith/image"
	"pith/machine"
	"pith/machine/volume"
	"pith/manifest"
	"pith/network"
)

// find reads the manifest of the program WHAT: the one that was named, or the
// one in its folder; nil where there is none.
func (f *buildFlags) find(what string) (*manifest.Manifest, error) {
	var m *manifest.Manifest
	var err error
	if f.manifest != "" {
		m, err = readManifest(f.manifest)
	} else if info, statErr := os.Stat(what); statErr == nil && info.IsDir() {
		m, err = manifest.Find(what)
	}
	if err != nil || m == nil {
		return nil, err
	}
	if !m.Single {
		if f.manifest == "" {
			return nil, nil // it describes services, not the program in its folder
		}
		return nil, pith.Errorf("%s describes several services; -f takes the manifest of one program", f.manifest)
	}
	return m, nil
}

// packInto puts what a program's manifest says into its image.
func packInto(o *image.Options, m *manifest.Manifest) {
	s := m.Services[0]
	if s.Build != filepath.Dir(m.File) {
		o.What = s.Build
	}
	if s.Stack != "" && o.Stack == pith.StackInet {
		o.Stack = s.Stack
	}
	o.Args, o.Vars, o.Files = s.Args, s.Env, s.Files
	o.Memory, o.CPUs, o.Override = s.Memory, s.CPUs, s.Override
}

// obey completes a machine by its program's manifest: what flags don't say.
func (f *runFlags) obey(s *machine.Spec, service *pith.Service) error {
	for _, m := range service.Mounts {
		if err := volume.CheckFolder(m); err != nil {
			return err
		}
		s.Mounts = append(s.Mounts, m)
	}
	if machine.Hosted(s.Kind) {
		f.adopt(s, service)
	}
	s.Forward = s.Forward || service.Forward
	if s.Dir == "" {
		s.Dir = service.Dir
	}
	if len(f.ports) == 0 {
		s.Ports = service.Ports
	}
	if f.set.Changed("net") {
		return nil
	}
	s.Links = nil
	for i, l := range service.Links {
		mode, err := network.ParseMode(l.Network)
		if err != nil {
			return err
		}
		mac := l.MAC
		if mac == "" {
			mac = machine.MAC(s.Name, i)
		}
		link, err := newLink(s.Kind, mode, cardOptions{}, mac)
		if err != nil {
			return err
		}
		if mode.Kind != network.User {
			link.Addrs, link.Gateway, link.DNS = l.Addrs, l.Gateway, service.DNS
			link.Routes = l.Over(service.Routes)
		}
		s.Links = append(s.Links, link)
	}
	return nil
}

// adopt gives a machine that has no image of ours what would be in it.
func (f *runFlags) adopt(s *machine.Spec, service *pith.Service) {
	s.Files = append(slices.Clone(service.Files), s.Files...)
	s.Env = append(slices.Clone(service.Env), s.Env...)
	if len(s.Args) == 0 {
		s.Args = service.Args
	}
	if service.Memory > 0 && f.memory == "" {
		s.Memory = service.Memory
	}
	if service.CPUs > 0 && !f.set.Changed("cpus") {
		s.CPUs = service.CPUs
	}
}

// settle completes a machine by its image, and refuses what the image doesn't
// let it set.
func (f *runFlags) settle(s *machine.Spec) error {
	m := s.Image.Manifest
	for setting, made := range map[string]bool{
		"args": len(s.Args) > 0, "env": len(f.env) > 0, "memory": f.memory != "", "cpus": f.set.Changed("cpus"),
	} {
		if !made {
			continue
		}
		if err := m.Allow(setting); err != nil {
			return err
		}
	}
	for _, file := range s.Files {
		if i := slices.IndexFunc(m.Files, func(packed string) bool { return overlaps(packed, file.Target) }); i >= 0 {
			return pith.Errorf("the image of %s holds %s, which an instance can't replace (--file %s)", m.Name, m.Files[i], file.Target)
		}
	}
	if m.DefaultMemory > 0 && f.memory == "" {
		s.Memory = m.DefaultMemory
	}
	if m.CPUs > 0 && !f.set.Changed("cpus") {
		s.CPUs = m.CPUs
	}
	return nil
}

// overlaps tells whether a path is another or lies below it.
func overlaps(packed, target string) bool {
	packed, target = path.Clean(packed), path.Clean(target)
	return target == packed || strings.HasPrefix(target, packed+"/")
}
