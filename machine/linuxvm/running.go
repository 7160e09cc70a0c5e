package linuxvm

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"

	"pith"
	"pith/abi"
	"pith/machine"
	"pith/machine/qemu"
)

// vm is a machine that runs.
type vm struct {
	cmd     *exec.Cmd
	id      machine.ProcessID
	control net.Conn
	outputs sync.WaitGroup
	stderr  strings.Builder
	ended   chan struct{}
	waitErr error

	mu     sync.Mutex
	killed bool
	code   *int
	oom    bool
}

// startVM runs QEMU with its channels.
func startVM(cmd *exec.Cmd, g *Guest, disk, accel string, l machine.Launch) (_ *vm, err error) {
	m := &vm{cmd: cmd, ended: make(chan struct{})}
	args, taps := vmArguments(g, disk, accel, l)
	cmd.Args = append(cmd.Args, args...)
	cmd.Stderr = &m.stderr
	cmd.SysProcAttr = endWithUs()
	channels := 3
	if l.Input != nil {
		channels++
	}
	var ours []net.Conn
	defer func() {
		for _, f := range cmd.ExtraFiles[:min(channels, len(cmd.ExtraFiles))] {
			f.Close()
		}
		if err != nil {
			for _, c := range ours {
				c.Close()
			}
		}
	}()
	for range channels {
		mine, theirs, err := socketPair()
		if err != nil {
			return nil, fmt.Errorf("linuxvm: channel: %w", err)
		}
		ours = append(ours, mine)
		cmd.ExtraFiles = append(cmd.ExtraFiles, theirs)
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, taps...)
	if err := m.exec(); err != nil {
		return nil, fmt.Errorf("start QEMU: %w", err)
	}
	m.control = ours[2]
	if l.Input != nil {
		go m.passInput(l.Input, ours[3])
	}
	runs := sync.OnceFunc(func() { qemu.WelcomeMany(m.id, l.Cards) })
	console := &lockedWriter{to: l.Console}
	m.outputs.Go(func() { pump(console, ours[0]) })
	m.outputs.Go(func() { pump(console, ours[1]) })
	m.outputs.Go(func() {
		pump(&machine.LineReader{Notify: m.watch(func(msg machine.Message) { runs(); l.Notify(msg) })}, ours[2])
	})
	return m, nil
}

// passInput copies standard input to the guest, and tells it how much there was when it
// ends. It ends with the machine, though perhaps only after the input's next byte.
func (m *vm) passInput(from io.Reader, to net.Conn) {
	defer to.Close()
	n, _ := io.Copy(to, from)                            // input that fails has ended
	fmt.Fprintf(m.control, "%s %d\n", abi.ControlEnd, n) // a guest that has ended needs none
	<-m.ended
}

// lockedWriter keeps the kernel's writes from overlapping the program's.
type lockedWriter struct {
	mu sync.Mutex
	to io.Writer
}

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(p)
}

// pump copies a channel until QEMU closes it; an output that can't be written
// must not stop the guest.
func pump(to io.Writer, from net.Conn) {
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			to.Write(buf[:n])
		}
		if err != nil {
			return
		}
	}
}

// exec starts QEMU on a thread of its own: the kernel takes the death of the
// thread that started a child for the death of its parent.
func (m *vm) exec() error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := m.cmd.Start()
		if err == nil {
			// One that has ended already is explained by Wait.
			m.id, _ = machine.Identify(m.cmd.Process.Pid)
		}
		started <- err
		if err == nil {
			m.waitErr = m.cmd.Wait()
			close(m.ended)
		}
	}()
	return <-started
}

// watch keeps what the guest says about its end.
func (m *vm) watch(notify func(machine.Message)) func(machine.Message) {
	return func(msg machine.Message) {
		m.mu.Lock()
		if code, ok := msg.ExitCode(); ok {
			m.code = &code
		}
		m.oom = m.oom || msg.Kind == abi.ControlOutOfMemory
		ended := m.code != nil
		m.mu.Unlock()
		notify(msg)
		if ended {
			m.cmd.Process.Kill() // all that the program printed has left the guest
		}
	}
}

// Process identifies QEMU's process.
func (m *vm) Process() machine.ProcessID { return m.id }

// Signal sends a control message; it stays in the channel until init reads it.
func (m *vm) Signal(number int) error {
	m.control.SetWriteDeadline(time.Now().Add(time.Second))
	if _, err := fmt.Fprintf(m.control, "%s %d\n", abi.ControlSignal, number); err != nil {
		return fmt.Errorf("signal %d: %w", number, err)
	}
	return nil
}

// Debug is not there.
func (m *vm) Debug(string) error { return pith.Errorf("pith debug looks into unikernels") }

// Kill ends QEMU at once.
func (m *vm) Kill() error {
	m.mu.Lock()
	m.killed = true
	m.mu.Unlock()
	if err := m.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill QEMU: %w", err)
	}
	return nil
}

// Wait returns when QEMU has ended and its outputs were read.
func (m *vm) Wait() machine.Exit {
	<-m.ended
	m.outputs.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.code != nil && m.oom:
		return machine.Exit{Code: *m.code, Err: machine.ErrMemory}
	case m.code != nil:
		return machine.Exit{Code: *m.code}
	case m.killed:
		return machine.Exit{Code: machine.ExitKilled}
	default:
		return machine.Exit{Code: machine.ExitFailure, Err: m.failure()}
	}
}

// failure says why QEMU ended without the guest's word.
func (m *vm) failure() error {
	if text := strings.TrimSpace(m.stderr.String()); text != "" {
		return fmt.Errorf("QEMU failed: %s", text)
	}
	if m.waitErr != nil {
		return fmt.Errorf("QEMU was ended from outside: %w", m.waitErr)
	}
	return errors.New("the Linux machine ended without a word; what its kernel said last is in the log")
}
