package qemu

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"pith"
	"pith/abi"
	"pith/machine"
	"pith/machine/host"
)

// process is a running QEMU.
type process struct {
	cmd     *exec.Cmd
	id      machine.ProcessID
	board   string // machine.TypeMicroVM or TypeQ35
	qmp     *qmp
	stderr  tail
	outputs sync.WaitGroup // console and events
	ended   chan struct{}  // closed when the process was waited for
	waitErr error

	mu       sync.Mutex
	control  *os.File
	inputEnd *os.File
	answers  chan machine.Stats
	asking   sync.Mutex           // one Stats at a time
	pieces   chan machine.Message // of the profile that is being taken
	taking   sync.Mutex           // one Profile at a time
	input    func()               // starts to pass standard input on; nil where there is none
	runs     func()               // takes in that the guest runs
	killed   bool
	code     *int // of the guest's exit message
	oom      error
}

// start runs QEMU with its channels and returns when the process is there.
func start(path string, h host.Host, accel Accel, l machine.Launch) (_ *process, err error) {
	p := &process{board: l.Spec.Type, answers: make(chan machine.Stats, 1), pieces: make(chan machine.Message, 64), ended: make(chan struct{})}
	var ours, theirs files
	defer func() {
		theirs.close()
		if err != nil {
			ours.close()
		}
	}()
	c := command{
		launch:  l,
		accel:   accel.Kind,
		cpu:     cpuModel(h, accel.Kind),
		block:   filepath.Join(l.Dir, "instance"),
		sandbox: h.OS == "linux",
	}
	for i, fd := range []*int{&c.fds.console, &c.fds.events, &c.fds.control, &c.fds.qmp, &c.fds.input, &c.fds.files} {
		mine, yours, err := channel([]string{"console", "events", "control", "qmp", "input", "files"}[i])
		if err != nil {
			return nil, err
		}
		ours, theirs = append(ours, mine), append(theirs, yours)
		*fd = firstFD + i
	}
	extra := append([]*os.File(nil), theirs...)
	c.fds.wires, extra = wires(l.Cards, extra)

	p.cmd = exec.Command(path)
	p.cmd.ExtraFiles = extra
	p.cmd.Stderr = &p.stderr
	p.cmd.Env = environment(os.Environ())
	p.cmd.SysProcAttr = detached()
	if err := p.exec(c); err != nil {
		return nil, fmt.Errorf("start QEMU: %w", err)
	}
	p.control, p.inputEnd = ours[2], ours[4]
	if l.Input != nil {
		p.input = sync.OnceFunc(func() { go p.passInput(l.Input, p.inputEnd) })
	}
	p.runs = sync.OnceFunc(func() { WelcomeMany(p.id, l.Cards) })
	p.pump(ours[0], l.Console)
	p.pump(ours[1], &machine.LineReader{Notify: p.watch(l.Notify)})
	p.pump(ours[5], machine.NewUnpacker(l.Spec.Returns()))
	go p.hear(p.control)
	p.qmp = openQMP(ours[3])
	return p, nil
}

// firstFD is the number of the first of exec.Cmd's ExtraFiles.
const firstFD = 3

// wires appends the cards' descriptors to files and says their numbers.
func wires(cards []machine.Card, files []*os.File) ([][]int, []*os.File) {
	fds := make([][]int, len(cards))
	for i, card := range cards {
		for _, f := range append([]*os.File{card.Wire.Tap, card.Wire.Stream}, card.Wire.Queues...) {
			if f == nil {
				continue
			}
			fds[i] = append(fds[i], firstFD+len(files))
			files = append(files, f)
		}
	}
	return fds, files
}

// passInput copies standard input to the guest, and tells it how much there was
// when it ends.
func (p *process) passInput(from io.Reader, to *os.File) {
	n, _ := io.Copy(to, from) // input that fails has ended
	p.send("%s %d", abi.ControlEnd, n)
}

// environment leaves out what would change QEMU's behaviour.
func environment(env []string) []string {
	var kept []string
	for _, kv := range env {
		if !strings.HasPrefix(kv, "QEMU_") {
			kept = append(kept, kv)
		}
	}
	return kept
}

// exec writes the instance block, whose clock is read last, and starts QEMU on
// a thread of its own: the kernel takes the death of the thread that started a
// child for the death of its parent (see detached).
func (p *process) exec(c command) error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		p.cmd.Args = append([]string{program}, c.args()...)
		block, err := machine.Block(c.launch, time.Now())
		if err == nil {
			err = os.WriteFile(c.block, block, 0o600)
		}
		if err == nil {
			err = p.cmd.Start()
		}
		if err != nil {
			started <- err
			return
		}
		p.id, err = machine.Identify(p.cmd.Process.Pid)
		if err != nil {
			// It has ended already; Wait tells why.
			p.id = machine.ProcessID{}
		}
		started <- nil
		p.waitErr = p.cmd.Wait()
		close(p.ended)
	}()
	return <-started
}

// pump copies one of QEMU's outputs until QEMU closes it.
func (p *process) pump(from *os.File, to io.Writer) {
	p.outputs.Go(func() {
		defer from.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := from.Read(buf)
			if n > 0 {
				// An output that can't be written any more must not
				// stop the guest.
				to.Write(buf[:n])
			}
			if err != nil {
				return
			}
		}
	})
}

// watch keeps what the guest says about its end.
func (p *process) watch(notify func(machine.Message)) func(machine.Message) {
	return func(m machine.Message) {
		p.runs()
		switch {
		case m.Kind == abi.ControlInput && p.input != nil:
			p.input()
		case m.Kind == abi.ControlTime:
			p.send("%s %d", abi.ControlTime, time.Now().UnixNano()) // a guest that has ended needs none
			return
		}
		p.mu.Lock()
		if code, ok := m.ExitCode(); ok {
			p.code = &code
		}
		if asked, used, given, ok := m.OutOfMemory(); ok {
			p.oom = fmt.Errorf("out of memory: the program asked for %s, used %s and was given %s; try a larger -m",
				machine.FormatMemory(asked), machine.FormatMemory(used), machine.FormatMemory(given))
		}
		p.mu.Unlock()
		if notify != nil {
			notify(m)
		}
	}
}

// Process identifies QEMU's process.
func (p *process) Process() machine.ProcessID { return p.id }

// Signal sends a control message.
func (p *process) Signal(number int) error {
	if err := p.send("%s %d", abi.ControlSignal, number); err != nil {
		return fmt.Errorf("signal %d: %w", number, err)
	}
	return nil
}

// PressButton presses the board's power button; nothing is known of who hears it.
func (p *process) PressButton() error {
	if p.board != machine.TypeQ35 {
		return pith.Errorf("the board %s has no power button: use --machine-type %s", p.board, machine.TypeQ35)
	}
	_, err := p.qmp.run("system_powerdown", nil)
	return err
}

// Resize tells the guest its terminal's size.
func (p *process) Resize(w machine.Window) error {
	return p.send("%s %d %d", abi.ControlWindow, w.Rows, w.Columns)
}

// send writes one control message. It stays in the channel until the guest's
// driver has opened its port.
func (p *process) send(format string, words ...any) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.control == nil {
		return errors.New("the machine has ended")
	}
	p.control.SetWriteDeadline(time.Now().Add(time.Second))
	_, err := fmt.Fprintf(p.control, format+"\n", words...)
	return err
}

// Debug opens QEMU's gdb server on a Unix socket.
func (p *process) Debug(path string) error {
	if err := p.qmp.monitor("gdbserver unix:" + escape(path) + ",server=on,wait=off"); err != nil {
		return fmt.Errorf("open the debugger's socket: %w", err)
	}
	return nil
}

// escape doubles commas, as QEMU's option values want it.
func escape(s string) string { return strings.ReplaceAll(s, ",", ",,") }

// quitTime is how long QEMU may take to end by itself.
const quitTime = 500 * time.Millisecond

// Kill ends QEMU: by QMP, so that it closes what it holds, and by a signal if
// that doesn't do it soon.
func (p *process) Kill() error {
	p.mu.Lock()
	p.killed = true
	p.mu.Unlock()
	go p.qmp.run("quit", nil)
	select {
	case <-p.ended:
		return nil
	case <-time.After(quitTime):
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill QEMU: %w", err)
	}
	return nil
}

// Wait returns when QEMU has ended and its outputs were read.
func (p *process) Wait() machine.Exit {
	<-p.ended
	p.outputs.Wait()
	reason := p.qmp.shutdownReason()
	p.qmp.conn.Close()

	p.mu.Lock()
	defer p.mu.Unlock()
	p.control.Close()
	p.control = nil
	p.inputEnd.Close()
	return ending{
		status: p.cmd.ProcessState.ExitCode(),
		code:   p.code,
		oom:    p.oom,
		killed: p.killed,
		reason: reason,
		stderr: p.stderr.String(),
		err:    p.waitErr,
	}.exit()
}

// files are closed together.
type files []*os.File

func (f files) close() {
	for _, file := range f {
		file.Close()
	}
}

// tail keeps the last bytes that were written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 8 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if extra := len(t.buf) - tailSize; extra > 0 {
		t.buf = t.buf[extra:]
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.ToValidUTF8(t.buf, []byte("?")))
}
