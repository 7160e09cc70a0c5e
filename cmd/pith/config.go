package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"pith"
	"pith/deploy"
	"pith/manifest"
)

func (a *app) configCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "config [FILE|FOLDER]",
		Short: "Check a pith.yaml and print it resolved",
		Long: `Config reads a manifest, pith.yaml in the current folder by default, and prints
it with short notations in full, paths absolute, and defaults and addresses filled in.
Where it is wrong, all mistakes are listed, and the exit code is 2. Secrets are named,
never shown.`,
		Example: `  pith config
  pith config -o json ./examples/dmz`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if format != "yaml" && format != "json" {
				return pith.Errorf("-o %s: the output is yaml or json", format)
			}
			m, err := readManifest(append(args, ".")[0])
			if err != nil {
				return err
			}
			if !m.Single {
				deploy.Assign(&m.Topology)
			}
			write := m.YAML
			if format == "json" {
				write = m.JSON
			}
			text, err := write()
			if err != nil {
				return fmt.Errorf("write the manifest: %w", err)
			}
			_, err = a.out.Write(text)
			return err
		},
	}
	c.Flags().StringVarP(&format, "output", "o", "yaml", "yaml or json")
	return c
}

// readManifest reads a manifest, or the one in a folder.
func readManifest(path string) (*manifest.Manifest, error) {
	return readManifestWith(path, func(*manifest.Manifest) error { return nil })
}

// readManifestWith is readManifest with more checks, see manifest.ReadWith.
func readManifestWith(path string, more func(*manifest.Manifest) error) (*manifest.Manifest, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, manifest.FileName)
	}
	return manifest.ReadWith(path, more)
}

func (a *app) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of pith.yaml, for editors",
		Example: `  pith schema >pith.schema.json
  # then, as the first line of pith.yaml:
  # yaml-language-server: $schema=./pith.schema.json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := a.out.Write(manifest.Schema())
			return err
		},
	}
}
