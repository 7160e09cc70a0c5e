package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"pith"
)

// benchTools are what pith bench and its comparisons use: the Debian package,
// and how to see that it is there.
var benchTools = []benchTool{
	{"qemu-system-x86_64", "qemu-system-x86", ""},
	{"ip", "iproute2", ""},
	{"nsenter", "util-linux", ""},
	{"the Linux guest's kernel", "linux-image-amd64", "/boot/vmlinuz-*"},
	{"wrk", "wrk", ""},
	{"dnsperf", "dnsperf", ""},
	{"nft", "nftables", ""},
}

// peerTools are what --peer compares with, but for CoreDNS, which is built.
var peerTools = []benchTool{
	{"nginx", "nginx-light", "/usr/sbin/nginx"},
	{"named", "bind9", "/usr/sbin/named"},
}

type benchTool struct {
	name, pkg, pattern string // pattern: files, in place of a command
}

func (a *app) benchInstall() *cobra.Command {
	var dry, peers bool
	c := &cobra.Command{
		Use:   "install",
		Short: "Install the outside tools that pith bench uses",
		Example: `  pith bench install --dry-run
  pith bench install --peers`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			tools := benchTools
			if peers {
				tools = slices.Concat(benchTools, peerTools)
			}
			packages := missingTools(tools)
			if len(packages) == 0 {
				fmt.Fprintln(a.out, "all tools are installed")
				return nil
			}
			words := append([]string{"apt-get", "install", "-y", "--no-install-recommends"}, packages...)
			if dry {
				fmt.Fprintln(a.out, strings.Join(words, " "))
				return nil
			}
			if _, err := exec.LookPath("apt-get"); err != nil {
				return pith.Errorf("install these by your system's own tool (the names are Debian's): %s", strings.Join(packages, " "))
			}
			if os.Geteuid() != 0 {
				return pith.Errorf("it takes root: sudo %s", strings.Join(words, " "))
			}
			run := exec.CommandContext(c.Context(), words[0], words[1:]...)
			run.Stdout, run.Stderr = a.err, a.err
			if err := run.Run(); err != nil {
				return fmt.Errorf("%s: %w", strings.Join(words, " "), err)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&dry, "dry-run", false, "print the command only")
	c.Flags().BoolVar(&peers, "peers", false, "nginx and BIND, too; Debian starts them as services of the host")
	return c
}

// missingTools are the packages of tools that aren't there.
func missingTools(tools []benchTool) []string {
	var packages []string
	for _, t := range tools {
		if t.pattern != "" {
			if found, err := filepath.Glob(t.pattern); err == nil && len(found) > 0 {
				continue
			}
		} else if _, err := exec.LookPath(t.name); err == nil {
			continue
		}
		packages = append(packages, t.pkg)
	}
	return packages
}
