package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"pith"
	"pith/machine"
	"pith/machine/host"
	"pith/machine/qemu"
)

// debugFlags say who debugs, and from where on.
type debugFlags struct {
	breaks []string
	serve  string
	vscode bool
}

func (f *debugFlags) add(flags *pflag.FlagSet) {
	flags.StringArrayVarP(&f.breaks, "break", "b", nil, "run to a place first: main.go:12, or main.main")
	flags.StringVar(&f.serve, "serve", "", "wait for a debugger at this address instead, as in 127.0.0.1:2159")
	flags.BoolVar(&f.vscode, "vscode", false, "write .vscode/launch.json and wait for the editor")
}

// debugSession debugs a machine until the person has enough.
type debugSession func(context.Context, *machine.Entry) error

// editorAddress is where an editor is waited for: IANA's port for gdb's protocol.
const editorAddress = "127.0.0.1:2159"

// session refuses what can't be, before anything is built.
func (a *app) session(f debugFlags) (debugSession, error) {
	for _, place := range f.breaks {
		if place == "" || strings.ContainsAny(place, "\n\r") {
			return nil, pith.Errorf("-b %q: write a place as in main.go:12 or main.main", place)
		}
	}
	if f.vscode && f.serve == "" {
		f.serve = editorAddress
	}
	if f.serve == "" {
		gdb, err := qemu.FindGDB(host.This())
		return func(_ context.Context, e *machine.Entry) error { return a.attach(gdb, f.breaks, e) }, err
	}
	if len(f.breaks) > 0 {
		return nil, pith.Errorf("-b is for gdb: set breakpoints in the debugger that connects")
	}
	l, err := net.Listen("tcp", f.serve)
	if err != nil {
		return nil, pith.Errorf("--serve %s: %w", f.serve, err)
	}
	return func(ctx context.Context, e *machine.Entry) error {
		defer l.Close()
		if f.vscode {
			if err := a.writeLaunch(qemu.Symbols(e.Spec), f.serve); err != nil {
				return err
			}
		}
		return a.serveDebugger(ctx, l, e)
	}, nil
}

// serveDebugger joins one debugger to the machine.
func (a *app) serveDebugger(ctx context.Context, l net.Listener, e *machine.Entry) error {
	dir, err := os.MkdirTemp("", "pith-debug-")
	if err != nil {
		return fmt.Errorf("make a folder for the debugger: %w", err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "gdb.sock")
	if err := e.Remote().Debug(socket); err != nil {
		return err
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	fmt.Fprintf(a.err, "%s waits for a debugger at %s; Ctrl-C ends it\n", e.Spec.Name, l.Addr())
	person, err := l.Accept()
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("wait for a debugger: %w", err)
	}
	defer person.Close()
	stub, err := net.Dial("unix", socket)
	if err != nil {
		return fmt.Errorf("reach the machine's debugger stub: %w", err)
	}
	defer stub.Close()
	defer context.AfterFunc(ctx, func() { person.Close(); stub.Close() })()
	go func() {
		io.Copy(person, stub)
		person.Close()
	}()
	io.Copy(stub, person) // ends when either side leaves
	return nil
}

// launchFile is where VS Code looks.
const launchFile = ".vscode/launch.json"

// launchName marks the configuration as ours.
const launchName = "Pith machine"

// writeLaunch writes the editor's file, if there is none or it is ours. Into one of
// the user's own nothing is mixed: it may hold comments.
func (a *app) writeLaunch(symbols, address string) error {
	configuration := map[string]any{
		"name": launchName, "type": "cppdbg", "request": "launch", "MIMode": "gdb",
		"program": symbols, "miDebuggerServerAddress": address, "cwd": "${workspaceFolder}",
		"stopAtConnect": true,
		"setupCommands": []map[string]string{
			{"text": "set architecture i386:x86-64"},
			{"text": "set breakpoint auto-hw on"},
			{"text": "set auto-load python-scripts off"},
		},
	}
	text, err := json.MarshalIndent(map[string]any{"version": "0.2.0", "configurations": []any{configuration}}, "", "  ")
	if err != nil {
		return err
	}
	old, err := os.ReadFile(launchFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case strings.Count(string(old), `"name"`) != 1 || !strings.Contains(string(old), launchName):
		one, err := json.MarshalIndent(configuration, "", "  ")
		if err != nil {
			return err
		}
		fmt.Fprintf(a.err, "%s is your own; add this to its configurations:\n%s\n", launchFile, one)
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(launchFile), 0o755); err != nil {
		return err
	}
	return os.WriteFile(launchFile, append(text, '\n'), 0o644)
}
