// Command pith turns ordinary Go programs into unikernels and runs them.
//
// It is the only place that joins the builder (image), the machines (machine,
// machine/qemu) and the networks (network); it decides nothing that one of
// them could. It exits with 0, with 2 for a user's mistake, with 1 for a
// failure, and `pith run` with the exit code of the program inside.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"pith"
	"pith/cache"
	"pith/machine/process"
)

func main() {
	process.RunStage() // where this is the beginning of a confined process
	os.Exit(run(os.Args[1:]))
}

// run is the whole command; it returns the exit code.
func run(args []string) int {
	a := newApp()
	root := a.command()
	root.SetArgs(separate(args))
	err := root.ExecuteContext(context.Background())
	var exit exitCode
	if errors.As(err, &exit) {
		return int(exit)
	}
	if err != nil && err.Error() == context.Canceled.Error() {
		err = errInterrupted
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s %v\n", a.err.red("pith:"), err)
	}
	if err != nil && !a.began {
		return 2 // cobra refused the command line
	}
	return pith.ExitCode(err)
}

// errInterrupted is what Ctrl-C ends a command with that has nothing else to say.
var errInterrupted = errors.New("interrupted")

// exitCode ends pith with a program's code, without a word of its own.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// app is what all commands share.
type app struct {
	out   terminal   // standard output: what was asked for
	err   terminal   // standard error: progress and errors
	began bool       // the command line was understood
	hold  cache.Hold // what of the cache this process uses, until it ends
}

func newApp() *app {
	return &app{out: newTerminal(os.Stdout), err: newTerminal(os.Stderr)}
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "pith",
		Short: "Run a Go program as a machine of its own",
		Long: `Pith turns an ordinary Go program into a unikernel: one bootable image that
holds the program, the part of an operating system that it uses, and nothing
else. It needs the go command to build and QEMU to run; see ` + "`pith doctor`" + `.

WHAT is a directory, a package path, a module@version, or an image file.`,
		Example: `  pith run -p 8080:80 ./examples/hello
  pith build -o hello.img ./examples/hello
  pith run -d --name web -p 8080:80 hello.img
  pith ps
  pith stop web`,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRun: func(*cobra.Command, []string) {
			a.began = true
		},
	}
	root.AddCommand(
		a.buildCommand(), a.runCommand(), a.devCommand(), a.testCommand(), a.superviseCommand(),
		a.psCommand(), a.statsCommand(), a.topCommand(), a.profileCommand(), a.logsCommand(),
		a.stopCommand(), a.rmCommand(), a.debugCommand(), a.doctorCommand(), a.firewallCommand(),
		a.versionCommand(), a.configCommand(), a.importCommand(), a.schemaCommand(), a.volumeCommand(), a.planCommand(),
		a.upCommand(), a.downCommand(), a.graphCommand(), a.keepCommand(), a.benchCommand(), a.cacheCommand(),
	)
	root.CompletionOptions.HiddenDefaultCmd = true
	return root
}

// interruptible ends the context at Ctrl-C, once.
func interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
}

// checkFormat refuses an output format other than those that -o takes.
func checkFormat(format string) error {
	if format != "text" && format != "json" {
		return pith.Errorf("-o %s: the output is text or json", format)
	}
	return nil
}
