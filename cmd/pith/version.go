package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"pith/abi"
)

// release is set by the linker for a release.
var release = ""

// version is what `pith version -o json` shows.
type version struct {
	Version string `json:"version"`
	ABI     int    `json:"abi"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func (a *app) versionCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "version",
		Short: "Show pith's version",
		Example: `  pith version
  pith version -o json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			v := version{pithVersion(), abi.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH}
			if format == "json" {
				return a.out.json(v)
			}
			_, err := fmt.Fprintf(a.out, "pith %s (images of ABI %d, %s, %s/%s)\n", v.Version, v.ABI, v.Go, v.OS, v.Arch)
			return err
		},
	}
	c.Flags().StringVarP(&format, "output", "o", "text", "text or json")
	return c
}

func pithVersion() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "development"
}
