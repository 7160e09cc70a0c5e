package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pith"
	"pith/image"
	"pith/machine"
)

// buildFlags are the flags of every command that may have to build.
type buildFlags struct {
	tags     []string
	ldflags  string
	stack    string
	profile  bool
	manifest string
}

func (f *buildFlags) add(flags *pflag.FlagSet) {
	flags.StringSliceVar(&f.tags, "tags", nil, "build tags, separated by commas")
	flags.StringVar(&f.ldflags, "ldflags", "", "flags for the linker, such as '-X main.version=1'")
	flags.BoolVar(&f.profile, "profile", false, "link the agent that takes profiles, see pith profile --help")
	flags.StringVar(&f.stack, "stack", pith.StackInet, "network stack: "+pith.StackInet+" or "+pith.StackGvisor)
	flags.StringVarP(&f.manifest, "manifest", "f", "", "the program's manifest (default: pith.yaml in its folder, if there is one)")
}

func (a *app) buildCommand() *cobra.Command {
	var flags buildFlags
	var output, container, format string
	c := &cobra.Command{
		Use:   "build -o IMAGE [WHAT]",
		Short: "Make a bootable image of a Go program",
		Long: `Build compiles a Go program together with the library OS and writes one
bootable file. The program's own files are not touched. WHAT is a directory,
a package path, or module@version; the current directory by default.`,
		Example: `  pith build -o hello.img ./examples/hello
  pith build -o app.img --tags prod --ldflags '-X main.version=1.2' ./cmd/app
  pith build -o tool.img example.org/tool@v1.4.0
  pith build --oci hello.tar ./examples/hello && docker load -i hello.tar`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			if container != "" {
				if output != "" {
					return pith.Errorf("-o and --oci make different images: name one")
				}
				return a.buildOCI(c.Context(), append(args, ".")[0], container, format, flags)
			}
			if output == "" {
				return pith.Errorf("say where the image goes: pith build -o IMAGE %s", strings.Join(args, " "))
			}
			ctx, stop := interruptible(c.Context())
			defer stop()
			img, err := a.build(ctx, append(args, ".")[0], output, flags)
			if err != nil {
				return err
			}
			if format == "json" {
				return a.out.json(img)
			}
			fmt.Fprintf(a.out, "%s: %.1f MB, needs %s\n", img.Path, float64(img.Size)/1e6, machine.FormatMemory(img.Manifest.Memory))
			return nil
		},
	}
	flags.add(c.Flags())
	c.Flags().StringVarP(&output, "output", "o", "", "the image file to write")
	c.Flags().StringVar(&container, "oci", "", "make a container image instead: FILE.tar, or a new folder for an OCI layout")
	c.Flags().StringVar(&format, "format", "text", "text or json")
	return c
}

// build makes an image and shows its progress.
func (a *app) build(ctx context.Context, what, output string, f buildFlags) (*pith.Image, error) {
	m, err := f.find(what)
	if err != nil {
		return nil, err
	}
	p := newProgress(a.err)
	defer p.done()
	o := image.Options{
		Hold:     &a.hold,
		What:     what,
		Output:   output,
		Tags:     f.tags,
		LDFlags:  f.ldflags,
		Stack:    f.stack,
		Profile:  f.profile,
		Strip:    true,
		Progress: p.update,
	}
	if m != nil {
		packInto(&o, m)
	}
	return image.Build(ctx, o)
}

// resolve makes an image of WHAT, or opens it if it is one.
func (a *app) resolve(ctx context.Context, what string, f buildFlags) (*pith.Image, error) {
	info, err := os.Stat(what)
	if err == nil && info.Mode().IsRegular() && !strings.HasSuffix(what, ".go") {
		return image.Open(what)
	}
	return a.build(ctx, what, "", f)
}
