package machine

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pith"
	"pith/abi"
)

// fake is a driver whose machines are a goroutine: they print what they are
// told and end at a signal, unless they are deaf.
type fake struct {
	deaf   bool
	refuse error

	launch  Launch
	signals chan int
	kill    chan struct{}
}

func (f *fake) Name() string     { return "fake" }
func (f *fake) Check(Spec) error { return nil }
func (f *fake) Start(l Launch) (Running, error) {
	if f.refuse != nil {
		return nil, f.refuse
	}
	f.launch, f.signals, f.kill = l, make(chan int, 8), make(chan struct{}, 8)
	return f, nil
}
func (f *fake) Process() ProcessID   { return ProcessID{} }
func (f *fake) Signal(n int) error   { f.signals <- n; return nil }
func (f *fake) Debug(p string) error { return errors.New("no debugger at " + p) }
func (f *fake) Kill() error          { f.kill <- struct{}{}; return nil }
func (f *fake) Wait() Exit {
	f.launch.Console.Write([]byte("hello\n"))
	f.launch.Notify(Message{abi.ControlListen, []string{"tcp", "80"}})
	f.launch.Notify(Message{abi.ControlListen, []string{"tcp", "80"}})
	f.launch.Notify(Message{abi.ControlListen, []string{"tcp", "81"}})
	for {
		select {
		case n := <-f.signals:
			if !f.deaf {
				return Exit{Code: 128 + n}
			}
		case <-f.kill:
			return Exit{Code: ExitKilled}
		}
	}
}

// supervised starts a machine in the background; end waits for it.
func supervised(t *testing.T, f *fake, e *Entry) (s *Supervisor, ready chan pith.Port, end func() Exit) {
	t.Helper()
	started := make(chan struct{})
	ready = make(chan pith.Port, 8)
	s = &Supervisor{Entry: e, Driver: f, Started: func() { close(started) }, Ready: func(p pith.Port) { ready <- p }}
	done := make(chan Exit, 1)
	go func() {
		exit, err := s.Run()
		if err != nil {
			t.Error(err)
		}
		done <- exit
	}()
	<-started
	return s, ready, func() Exit { return <-done }
}

func TestSupervisedMachineStops(t *testing.T) {
	spec := validSpec("web")
	spec.Ports = []pith.Port{{Protocol: TCP, Guest: 80}, {Protocol: TCP, Guest: 82}}
	store := OpenStore(t.TempDir())
	e, err := store.Create(spec)
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{}
	_, ready, end := supervised(t, f, e)
	if got := e.State().Status; got != StatusRunning {
		t.Errorf("status = %s", got)
	}
	if p := <-ready; p.Guest != 80 {
		t.Errorf("ready: %v", p)
	}
	if ok, err := e.Remote().Listens(t.Context(), TCP, 80); err != nil || !ok {
		t.Errorf("listens at 80: %v, %v", ok, err)
	}
	if ok, err := e.Remote().Listens(t.Context(), UDP, 80); err != nil || ok {
		t.Errorf("listens at 80/udp: %v, %v", ok, err)
	}
	if err := e.Remote().Debug("/x"); err == nil || err.Error() != "no debugger at /x" {
		t.Errorf("an error across the socket: %v", err)
	}
	waited := make(chan int)
	go func() {
		code, err := e.Remote().Wait(context.Background())
		if err != nil {
			t.Error(err)
		}
		waited <- code
	}()
	killed, err := e.Remote().Stop(t.Context(), 5*time.Second)
	if err != nil || killed {
		t.Errorf("Stop: killed %v, %v", killed, err)
	}
	if exit := end(); exit.Code != 128+15 {
		t.Errorf("exit = %+v", exit)
	}
	if code := <-waited; code != 128+15 {
		t.Errorf("a client waited for %d", code)
	}
	if s := e.State(); s.Status != StatusExited || s.ExitCode != 128+15 || s.Ended.IsZero() {
		t.Errorf("state = %+v", s)
	}
	if got := lines(t, e); len(got) != 1 || got[0] != "hello|" {
		t.Errorf("log = %q", got)
	}
	if len(ready) != 0 {
		t.Errorf("a port was ready twice, or one that is not published: %v", <-ready)
	}
	if killed, err := e.Remote().Stop(t.Context(), time.Second); killed || err != nil {
		t.Errorf("stopping twice: %v, %v", killed, err)
	}
}

func TestDeafMachineIsKilled(t *testing.T) {
	e := newEntry(t)
	_, _, end := supervised(t, &fake{deaf: true}, e)
	killed, err := e.Remote().Stop(t.Context(), 50*time.Millisecond)
	if err != nil || !killed {
		t.Errorf("Stop: killed %v, %v", killed, err)
	}
	if exit := end(); exit.Code != ExitKilled {
		t.Errorf("exit = %+v", exit)
	}
}

func TestRemovedWhenEnded(t *testing.T) {
	spec := validSpec("web")
	spec.Remove = true
	e, err := OpenStore(t.TempDir()).Create(spec)
	if err != nil {
		t.Fatal(err)
	}
	s, _, end := supervised(t, &fake{}, e)
	s.Signal(2)
	if exit := end(); exit.Code != 128+2 {
		t.Errorf("exit = %+v", exit)
	}
	if _, err := os.Stat(e.Dir); !os.IsNotExist(err) {
		t.Error("the folder is still there")
	}
}

func TestFailedStartLeavesNothing(t *testing.T) {
	e := newEntry(t)
	s := &Supervisor{Entry: e, Driver: &fake{refuse: errors.New("no such luck")}}
	if _, err := s.Run(); err == nil || !strings.Contains(err.Error(), "no such luck") {
		t.Errorf("Run: %v", err)
	}
	if left, _ := os.ReadDir(e.Home()); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestSignalBeforeStart(t *testing.T) {
	e := newEntry(t)
	s := &Supervisor{Entry: e, Driver: &fake{}, Output: &bytes.Buffer{}}
	if err := s.Signal(15); err != nil {
		t.Fatal(err)
	}
	exit, err := s.Run()
	if err != nil || exit.Code != 128+15 {
		t.Errorf("exit = %+v, %v", exit, err)
	}
}

func TestBadRequests(t *testing.T) {
	e := newEntry(t)
	_, _, end := supervised(t, &fake{}, e)
	for _, request := range []string{"", "signal", "signal 0", "signal 32", "signal x", "dance"} {
		if _, err := e.Remote().ask(t.Context(), request); err == nil {
			t.Errorf("%q is taken", request)
		}
	}
	e.Remote().Kill()
	end()
}

func TestLongSocketPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 60), strings.Repeat("e", 60))
	e, err := OpenStore(dir).Create(validSpec("web"))
	if err != nil {
		t.Fatal(err)
	}
	_, _, end := supervised(t, &fake{}, e)
	if err := e.Remote().Signal(15); err != nil {
		t.Error(err)
		e.Remote().Kill()
	}
	end()
}
