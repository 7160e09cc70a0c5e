// Package machinetest is the contract that every machine driver keeps, as
// tests: it runs the program in folder guest in machines of the driver.
//
// It relies on package machine, on an image of the guest that its caller built,
// and on loopback ports of the host. It must not know a driver: what one
// can't do, its Suite says.
package machinetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pith"
	"pith/machine"
)

// GuestFolder is the folder of the program to build, a module of its own, as
// seen from a package two folders below the root.
const GuestFolder = "../../machine/machinetest/guest"

// Patience is how long the suite waits for anything, several times what an
// emulated machine on a busy host needs.
const Patience = 2 * time.Minute

// lastConsole is how much of the console a failed test shows, in bytes.
const lastConsole = 4000

// Suite is a driver and what it needs to be tried.
type Suite struct {
	Driver machine.Driver
	Image  *pith.Image // of GuestFolder
	Type   string      // a machine type
	CPUs   int
	// UserLink configures a card on the driver's rootless network; nil where
	// the driver has none.
	UserLink func(mac string) pith.Link
}

// Run tries the whole contract.
func Run(t *testing.T, s Suite) {
	t.Run("arguments", s.arguments)
	t.Run("exit code", s.exitCode)
	t.Run("panic", s.panics)
	t.Run("nil pointer", s.nilPointer)
	t.Run("output", s.output)
	t.Run("kill", s.kill)
	t.Run("memory", s.memory)
	t.Run("no input", s.noInput)
	t.Run("input", s.input)
	t.Run("files", s.files)
	t.Run("volume", s.volume)
	if s.UserLink == nil {
		return
	}
	t.Run("HTTP", s.answers)
	t.Run("echo", s.echo)
	t.Run("drain", s.drain)
}

// trial is one machine under test.
type trial struct {
	*testing.T
	entry *machine.Entry
	out   *buffer
	ports []pith.Port
	ready chan pith.Port
	ended chan struct{} // closed when exit is there
	exit  machine.Exit
}

// start runs the guest with arguments; ports are published in Docker's
// notation.
func (s Suite) start(t *testing.T, ports []string, args ...string) *trial {
	t.Helper()
	return s.startWith(t, func(*machine.Spec) {}, ports, args...)
}

// startWith is start of a machine that change has changed.
func (s Suite) startWith(t *testing.T, change func(*machine.Spec), ports []string, args ...string) *trial {
	t.Helper()
	return s.startReading(t, nil, change, ports, args...)
}

// startReading is startWith for a machine with a standard input.
func (s Suite) startReading(t *testing.T, input io.Reader, change func(*machine.Spec), ports []string, args ...string) *trial {
	t.Helper()
	return s.startAll(t, input, nil, change, ports, args...)
}

// startAll is startReading with disks.
func (s Suite) startAll(t *testing.T, input io.Reader, disks []machine.Disk, change func(*machine.Spec), ports []string, args ...string) *trial {
	t.Helper()
	spec := machine.Spec{
		Machine: pith.Machine{
			Name: "contract", Image: s.Image, CPUs: s.CPUs, Memory: machine.DefaultMemory,
			Args: args, Env: []string{"CONTRACT=kept"},
		},
		What: GuestFolder, Type: s.Type, Created: time.Now(),
	}
	change(&spec)
	for _, text := range ports {
		p, err := machine.ParsePort(text)
		if err != nil {
			t.Fatal(err)
		}
		spec.Ports = append(spec.Ports, p)
	}
	var err error
	if spec.Ports, err = machine.FreePorts(spec.Ports); err != nil {
		t.Fatal(err)
	}
	entry, err := machine.OpenStore(t.TempDir()).Create(spec)
	if err != nil {
		t.Fatal(err)
	}
	tr := &trial{T: t, entry: entry, out: &buffer{}, ports: spec.Ports, ready: make(chan pith.Port, 16), ended: make(chan struct{})}
	tr.run(&machine.Supervisor{
		Entry: entry, Driver: s.Driver, Cards: s.cards(spec), Disks: disks, Output: tr.out, Input: input,
		Ready: func(p pith.Port) { tr.ready <- p },
	})
	return tr
}

func (s Suite) cards(spec machine.Spec) []machine.Card {
	if s.UserLink == nil {
		return nil
	}
	return []machine.Card{{
		Link: s.UserLink(machine.MAC(spec.Name, 0)),
		Wire: machine.Wire{User: true, Ports: spec.Ports},
	}}
}

func (t *trial) run(s *machine.Supervisor) {
	started := make(chan struct{})
	s.Started = func() { close(started) }
	go func() {
		defer close(t.ended)
		exit, err := s.Run()
		if err != nil {
			t.Errorf("the machine does not run: %v", err)
		}
		t.exit = exit
	}()
	t.Cleanup(func() {
		s.Kill()
		<-t.ended
		if t.Failed() {
			text := t.out.String()
			t.Logf("the console's end:\n%s", text[max(0, len(text)-lastConsole):])
		}
	})
	select {
	case <-started:
	case <-t.ended:
	case <-time.After(Patience):
		t.Fatal("the machine does not start")
	}
}

// wait returns how the machine ended.
func (t *trial) wait() machine.Exit {
	t.Helper()
	select {
	case <-t.ended:
	case <-time.After(Patience):
		t.Fatal("the machine does not end")
	}
	return t.exit
}

// says waits until the console holds text.
func (t *trial) says(text string) {
	t.Helper()
	for begin := time.Now(); time.Since(begin) < Patience; time.Sleep(10 * time.Millisecond) {
		ended := t.hasEnded() // asked before the console is read
		if strings.Contains(t.out.String(), text) {
			return
		}
		if ended {
			break
		}
	}
	t.Fatalf("the console does not say %q", text)
}

func (t *trial) hasEnded() bool {
	select {
	case <-t.ended:
		return true
	default:
		return false
	}
}

// listens waits until the guest listens at all published ports.
func (t *trial) listens() {
	t.Helper()
	for range t.ports {
		select {
		case <-t.ready:
		case <-t.ended:
			t.Fatalf("the machine ended: %+v", t.exit)
		case <-time.After(Patience):
			t.Fatal("the guest does not listen")
		}
	}
}

func (s Suite) arguments(t *testing.T) {
	before := time.Now().Unix()
	m := s.start(t, nil, "say", "one", "", "three words here")
	if exit := m.wait(); exit.Code != 0 || exit.Err != nil {
		t.Errorf("exit = %+v", exit)
	}
	m.says(`args ["one" "" "three words here"]`)
	m.says("env kept")
	m.says(fmt.Sprintf("cpus %d\n", s.CPUs))
	var said int64
	_, rest, _ := strings.Cut(m.out.String(), "time ")
	fmt.Sscan(rest, &said)
	if said < before-1 || said > time.Now().Unix()+1 {
		t.Errorf("the guest's clock says %d, the host's %d", said, before)
	}
}

func (s Suite) exitCode(t *testing.T) {
	for _, code := range []int{0, 3, 255} {
		m := s.start(t, nil, "exit", fmt.Sprint(code))
		if exit := m.wait(); exit.Code != code || exit.Err != nil {
			t.Errorf("exit = %+v, want %d", exit, code)
		}
		if got := m.entry.State(); got.Status != machine.StatusExited || got.ExitCode != code {
			t.Errorf("state = %+v", got)
		}
	}
}

func (s Suite) panics(t *testing.T) {
	m := s.start(t, nil, "panic")
	if exit := m.wait(); exit.Code != 2 || exit.Err != nil {
		t.Errorf("exit = %+v, want Go's 2", exit)
	}
	m.says("panic: on purpose")
	m.says("main.main()")
}

func (s Suite) nilPointer(t *testing.T) {
	m := s.start(t, nil, "nil")
	if exit := m.wait(); exit.Code != 2 {
		t.Errorf("exit = %+v, want Go's 2", exit)
	}
	m.says("nil pointer dereference")
}

// output: nothing that is printed is lost, on the terminal or in the log.
func (s Suite) output(t *testing.T) {
	const lines = 20000
	m := s.start(t, nil, "print", fmt.Sprint(lines))
	m.wait()
	n := 0
	err := m.entry.ReadLog(t.Context(), false, func(l machine.LogLine) error {
		if want := fmt.Sprintf("line %d", n); l.Text != want {
			return fmt.Errorf("line %d of the log is %q", n, l.Text)
		}
		n++
		return nil
	})
	if err != nil || n != lines {
		t.Errorf("%d of %d lines are in the log: %v", n, lines, err)
	}
	if got := strings.Count(m.out.String(), "\n"); got != lines {
		t.Errorf("%d of %d lines came to the terminal", got, lines)
	}
}

// memory: a program that takes more than it was given ends, and it is said why.
func (s Suite) memory(t *testing.T) {
	m := s.start(t, nil, "eat")
	exit := m.wait()
	if exit.Code == 0 || m.entry.State().ExitCode != exit.Code {
		t.Errorf("exit = %+v", exit)
	}
	if exit.Err == nil && !strings.Contains(m.out.String(), "out of memory") || exit.Err != nil && !strings.Contains(exit.Err.Error(), "out of memory") {
		t.Errorf("nobody says that memory ran out: %+v", exit)
	}
	if strings.Contains(m.out.String(), "full") {
		t.Error("the program had more memory than it was given")
	}
}

// files: the machine has copies of a folder's files, and begins where it is told
// to.
func (s Suite) files(t *testing.T) {
	source := t.TempDir()
	if err := os.WriteFile(filepath.Join(source, "name"), []byte("contents"), 0o644); err != nil {
		t.Fatal(err)
	}
	m := s.startWith(t, func(spec *machine.Spec) {
		spec.Files, spec.Dir = []pith.File{{Source: source, Target: "/srv/site"}}, "/srv/site"
	}, nil, "cat", "name")
	if exit := m.wait(); exit.Code != 0 || exit.Err != nil {
		t.Errorf("exit = %+v", exit)
	}
	m.says("in /srv/site: contents")
}

// noInput: the standard input of a machine that has none is empty.
func (s Suite) noInput(t *testing.T) {
	m := s.start(t, nil, "read")
	if exit := m.wait(); exit.Code != 0 || exit.Err != nil {
		t.Errorf("exit = %+v", exit)
	}
	m.says("read 0 bytes")
}

// input: the program reads all of a large standard input, in pieces, and its end.
func (s Suite) input(t *testing.T) {
	const pieces, piece = 5, 100_000
	r, w := io.Pipe()
	defer r.Close()
	go func() {
		for range pieces {
			if _, err := w.Write(bytes.Repeat([]byte("i"), piece)); err != nil {
				return
			}
		}
		w.Close()
	}()
	m := s.startReading(t, r, func(*machine.Spec) {}, nil, "read")
	if exit := m.wait(); exit.Code != 0 || exit.Err != nil {
		t.Errorf("exit = %+v", exit)
	}
	m.says(fmt.Sprintf("read %d bytes", pieces*piece))
}

func (s Suite) kill(t *testing.T) {
	m := s.start(t, nil, "deaf")
	m.says("deaf")
	killed, err := m.entry.Remote().Stop(t.Context(), time.Second)
	if err != nil || !killed {
		t.Errorf("Stop: killed %v, %v", killed, err)
	}
	if exit := m.wait(); exit.Code != machine.ExitKilled {
		t.Errorf("exit = %+v, want %d", exit, machine.ExitKilled)
	}
}

func (s Suite) answers(t *testing.T) {
	m := s.start(t, []string{"80"}, "serve")
	m.listens()
	if body := m.get("/world"); body != "hello /world\n" {
		t.Errorf("the answer is %q", body)
	}
}

// get fetches a path of the first published port, which must answer at once.
func (t *trial) get(path string) string {
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("http://%s%s", t.ports[0].Host, path), nil)
	if err != nil {
		t.Error(err)
		return ""
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Errorf("GET %s: %v", path, err)
		return ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Errorf("GET %s: %v", path, err)
	}
	return string(body)
}

func (s Suite) echo(t *testing.T) {
	m := s.start(t, []string{"7", "7/udp"}, "echo")
	m.listens()
	for _, p := range m.ports {
		if err := echoes(p.Protocol, p.Host); err != nil {
			t.Errorf("%s: %v", p.Protocol, err)
		}
	}
}

func echoes(protocol string, address netip.AddrPort) error {
	c, err := net.Dial(protocol, address.String())
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(Patience))
	for size := 1; size <= 1400; size += 199 {
		sent := bytes.Repeat([]byte{byte(size)}, size)
		if _, err := c.Write(sent); err != nil {
			return err
		}
		got := make([]byte, size)
		if _, err := io.ReadFull(c, got); err != nil {
			return fmt.Errorf("%d bytes: %w", size, err)
		}
		if !bytes.Equal(got, sent) {
			return fmt.Errorf("%d bytes came back changed", size)
		}
	}
	return nil
}

// drain: SIGTERM reaches the program, a request on its way is answered, and
// the program ends by its own doing.
func (s Suite) drain(t *testing.T) {
	m := s.start(t, []string{"80"}, "serve")
	m.listens()
	body := make(chan string)
	go func() { body <- m.get("/slow") }()
	m.says("slow request begins")
	killed, err := m.entry.Remote().Stop(t.Context(), Patience)
	if err != nil || killed {
		t.Errorf("Stop: killed %v, %v", killed, err)
	}
	if got := <-body; got != "slow but whole\n" {
		t.Errorf("the request on its way got %q", got)
	}
	if exit := m.wait(); exit.Code != 0 {
		t.Errorf("exit = %+v", exit)
	}
	m.says("drained")
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
