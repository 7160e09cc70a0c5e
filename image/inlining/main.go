// Command inlining writes kernel/inlining.pgo, the profile by which the compiler inlines
// what runs at a machine's start. An emulator translates code that runs for the first
// time, block by block, and each call costs a start three blocks: the call's, the check
// of the stack's bound, the return's. So it boots a program with all of that logged, until
// the first answer, and lists the calls of functions that were called from one place: inlined
// they are still translated once.
//
// It relies on QEMU's log (-d in_asm,exec), on DWARF as Go writes it, and on cmd/compile,
// which inlines the calls of a profile's edges (go.dev/doc/pgo). It must not be needed for
// a build: the profile is kept in the repository, and one that is out of date does no harm.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"pith/bench"
	"pith/bench/lab"
	"pith/bench/load"
	"pith/image"
	"pith/machine"
)

// logVariable names, in the environment of QEMU's place-holder, the file that QEMU logs to.
const logVariable = "PITH_INLINING_LOG"

// port is where the program is told to serve.
const port = 8080

func main() {
	if log := os.Getenv(logVariable); log != "" {
		fail(asQEMU(log))
	}
	program := flag.String("program", "./examples/hello", "a web server that serves at $PORT")
	out := flag.String("o", "kernel/inlining.pgo", "the file to write")
	flag.Parse()
	ctx := context.Background()
	t := &bench.Unikernel{
		Options: image.Options{What: *program, Strip: true, Env: append(os.Environ(), "GOFLAGS=-pgo=off")},
		Env:     []string{fmt.Sprint("PORT=", port)},
	}
	if !lab.Inside() {
		_, err := image.Build(ctx, t.Options) // a lab has no way to the program's modules
		if err == nil {
			_, err = lab.Enter(ctx, os.Args[1:]...)
		}
		fail(err)
	}
	fail(write(ctx, t, *out))
}

// fail ends the program.
func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "inlining:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// asQEMU becomes QEMU with a log of what is translated and of each block that runs.
func asQEMU(log string) error {
	const path = "/usr/bin/qemu-system-x86_64"
	args := append([]string{path}, os.Args[1:]...)
	return syscall.Exec(path, append(args, "-d", "in_asm,exec,nochain", "-D", log), os.Environ())
}

func write(ctx context.Context, t *bench.Unikernel, out string) error {
	dir, err := os.MkdirTemp("", "pith-inlining-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	log := filepath.Join(dir, "log")
	if err := boot(ctx, t, log); err != nil {
		return err
	}
	img, err := image.Build(ctx, t.Options)
	if err != nil {
		return err
	}
	symbols, err := readSymbols(img.Symbols)
	if err != nil {
		return err
	}
	f, err := os.Open(log)
	if err != nil {
		return err
	}
	defer f.Close()
	calls, err := readLog(f, symbols)
	if err != nil {
		return err
	}
	data, err := profileOf(calls, symbols)
	if err != nil {
		return err
	}
	return os.WriteFile(out, data, 0o644)
}

// boot starts the program in a lab of its own, logged, until its first answer.
func boot(ctx context.Context, t *bench.Unikernel, log string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	os.Setenv(logVariable, log)
	os.Setenv("PITH_QEMU", self)
	l, err := lab.Open(ctx)
	if err != nil {
		return err
	}
	defer l.Close(ctx)
	if err := t.Prepare(ctx); err != nil {
		return err
	}
	i, err := t.Start(ctx, l, bench.Shape{CPUs: 1, Memory: machine.DefaultMemory})
	if err != nil {
		return err
	}
	defer i.Stop(ctx)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if _, err := load.FirstAnswer(ctx, netip.AddrPortFrom(i.Addr(), port), "/"); err != nil {
		return fmt.Errorf("%w%s", err, bench.Said(i))
	}
	return nil
}
