package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"pith"
	"pith/deploy"
	"pith/machine"
	"pith/machine/host"
	"pith/network"
)

// reportFD is the descriptor on which a supervisor tells the process that
// started it how the start went: one line, the exit code and why. The flag
// reportFlag says that it is there.
const (
	reportFD   = 3
	reportFlag = "report"
)

// detach starts a supervisor in the background and waits until the machine
// runs.
func (a *app) detach(entry *machine.Entry) error {
	err := startSupervisor(entry)
	if err != nil {
		return errors.Join(err, entry.Discard())
	}
	fmt.Fprintln(a.out, entry.Spec.Name)
	return nil
}

// startSupervisor starts a machine's supervisor where the machine's networks are.
func startSupervisor(entry *machine.Entry) error {
	b := background{
		name: "the supervisor of " + entry.Spec.Name,
		args: []string{"supervise", "--" + reportFlag, entry.Spec.Name},
		home: entry.Home(),
	}
	if deploy.InLab(entry.Spec) {
		if b.lab = network.FindLab(entry.Spec.Deployment); b.lab == nil {
			return fmt.Errorf("the networks of %s are gone: `pith up` makes them again", entry.Spec.Deployment)
		}
	}
	return b.start()
}

// report writes a supervisor's line; parseReport reads it.
func report(w io.Writer, err error) {
	text := ""
	if err != nil {
		text = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	fmt.Fprintf(w, "%d %s\n", pith.ExitCode(err), text)
}

func parseReport(line string) error {
	code, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
	switch code {
	case "0":
		return nil
	case "2":
		return pith.Errorf("%s", text)
	default:
		return errors.New(text)
	}
}

func (a *app) superviseCommand() *cobra.Command {
	var reports bool
	c := &cobra.Command{
		Use:    "supervise NAME",
		Short:  "Own a machine that runs in the background (for pith run -d)",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if !reports {
				return pith.Errorf("supervise is for pith's own use: `pith run -d` starts a machine in the background")
			}
			syscall.CloseOnExec(reportFD)
			parent := os.NewFile(reportFD, "report")
			err := a.supervise(args[0], func() { report(parent, nil); parent.Close() })
			if err != nil {
				report(parent, err)
			}
			return err
		},
	}
	c.Flags().BoolVar(&reports, reportFlag, false, "descriptor 3 is where to report to")
	return c
}

// supervise runs a machine that another process has made.
func (a *app) supervise(name string, started func()) error {
	store, err := openStore()
	if err != nil {
		return err
	}
	entry, err := store.Find(name)
	if err != nil {
		return err
	}
	if err := a.holdImage(entry.Spec.Image); err != nil {
		return err
	}
	cards, unplug, err := plug(entry.Spec)
	if err != nil {
		return err
	}
	disks, unlock, err := openVolumes(entry)
	if err != nil {
		unplug()
		return err
	}
	defer unlock()
	s := &machine.Supervisor{
		Entry:   entry,
		Driver:  driverOf(entry.Spec.Kind, host.This()),
		Cards:   cards,
		Disks:   disks,
		Started: func() { unplug(); started() },
	}
	stop := a.forwardSignals(s)
	defer stop()
	_, err = s.Run()
	return err
}
