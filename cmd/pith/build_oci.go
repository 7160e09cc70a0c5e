package main

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"pith/image"
	"pith/image/oci"
	"pith/machine"
	"pith/manifest"
)

// builtOCI is what `pith build --oci --format json` shows.
type builtOCI struct {
	Path   string `json:"path"`
	Digest string `json:"digest"`
	Name   string `json:"name"`
}

// buildOCI makes a container image at a place: FILE.tar or a folder.
func (a *app) buildOCI(ctx context.Context, what, place, format string, f buildFlags) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	m, err := f.find(what)
	if err != nil {
		return err
	}
	p := newProgress(a.err)
	defer p.done()
	o := image.Options{Hold: &a.hold, What: what, Tags: f.tags, LDFlags: f.ldflags, Strip: true, Progress: p.update}
	if m != nil {
		packInto(&o, m)
	}
	program, err := image.BuildHosted(ctx, o)
	if err != nil {
		return err
	}
	config, err := ociConfig(m)
	if err != nil {
		return err
	}
	img, err := oci.Image(program, config)
	if err != nil {
		return err
	}
	if place, err = filepath.Abs(place); err != nil {
		return err
	}
	digest, err := oci.Write(img, place, program.Manifest.Name)
	if err != nil {
		return err
	}
	if format == "json" {
		return a.out.json(builtOCI{place, digest, program.Manifest.Name})
	}
	_, err = fmt.Fprintf(a.out, "%s: %s\n", place, digest)
	return err
}

// ociConfig is what a container image says beside the program, by its manifest: the
// files that a unikernel's image holds, and what an instance needs.
func ociConfig(m *manifest.Manifest) (c oci.Config, err error) {
	if m == nil {
		return c, nil
	}
	s := m.Services[0]
	c.Dir = s.Dir
	for _, p := range s.Ports {
		c.Ports = append(c.Ports, fmt.Sprintf("%d/%s", p.Guest, p.Protocol))
	}
	for _, v := range s.Mounts {
		c.Volumes = append(c.Volumes, v.Target)
	}
	err = machine.WalkFiles(s.Files, func(name string, mode uint32, data []byte) {
		if name = strings.TrimPrefix(name, "/"); name == "" {
			return // the root is there
		}
		f := oci.File{Name: name, Mode: fs.FileMode(mode & 0o777), Data: data}
		switch mode & syscall.S_IFMT {
		case syscall.S_IFDIR:
			f.Mode |= fs.ModeDir
		case syscall.S_IFLNK:
			f.Mode |= fs.ModeSymlink
		}
		c.Files = append(c.Files, f)
	})
	return c, err
}
