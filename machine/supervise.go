package machine

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"pith"
)

// Supervisor owns one machine while it runs: it starts it, keeps its log and
// its state, and takes requests of other processes (see Remote). It lives in
// `pith run` in the foreground, and in a process of its own behind -d.
type Supervisor struct {
	Entry  *Entry
	Driver Driver
	Cards  []Card
	Disks  []Disk
	// Output also takes what the program prints, as it comes; nil is nowhere.
	Output io.Writer
	// Input is the program's standard input; nil is an empty one.
	Input io.Reader
	// Window is the size of the terminal that Input and Output are, zero where
	// they are none.
	Window Window
	// SetTerminal is called with each mode that the program sets its terminal to, nil
	// for that of before; a nil SetTerminal is nobody.
	SetTerminal func(*TerminalMode)
	// Started is called when the machine runs; nil is nobody.
	Started func()
	// Ready is called once for each published port that the program listens
	// at; nil is nobody.
	Ready func(pith.Port)

	log      *LogWriter
	requests net.Listener
	state    State

	mu      sync.Mutex
	running Running // nil until it is started
	pending []int   // signals that came before that

	listenMu sync.Mutex
	listens  []string // where the program has listened: "tcp/80"

	ended   chan struct{} // closed when exit is there
	exit    Exit
	answers sync.WaitGroup // requests that are being answered
}

// Run starts the machine and returns when it has ended. The error says that it
// was never started; then its folder is gone as if it had never been made. With
// Spec.Remove the folder is gone in any case.
func (s *Supervisor) Run() (Exit, error) {
	s.ended = make(chan struct{})
	if err := s.start(); err != nil {
		s.closeAll()
		return Exit{Code: ExitFailure}, errors.Join(err, s.Entry.Discard())
	}
	go s.serve()
	if s.Started != nil {
		s.Started()
	}
	exit := s.running.Wait()
	return exit, s.finish(exit)
}

func (s *Supervisor) start() error {
	var err error
	if s.log, err = s.Entry.OpenLog(); err != nil {
		return err
	}
	if s.requests, err = listen(s.Entry.Dir); err != nil {
		return err
	}
	if err := s.launch(); err != nil {
		return err
	}
	if s.state.Supervisor, err = Self(); err != nil {
		return errors.Join(err, s.kill())
	}
	s.state.Status, s.state.Started = StatusRunning, time.Now()
	s.state.Process = s.running.Process()
	if err := s.Entry.SetState(s.state); err != nil {
		return errors.Join(err, s.kill())
	}
	return nil
}

// launch starts the machine and hands it the signals that came meanwhile.
func (s *Supervisor) launch() error {
	var console io.Writer = s.log
	if s.Output != nil {
		console = tee{s.Output, s.log}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	running, err := s.Driver.Start(Launch{
		Spec:    s.Entry.Spec,
		Cards:   s.Cards,
		Disks:   s.Disks,
		Dir:     filepath.Join(s.Entry.Dir, driverDir),
		Console: console,
		Input:   s.Input,
		Window:  s.Window,
		Notify:  s.notifier(console),
	})
	if err != nil {
		return err
	}
	s.running = running
	for _, number := range s.pending {
		running.Signal(number) // a machine that has just ended needs none
	}
	return nil
}

// tee writes to the log even where the terminal is gone.
type tee struct{ terminal, log io.Writer }

func (t tee) Write(p []byte) (int, error) {
	t.terminal.Write(p)
	return t.log.Write(p)
}

// notifier turns listen messages into Ready calls, terminal messages into
// SetTerminal calls, and stamps into lines of the console.
func (s *Supervisor) notifier(console io.Writer) func(Message) {
	told := map[pith.Port]bool{}
	return func(m Message) {
		if number, name, at, ok := m.Stamp(); ok {
			fmt.Fprintf(console, "pith: stamp %d %s at %.1f ms\n", number, name, at.Seconds()*1000)
			return
		}
		if mode, ok := m.Terminal(); ok {
			if s.SetTerminal != nil {
				s.SetTerminal(mode)
			}
			return
		}
		protocol, port, ok := m.Listen()
		if !ok {
			return
		}
		s.noteListen(listenWord(protocol, port))
		if s.Ready == nil {
			return
		}
		for _, p := range s.Entry.Spec.Ports {
			if p.Guest == port && p.Protocol == protocol && !told[p] {
				told[p] = true
				s.Ready(p)
			}
		}
	}
}

func (s *Supervisor) noteListen(word string) {
	s.listenMu.Lock()
	defer s.listenMu.Unlock()
	if !slices.Contains(s.listens, word) {
		s.listens = append(s.listens, word)
	}
}

func listenWord(protocol string, port uint16) string { return fmt.Sprintf("%s/%d", protocol, port) }

// Signal hands a signal to the program inside, or keeps it until the machine
// was started.
func (s *Supervisor) Signal(number int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil {
		s.pending = append(s.pending, number)
		return nil
	}
	return s.running.Signal(number)
}

// stats asks the machine for its figures, as JSON.
func (s *Supervisor) stats() (string, error) {
	m, ok := s.running.(Measured)
	if !ok {
		return "", fmt.Errorf("driver %s knows no figures of its machines", s.Driver.Name())
	}
	figures, err := m.Stats()
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(figures)
	return string(text), err
}

// pressButton presses the machine's power button.
func (s *Supervisor) pressButton() error {
	b, ok := s.running.(Button)
	if !ok {
		return fmt.Errorf("driver %s has no power button", s.Driver.Name())
	}
	return b.PressButton()
}

// Resize tells the program that its terminal has another size.
func (s *Supervisor) Resize(w Window) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t, ok := s.running.(Terminal); ok {
		return t.Resize(w)
	}
	return nil
}

// Kill ends the machine at once.
func (s *Supervisor) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil {
		return nil
	}
	return s.running.Kill()
}

// kill ends a machine that was started but can't be kept.
func (s *Supervisor) kill() error {
	err := s.running.Kill()
	s.running.Wait()
	return err
}

func (s *Supervisor) finish(exit Exit) error {
	s.state.Status, s.state.Ended = StatusExited, time.Now()
	s.state.ExitCode = exit.Code
	if exit.Err != nil {
		s.state.Error = exit.Err.Error()
	}
	logErr := s.log.Close()
	err := s.Entry.SetState(s.state)
	s.exit = exit
	close(s.ended)
	s.requests.Close()
	s.drain()
	if s.Entry.Spec.Remove {
		err = s.Entry.Discard()
	}
	return errors.Join(logErr, err)
}

// drain lets those who wait for the end hear of it before this process, which
// usually ends now too, is gone.
func (s *Supervisor) drain() {
	done := make(chan struct{})
	go func() {
		s.answers.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(drainTime):
	}
}

func (s *Supervisor) closeAll() {
	if s.log != nil {
		s.log.Close()
	}
	if s.requests != nil {
		s.requests.Close()
	}
}

// requestTime bounds how long a client may take to say what it wants.
const requestTime = 10 * time.Second

// drainTime bounds how long an ended machine's supervisor stays for answers.
const drainTime = 500 * time.Millisecond

// serve answers other processes until the listener is closed.
func (s *Supervisor) serve() {
	for {
		conn, err := s.requests.Accept()
		if err != nil {
			return
		}
		s.answers.Go(func() { s.answer(conn) })
	}
}

// answer takes one request, a line, and replies with one line: "ok ..." or
// "error ...".
func (s *Supervisor) answer(conn net.Conn) {
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(requestTime))
	line, err := bufio.NewReader(io.LimitReader(conn, 4096)).ReadString('\n')
	if err != nil {
		return
	}
	reply, err := s.handle(strings.TrimSuffix(line, "\n"))
	if err != nil {
		reply = "error " + strings.ReplaceAll(err.Error(), "\n", " ")
	} else {
		reply = strings.TrimSpace("ok " + reply)
	}
	fmt.Fprintln(conn, reply)
}

func (s *Supervisor) handle(request string) (string, error) {
	verb, rest, _ := strings.Cut(request, " ")
	switch verb {
	case "signal":
		n, err := strconv.Atoi(rest)
		if err != nil || n < 1 || n > 31 {
			return "", fmt.Errorf("%q is no signal from 1 to 31", rest)
		}
		return "", s.Signal(n)
	case "button":
		return "", s.pressButton()
	case "listens":
		s.listenMu.Lock()
		defer s.listenMu.Unlock()
		return strings.Join(s.listens, " "), nil
	case "stats":
		return s.stats()
	case "profile":
		return "", s.profile(rest)
	case "kill":
		return "", s.Kill()
	case "debug":
		return "", s.running.Debug(rest)
	case "wait":
		<-s.ended
		return strconv.Itoa(s.exit.Code), nil
	default:
		return "", fmt.Errorf("unknown request %q", verb)
	}
}

// listen makes the socket that requests come to.
func listen(dir string) (net.Listener, error) {
	path, done, err := socketPath(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	os.Remove(path) // of a supervisor that is gone
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for requests: %w", err)
	}
	// The path may be a way through this process's descriptors; the folder
	// is removed as a whole.
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	return l, nil
}
