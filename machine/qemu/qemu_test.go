package qemu

import (
	"bytes"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pith"
	"pith/abi"
	"pith/machine"
	"pith/machine/host"
)

// emulated is this host with PITH_ACCEL=tcg, whatever the environment says.
func emulated() host.Host {
	h := host.This()
	getenv := h.Getenv
	h.Getenv = func(key string) string {
		if key == "PITH_ACCEL" {
			return TCG
		}
		return getenv(key)
	}
	return h
}

func needQEMU(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skip("QEMU is not installed")
	}
}

// output collects a console's bytes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// waitFor waits until the console's output holds text.
func (o *output) waitFor(t *testing.T, text string) {
	t.Helper()
	for range 500 {
		if strings.Contains(o.String(), text) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("the console does not say %q within 5 s but %q", text, o.String())
}

// startGuest starts a tiny guest; edit changes the launch.
func startGuest(t *testing.T, g guest, edit func(*machine.Launch)) (machine.Running, *output) {
	t.Helper()
	needQEMU(t)
	console := &output{}
	l := machine.Launch{
		Spec: machine.Spec{
			Machine: pith.Machine{
				Name: "test", CPUs: 1, Memory: 16 * machine.MiB,
				Image: &pith.Image{Path: g.write(t), Manifest: pith.Manifest{Name: "guest"}},
			},
			Type: machine.TypeMicroVM,
		},
		Dir:     t.TempDir(),
		Console: console,
	}
	if edit != nil {
		edit(&l)
	}
	running, err := New(emulated()).Start(l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { running.Kill() })
	return running, console
}

func TestConsoleControlAndExit(t *testing.T) {
	for _, board := range []string{machine.TypeMicroVM, machine.TypeQ35} {
		t.Run(board, func(t *testing.T) {
			var heard []machine.Message
			g := guest{}.out8(abi.PortConsole, "hello\n").
				out8(abi.PortControl, "listen tcp 80\nexit 200\n").exit(3)
			running, console := startGuest(t, g, func(l *machine.Launch) {
				l.Spec.Type = board
				l.Notify = func(m machine.Message) { heard = append(heard, m) }
				l.Cards = []machine.Card{{Link: UserLink("52:54:00:00:00:01"), Wire: machine.Wire{User: true}}}
			})
			exit := running.Wait()
			if exit.Code != 200 || exit.Err != nil {
				t.Errorf("exit = %+v, want the code of the control line, 200", exit)
			}
			if got := console.String(); got != "hello\n" {
				t.Errorf("console = %q", got)
			}
			if len(heard) != 2 || heard[0].Kind != abi.ControlListen || heard[1].Kind != abi.ControlExit {
				t.Errorf("control messages = %v", heard)
			}
		})
	}
}

func TestExitStatusAlone(t *testing.T) {
	running, _ := startGuest(t, guest{}.exit(3), nil)
	if exit := running.Wait(); exit.Code != 3 || exit.Err != nil {
		t.Errorf("exit = %+v, want 3 from isa-debug-exit", exit)
	}
}

func TestInstanceBlockArrives(t *testing.T) {
	running, console := startGuest(t, guest{}.moduleHead(32).exit(1), nil)
	running.Wait()
	want := abi.Record([]byte(abi.Magic), abi.RecordArg, []byte("guest"))
	if got := console.String(); !strings.HasPrefix(got, string(want)) {
		t.Errorf("the block begins with %q, want %q", got, want)
	}
}

func TestTripleFault(t *testing.T) {
	running, _ := startGuest(t, guest{}.tripleFault(), nil)
	exit := running.Wait()
	if exit.Code != machine.ExitFailure || exit.Err == nil || !strings.Contains(exit.Err.Error(), "triple fault") {
		t.Errorf("exit = %+v", exit)
	}
}

func TestKill(t *testing.T) {
	running, console := startGuest(t, guest{}.out8(abi.PortConsole, "up").hang(), nil)
	console.waitFor(t, "up")
	if !running.Process().Alive() {
		t.Error("the process of a running machine is not alive")
	}
	if err := running.Signal(15); err != nil {
		t.Errorf("a signal that nobody takes: %v", err)
	}
	if err := running.Kill(); err != nil {
		t.Fatal(err)
	}
	if exit := running.Wait(); exit.Code != machine.ExitKilled || exit.Err != nil {
		t.Errorf("exit = %+v, want %d", exit, machine.ExitKilled)
	}
	if running.Process().Alive() {
		t.Error("the process is still alive")
	}
	if running.Signal(15) == nil {
		t.Error("a machine that has ended takes a signal")
	}
}

func TestDebugOfAPausedMachine(t *testing.T) {
	running, console := startGuest(t, guest{}.out8(abi.PortConsole, "ran").exit(0), func(l *machine.Launch) {
		l.Spec.Paused = true
	})
	socket := filepath.Join(t.TempDir(), "gdb.sock")
	if err := running.Debug(socket); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	// "?" asks why the target stopped; "T05" is SIGTRAP (GDB manual, E.3).
	conn.Write([]byte("+$?#3f"))
	buf := make([]byte, 64)
	n, err := conn.Read(buf)
	for err == nil && !bytes.Contains(buf[:n], []byte("T05")) && n < len(buf) {
		var more int
		more, err = conn.Read(buf[n:])
		n += more
	}
	if !bytes.Contains(buf[:n], []byte("T05")) {
		t.Errorf("the gdb server says %q, %v", buf[:n], err)
	}
	if console.String() != "" {
		t.Error("a paused machine ran")
	}
}

func TestPublishedPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := pith.Port{Protocol: machine.TCP, Host: l.Addr().(*net.TCPAddr).AddrPort(), Guest: 80}
	running, _ := startGuest(t, guest{}.hang(), func(l *machine.Launch) {
		l.Cards = []machine.Card{{Link: UserLink("52:54:00:00:00:01"), Wire: machine.Wire{User: true, Ports: []pith.Port{port}}}}
	})
	exit := running.Wait()
	if exit.Err == nil || !strings.Contains(exit.Err.Error(), port.Host.String()+"/tcp can't be published") {
		t.Errorf("exit = %+v", exit)
	}
}

func TestNotAnImage(t *testing.T) {
	running, _ := startGuest(t, guest{}.hang(), func(l *machine.Launch) {
		l.Spec.Image.Path = filepath.Join(t.TempDir(), "missing")
	})
	exit := running.Wait()
	if exit.Code != machine.ExitFailure || exit.Err == nil || !strings.HasPrefix(exit.Err.Error(), "QEMU failed: ") {
		t.Errorf("exit = %+v", exit)
	}
}

// TestStartTime holds the driver to its promise that nothing but QEMU itself takes
// time: beside a QEMU that only says its version, an empty guest takes two to three
// times as long, and ten times are the limit where tests share the CPUs.
func TestStartTime(t *testing.T) {
	needQEMU(t)
	guests, versions := time.Hour, time.Hour
	for range 7 {
		begin := time.Now()
		if err := exec.Command(program, "--version").Run(); err != nil {
			t.Fatal(err)
		}
		versions = min(versions, time.Since(begin))
		begin = time.Now()
		running, _ := startGuest(t, guest{}.exit(0), nil)
		running.Wait()
		guests = min(guests, time.Since(begin))
	}
	t.Logf("from Start to the end of an empty guest: %v, QEMU's version: %v", guests, versions)
	if guests > 10*versions {
		t.Errorf("an empty guest takes %v, where QEMU says its version within %v", guests, versions)
	}
}

func TestCheck(t *testing.T) {
	h := emulated()
	h.LookPath = func(string) (string, error) { return "", exec.ErrNotFound }
	err := New(h).Check(machine.Spec{})
	if err == nil || !strings.Contains(err.Error(), "this installs it") || pith.ExitCode(err) != 1 {
		t.Errorf("without QEMU: %v", err)
	}
	h.LookPath = func(s string) (string, error) { return s, nil }
	six := machine.Spec{Machine: pith.Machine{Ports: []pith.Port{{Protocol: "tcp", Host: netip.MustParseAddrPort("[::1]:80"), Guest: 80}}}}
	if err := New(h).Check(six); pith.ExitCode(err) != 2 {
		t.Errorf("an IPv6 port: %v", err)
	}
}
