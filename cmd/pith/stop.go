package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"pith"
	"pith/machine"
	"pith/machine/host"
)

func (a *app) stopCommand() *cobra.Command {
	var seconds int
	var button bool
	c := &cobra.Command{
		Use:   "stop NAME...",
		Short: "Ask machines to end, and kill those that don't",
		Long: `Stop sends each machine's program SIGTERM, so that it can finish what it does,
and kills the machine when it has not ended after the grace time. With --button
it presses the ACPI power button instead, as other hypervisors do; only q35 has
one.`,
		Example: `  pith stop web
  pith stop -t 60 web dns`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if seconds < 0 {
				return pith.Errorf("-t %d: a time is 0 or more seconds", seconds)
			}
			ctx, stop := interruptible(c.Context())
			defer stop()
			return a.each(args, func(e *machine.Entry) error {
				stop := e.Remote().Stop
				if button {
					stop = e.Remote().StopByButton
				}
				killed, err := stop(ctx, time.Duration(seconds)*time.Second)
				if err == nil && killed {
					fmt.Fprintf(a.err, "%s did not end within %d s and was killed\n", e.Spec.Name, seconds)
				}
				return err
			})
		},
	}
	c.Flags().IntVarP(&seconds, "time", "t", 10, "grace time in seconds")
	c.Flags().BoolVar(&button, "button", false, "press the power button (q35)")
	return c
}

func (a *app) rmCommand() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "rm NAME...",
		Short: "Forget machines that have ended",
		Long:  `Rm removes what is kept of a machine: its settings, its log and its exit code.`,
		Example: `  pith rm web
  pith rm -f web`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.each(args, func(e *machine.Entry) error {
				if !force {
					return e.Remove()
				}
				return killAndRemove(c.Context(), e)
			})
		},
	}
	c.Flags().BoolVarP(&force, "force", "f", false, "kill a machine that runs")
	return c
}

func killAndRemove(ctx context.Context, e *machine.Entry) error {
	if _, err := e.Remote().Stop(ctx, 0); err != nil {
		return err
	}
	return e.Remove()
}

// each does something with each named machine, all at once, and prints the
// names of those with which it worked. A name is looked up before anything is
// done.
func (a *app) each(names []string, do func(*machine.Entry) error) error {
	store, err := openStore()
	if err != nil {
		return err
	}
	settle(store, host.This())
	entries := make([]*machine.Entry, len(names))
	for i, name := range names {
		if entries[i], err = store.Find(name); err != nil {
			return err
		}
	}
	errs := make([]error, len(entries))
	var all sync.WaitGroup
	for i, e := range entries {
		all.Go(func() { errs[i] = do(e) })
	}
	all.Wait()
	for i, e := range entries {
		if errs[i] == nil {
			fmt.Fprintln(a.out, e.Spec.Name)
		}
	}
	return errors.Join(errs...)
}
