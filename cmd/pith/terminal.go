package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"pith/machine"
)

// terminal is an output that may be a person's screen.
type terminal struct {
	io.Writer
	person bool // it is a screen, not a file or pipe
	colour bool
}

// newTerminal looks what an output is. Colours follow no-color.org.
func newTerminal(f *os.File) terminal {
	person := term.IsTerminal(int(f.Fd()))
	colour := person && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return terminal{f, person, colour}
}

func (t terminal) paint(code, s string) string {
	if !t.colour {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (t terminal) red(s string) string   { return t.paint("31", s) }
func (t terminal) green(s string) string { return t.paint("32", s) }
func (t terminal) bold(s string) string  { return t.paint("1", s) }

// json writes v for a script.
func (t terminal) json(v any) error {
	e := json.NewEncoder(t)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// table writes rows in aligned columns, the header first.
func (t terminal) table(header string, rows [][]string) error {
	w := tabwriter.NewWriter(t, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, strings.ReplaceAll(header, " ", "\t"))
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

// quietTime is how long a task may take before it shows what it does.
const quietTime = 2 * time.Second

// progress shows what a task does once it has taken longer than quietTime: on
// a screen one line that is overwritten each second, elsewhere now and then a
// line.
type progress struct {
	to    terminal
	start time.Time
	stop  chan struct{}
	idle  sync.WaitGroup

	mu   sync.Mutex
	step string
	said string // the last step that was written
}

func newProgress(to terminal) *progress {
	p := &progress{to: to, start: time.Now(), stop: make(chan struct{})}
	p.idle.Go(p.show)
	return p
}

// update takes the next step's name.
func (p *progress) update(step string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.step = strings.TrimSpace(step)
}

func (p *progress) show() {
	wait := quietTime
	for {
		select {
		case <-p.stop:
			return
		case <-time.After(wait):
		}
		p.write()
		wait = time.Second
		if !p.to.person {
			wait = quietTime
		}
	}
}

func (p *progress) write() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.to.person {
		p.said = p.step
		fmt.Fprintf(p.to, "\r\x1b[K%s (%.0f s)", p.step, time.Since(p.start).Seconds())
		return
	}
	if p.step != p.said {
		p.said = p.step
		fmt.Fprintln(p.to, p.step)
	}
}

// done clears the line.
func (p *progress) done() {
	close(p.stop)
	p.idle.Wait()
	if p.to.person && p.said != "" {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
}

// window is the size of the terminal that pith's input and output are, zero
// where they are none.
func (a *app) window() machine.Window {
	if !term.IsTerminal(int(os.Stdin.Fd())) || !a.out.person {
		return machine.Window{}
	}
	columns, rows, err := term.GetSize(int(os.Stdin.Fd()))
	if err != nil || columns <= 0 || rows <= 0 {
		return machine.Window{Rows: 24, Columns: 80}
	}
	return machine.Window{Rows: rows, Columns: columns}
}

// terminalEnv is what a program asks about the terminal that it prints to.
func terminalEnv() []string {
	var env []string
	for _, name := range []string{"TERM", "COLORTERM", "NO_COLOR"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// ownTerminal is pith's own, set as the program wants it.
type ownTerminal struct {
	fd int

	mu     sync.Mutex
	before *unix.Termios // as it was; nil before the program changes it
	closed bool
}

// set sets the terminal's modes; nil are those of before. Control characters and
// speed stay the person's own.
func (t *ownTerminal) set(mode *machine.TerminalMode) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now, err := unix.IoctlGetTermios(t.fd, unix.TCGETS)
	if err != nil || t.closed {
		return
	}
	if mode == nil {
		t.putBack()
		return
	}
	if t.before == nil {
		copied := *now
		t.before = &copied
	}
	now.Iflag, now.Oflag, now.Lflag = mode.Input, mode.Output, mode.Local
	now.Cc[unix.VMIN], now.Cc[unix.VTIME] = 1, 0 // pith itself reads as it likes to
	unix.IoctlSetTermios(t.fd, unix.TCSETS, now)
}

// restore makes the terminal what it was before the program ran.
func (t *ownTerminal) restore() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	t.putBack()
}

// putBack does it. The caller holds t.mu.
func (t *ownTerminal) putBack() {
	if t.before != nil {
		unix.IoctlSetTermios(t.fd, unix.TCSETSW, t.before)
		t.before = nil
	}
}

// followWindow tells the machine when its terminal changes size.
func (a *app) followWindow(s *machine.Supervisor) (stop func()) {
	changes := make(chan os.Signal, 1)
	signal.Notify(changes, syscall.SIGWINCH)
	go func() {
		for range changes {
			s.Resize(a.window()) // a machine that has just ended needs none
		}
	}()
	return func() {
		signal.Stop(changes)
		close(changes)
	}
}
