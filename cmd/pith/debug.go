package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"

	"github.com/spf13/cobra"

	"pith/machine"
	"pith/machine/qemu"
)

func (a *app) debugCommand() *cobra.Command {
	var flags runFlags
	var how debugFlags
	c := &cobra.Command{
		Use:   "debug [flags] NAME|WHAT [-- ARGS]",
		Short: "Look into a machine with gdb",
		Long: `Debug opens gdb on a machine that runs, or starts WHAT paused before its first
instruction and ends it with the session. gdb has the program's symbols, and
the command pith-threads lists the kernel's threads. With -b it runs to a line or
function first. With --vscode it writes .vscode/launch.json and waits for the editor
(its extension C/C++) instead; with --serve it waits for any gdb.

Delve speaks the protocol only to servers that it starts itself (lldb-server, rr),
so that it can not be pointed at a machine.`,
		Example: `  pith debug web
  pith debug -b main.go:12 ./examples/hello
  pith debug -p 8080:80 -b main.main ./examples/hello
  pith debug --vscode ./examples/hello`,
		Args: oneWhat,
		RunE: func(c *cobra.Command, args []string) error {
			session, err := a.session(how)
			if err != nil {
				return err
			}
			store, err := openStore()
			if err != nil {
				return err
			}
			if entry, err := store.Find(args[0]); err == nil && entry.State().Status == machine.StatusRunning {
				return session(c.Context(), entry)
			}
			return a.debugNew(c, session, args, flags)
		},
	}
	flags.add(c.Flags())
	how.add(c.Flags())
	c.SetFlagErrorFunc(ownFlag)
	return c
}

// debugNew starts a paused machine that ends with the session.
func (a *app) debugNew(c *cobra.Command, session debugSession, args []string, flags runFlags) error {
	flags.paused = true
	entry, err := a.create(c.Context(), args, flags)
	if err != nil {
		return err
	}
	if err := startSupervisor(entry); err != nil {
		return errors.Join(err, entry.Discard())
	}
	err = session(c.Context(), entry)
	return errors.Join(err, killAndRemove(c.Context(), entry))
}

// attach runs gdb on a machine until the person leaves it.
func (a *app) attach(gdb string, breaks []string, entry *machine.Entry) error {
	dir, err := os.MkdirTemp("", "pith-debug-")
	if err != nil {
		return fmt.Errorf("make a folder for gdb: %w", err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "gdb.sock")
	if err := entry.Remote().Debug(socket); err != nil {
		return err
	}
	script, err := qemu.WriteGDB(dir, entry.Spec, socket, breaks)
	if err != nil {
		return err
	}
	// Ctrl-C is gdb's: it stops the machine there.
	signal.Ignore(os.Interrupt)
	defer signal.Reset(os.Interrupt)
	session := exec.Command(gdb, "-q", "-nx", "-x", script)
	session.Stdin, session.Stdout, session.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := session.Run(); err != nil {
		return fmt.Errorf("gdb: %w", err)
	}
	return nil
}
