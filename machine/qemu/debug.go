package qemu

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"pith/machine"
	"pith/machine/host"
)

// FindGDB is the debugger's path.
func FindGDB(h host.Host) (string, error) {
	path, err := h.LookPath("gdb")
	if err != nil {
		return "", fmt.Errorf("gdb is not installed on this host; this installs it: %s", h.Install("gdb"))
	}
	return path, nil
}

// pithPy gives gdb its commands.
//
//go:embed gdb/pith.py
var pithPy []byte

// WriteGDB writes gdb's start script into dir and returns its path. socket is
// where the machine's gdb server listens; breaks are places (main.go:12, main.main)
// to run to.
func WriteGDB(dir string, s machine.Spec, socket string, breaks []string) (string, error) {
	commands := filepath.Join(dir, "pith.py")
	if err := os.WriteFile(commands, pithPy, 0o600); err != nil {
		return "", fmt.Errorf("write gdb's commands: %w", err)
	}
	script := filepath.Join(dir, "start.gdb")
	if err := os.WriteFile(script, []byte(gdbScript(s, socket, commands, breaks)), 0o600); err != nil {
		return "", fmt.Errorf("write gdb's script: %w", err)
	}
	return script, nil
}

func gdbScript(s machine.Spec, socket, commands string, breaks []string) string {
	lines := []string{
		"set pagination off",
		"set confirm off",
		"set architecture i386:x86-64",
		"set breakpoint pending on",
		// Before the kernel has set up paging, software breakpoints
		// would be written to the wrong place.
		"set breakpoint auto-hw on",
		// The image names a script of Go's, by a path that only its
		// builder has.
		"set auto-load python-scripts off",
		"symbol-file " + quote(Symbols(s)),
		"source " + commands, // the rest of the line, not to be quoted
		"target remote " + socket,
	}
	if len(breaks) > 0 {
		// A place that is not there is an error, not one for later.
		lines = append(lines, "set breakpoint pending off")
		for _, place := range breaks {
			lines = append(lines, "hbreak "+place)
		}
		return strings.Join(append(lines, "continue"), "\n") + "\n"
	}
	if s.Paused {
		lines = append(lines,
			`echo The machine waits at its first instruction. Try: hbreak main.main, then: continue\n`)
	}
	return strings.Join(append(lines, `echo pith-threads lists the kernel's threads.\n`), "\n") + "\n"
}

// Symbols is the file that a debugger reads the machine's symbols from.
func Symbols(s machine.Spec) string {
	if s.Image.Symbols != "" {
		return s.Image.Symbols
	}
	return s.Image.Path
}

// quote writes a path for gdb's command line.
func quote(path string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(path) + `"`
}
