package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"pith"
	"pith/abi"
	"pith/machine"
)

// profileFlags say what is taken; one of them.
type profileFlags struct {
	cpu, trace      time.Duration
	heap, goroutine bool
	output          string
}

func (a *app) profileCommand() *cobra.Command {
	var flags profileFlags
	c := &cobra.Command{
		Use:   "profile NAME [--cpu 10s|--heap|--goroutine|--trace 5s] -o FILE",
		Short: "Take a profile or an execution trace of a running program",
		Long: `Profile looks into a running machine's program, which need not know of it: its
image must have been made with --profile (` + "`pith run --profile WHAT`" + `). The file is
for ` + "`go tool pprof`" + `, or ` + "`go tool trace`" + ` with --trace. Without a kind it is a CPU
profile of ten seconds.`,
		Example: `  pith run -d --profile --name web -p 8080:80 ./examples/hello
  pith profile web -o cpu.pprof && go tool pprof -top cpu.pprof
  pith profile web --heap -o heap.pprof
  pith profile web --trace 5s -o trace.out && go tool trace trace.out`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			kind, span, err := flags.kind()
			if err != nil {
				return err
			}
			store, err := openStore()
			if err != nil {
				return err
			}
			entry, err := store.Find(args[0])
			if err != nil {
				return err
			}
			if entry.State().Status != machine.StatusRunning {
				return pith.Errorf("%s does not run: a profile is taken of a running machine", args[0])
			}
			ctx, stop := interruptible(c.Context())
			defer stop()
			return takeProfile(ctx, entry, kind, span, flags.output)
		},
	}
	f := c.Flags()
	f.DurationVar(&flags.cpu, "cpu", 0, "where CPU time goes, over a span")
	f.DurationVar(&flags.trace, "trace", 0, "an execution trace, over a span")
	f.BoolVar(&flags.heap, "heap", false, "what memory is held by what")
	f.BoolVar(&flags.goroutine, "goroutine", false, "where all goroutines are")
	f.StringVarP(&flags.output, "output", "o", "", "the file to write")
	c.MarkFlagsMutuallyExclusive("cpu", "trace", "heap", "goroutine")
	return c
}

// kind is what the flags ask for.
func (f profileFlags) kind() (kind string, span time.Duration, err error) {
	switch {
	case f.output == "":
		return "", 0, pith.Errorf("say where the profile goes: -o FILE")
	case f.heap:
		return abi.ProfileHeap, 0, nil
	case f.goroutine:
		return abi.ProfileGoroutine, 0, nil
	case f.trace != 0:
		kind, span = abi.ProfileTrace, f.trace
	case f.cpu != 0:
		kind, span = abi.ProfileCPU, f.cpu
	default:
		kind, span = abi.ProfileCPU, 10*time.Second
	}
	if span < time.Second || span > machine.MaxProfile || span%time.Second != 0 {
		return "", 0, pith.Errorf("%v is no span for a profile: whole seconds, from 1s to %v", span, machine.MaxProfile)
	}
	return kind, span, nil
}

// takeProfile writes beside the file and puts it in place when it is whole.
func takeProfile(ctx context.Context, e *machine.Entry, kind string, span time.Duration, output string) error {
	output, err := filepath.Abs(output)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(output), ".pith-profile-")
	if err != nil {
		return pith.Errorf("%s can't be written: %w", output, err)
	}
	defer os.Remove(temp.Name())
	if err := temp.Close(); err != nil {
		return err
	}
	if err := e.Remote().Profile(ctx, kind, span, temp.Name()); err != nil {
		if ctx.Err() != nil {
			return errors.New("given up")
		}
		return fmt.Errorf("profile of %s: %w", e.Spec.Name, err)
	}
	return os.Rename(temp.Name(), output)
}
