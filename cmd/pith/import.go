package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"pith"
	"pith/manifest"
	"pith/manifest/compose"
)

func (a *app) importCommand() *cobra.Command {
	var o compose.Options
	var builds []string
	var output, format string
	var strict bool
	c := &cobra.Command{
		Use:   "import [COMPOSE-FILE...]",
		Short: "Make a pith.yaml of a compose file",
		Long: `Import reads a compose file, by default the one in the current folder, and prints
the pith.yaml that says the same. Each service must be a Go program: the one in its build
context, or what --build names. All that pith.yaml has no word for, or does otherwise,
is listed on standard error with its file and line. Several files override one another.`,
		Example: `  pith import >pith.yaml
  pith import -o pith.yaml compose.yaml compose.prod.yaml
  pith import --build proxy=github.com/caddyserver/caddy/v2/cmd/caddy@v2.10.2 --strict`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			files, err := composeFiles(args)
			if err != nil {
				return err
			}
			if output != "" && isThere(output) {
				return pith.Errorf("%s is there already: remove it, or name another file", output)
			}
			if o.Build, err = parseBuilds(builds); err != nil {
				return err
			}
			o.Environ = os.Environ()
			text, notes, err := compose.Import(c.Context(), files, o)
			if err != nil {
				return err
			}
			for _, n := range notes {
				if format == "text" {
					fmt.Fprintln(a.err, n)
				}
			}
			if strict && len(notes) > 0 {
				return pith.Errorf("%d things of the compose file are not in the pith.yaml, or not as they are there", len(notes))
			}
			place := filepath.Join(filepath.Dir(files[0]), manifest.FileName)
			_, wrong := manifest.Parse(place, text)
			switch {
			case output != "":
				err = writeNew(output, text)
			case format == "text":
				_, err = a.out.Write(text)
			}
			if format == "json" {
				err = errors.Join(err, a.out.json(imported{string(text), append([]compose.Note{}, notes...)}))
			}
			if err != nil {
				return err
			}
			if wrong != nil {
				return pith.Errorf("the pith.yaml needs work: %w", wrong)
			}
			return nil
		},
	}
	c.Flags().StringArrayVar(&o.Profiles, "profile", nil, "take the services of a profile, too")
	c.Flags().StringArrayVar(&builds, "build", nil, "what Go program a service is: SERVICE=FOLDER or SERVICE=MODULE@VERSION")
	c.Flags().StringVar(&o.Bind, "bind", "", "the host's address of ports that name none (default 0.0.0.0, as compose has it)")
	c.Flags().StringVarP(&output, "output", "o", "", "the file to write, which must not be there (default: standard output)")
	c.Flags().StringVar(&format, "format", "text", "text, or json: the pith.yaml and the list, both on standard output")
	c.Flags().BoolVar(&strict, "strict", false, "make nothing if something is not the same")
	return c
}

// imported is what `pith import --format json` shows.
type imported struct {
	Manifest string         `json:"manifest"`
	Notes    []compose.Note `json:"notes"`
}

// composeFiles are the files named, or the usual one of a folder.
func composeFiles(args []string) ([]string, error) {
	dir := "."
	if len(args) > 0 {
		dir = args[0]
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() || len(args) > 1 {
		return args, nil // which are files, or are missed
	}
	for _, name := range compose.FileNames {
		if file := filepath.Join(dir, name); isThere(file) {
			return []string{file}, nil
		}
	}
	return nil, pith.Errorf("there is no %s in %s", strings.Join(compose.FileNames, ", nor "), dir)
}

func isThere(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func parseBuilds(list []string) (map[string]string, error) {
	builds := map[string]string{}
	for _, text := range list {
		service, what, ok := strings.Cut(text, "=")
		if !ok || service == "" || what == "" {
			return nil, pith.Errorf("--build %s: write SERVICE=FOLDER or SERVICE=MODULE@VERSION", text)
		}
		builds[service] = what
	}
	return builds, nil
}

// writeNew writes a file that isn't there yet: what someone has written stays.
func writeNew(file string, text []byte) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.Write(text); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
