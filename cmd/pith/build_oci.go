package main

import (
	"context"
	"fmt"
	"path/filepath"

	"pith/image/oci"
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
	program, err := a.buildHosted(ctx, what, "", f)
	if err != nil {
		return err
	}
	img, err := oci.Image(program, nil)
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
