package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"time"

	"pith/bench/lab"
)

// Native is the same executable as a process of the host in a network namespace
// of its own, reached over veth: what the hardware could do. Its CPUs are
// limited by GOMAXPROCS, its memory is not.
type Native struct {
	Label     string // what the report calls it; "" is "native"
	Program   string
	Args, Env []string
	Late      bool // the program begins when its network is there: it looks for it only once
}

// Name is the label.
func (t *Native) Name() string {
	if t.Label == "" {
		return "native"
	}
	return t.Label
}

// Machine is false.
func (t *Native) Machine() bool { return false }

// Prepare looks whether the program is there.
func (t *Native) Prepare(context.Context) error {
	if _, err := os.Stat(t.Program); err != nil {
		return fmt.Errorf("bench: program: %w", err)
	}
	if _, err := exec.LookPath("nsenter"); err != nil {
		return fmt.Errorf("bench: %w (Debian and Ubuntu: apt-get install util-linux)", err)
	}
	return nil
}

// Shipped is the program.
func (t *Native) Shipped() []string { return []string{t.Program} }

// Start starts the process, then gives it its network.
func (t *Native) Start(ctx context.Context, l *lab.Lab, s Shape) (Instance, error) {
	console := newTranscript(s, runtimeMark, servesMark)
	cmd := t.command()
	cmd.Env = append(append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(s.CPUs)), traced(s, t.Env)...)
	cmd.Stdout, cmd.Stderr = console, console
	cmd.SysProcAttr = lab.OwnNetwork()
	i := &nativeInstance{cmd: cmd, lab: l, console: console, done: make(chan struct{}), started: time.Now()}
	gate, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	defer gate.Close()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	i.begun = time.Now()
	go i.wait()
	place, err := l.Veth(ctx, cmd.Process.Pid)
	if err != nil {
		return nil, errors.Join(err, i.kill())
	}
	i.place = place
	return i, nil
}

// command is the program, or a shell that becomes the program when its input ends.
func (t *Native) command() *exec.Cmd {
	if !t.Late {
		return exec.Command(t.Program, t.Args...)
	}
	const wait = `read -r _; exec "$0" "$@"`
	return exec.Command("/bin/sh", append([]string{"-c", wait, t.Program}, t.Args...)...)
}

type nativeInstance struct {
	cmd     *exec.Cmd
	lab     *lab.Lab
	place   lab.Place
	console *transcript
	done    chan struct{}
	started time.Time
	begun   time.Time // when the process had become the program
}

func (i *nativeInstance) wait() {
	i.cmd.Wait() // how it ended is of no interest: it is killed
	close(i.done)
}

func (i *nativeInstance) Addr() netip.Addr      { return i.place.Addr.Addr() }
func (i *nativeInstance) Started() time.Time    { return i.started }
func (i *nativeInstance) PID() int              { return i.cmd.Process.Pid }
func (i *nativeInstance) Done() <-chan struct{} { return i.done }
func (i *nativeInstance) Console() string       { return i.console.String() }
func (i *nativeInstance) Facts() (Facts, error) { return Facts{"none", "host"}, nil }

// Stages are the exec, then the program's lines. The network is made beside them:
// it belongs to the answer.
func (i *nativeInstance) Stages() []Stage {
	program := i.console.stages(func(m *marks) []Stage { return m.stages(i.started, StageRuntime, StageMain) })
	return append([]Stage{{StageVMM, i.begun.Sub(i.started)}}, program...)
}

// Threads is every thread of the process.
func (i *nativeInstance) Threads() ([]int, error) { return threads(i.PID()) }

func threads(pid int) ([]int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	var ids []int
	for _, e := range entries {
		id, err := strconv.Atoi(e.Name())
		if err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func (i *nativeInstance) kill() error {
	err := lab.KillGroup(i.cmd.Process.Pid)
	<-i.done
	return err
}

// Stop ends the process; its namespace goes with it, and the veth pair with
// that, but not at once.
func (i *nativeInstance) Stop(ctx context.Context) error {
	return errors.Join(i.lab.Remove(ctx, i.place), i.kill())
}
