// Package programs runs well-known Go servers in machines, as they are
// published, and drives each through its own client. It is a module of its own,
// so that those clients are no dependencies of Pith.
package programs

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// command is pith, and images is where the programs' images are.
var command, images string

func TestMain(m *testing.M) {
	os.Setenv("PITH_ACCEL", "tcg")
	os.Setenv("CGO_ENABLED", "0")
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pith-programs-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	command, images = filepath.Join(dir, "pith"), dir
	build := exec.Command("go", "build", "-o", command, "./cmd/pith")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build pith: %v\n%s", err, out)
		return 1
	}
	os.Setenv("PITH_STATE", filepath.Join(dir, "state"))
	return m.Run()
}

var all = flag.Bool("all", false, "also the programs that take minutes to build")

// large skips the test of a program that takes long to build, unless all are asked for.
func large(t *testing.T) {
	t.Helper()
	if !*all {
		t.Skip("it takes long to build: `make programs` runs it")
	}
}

// patience bounds what a machine may take for anything, many times what it needs.
const patience = 2 * time.Minute

// build makes an image of a program, WHAT as pith build takes it.
func build(t *testing.T, what string) string {
	t.Helper()
	image := filepath.Join(images, strings.NewReplacer("/", "_", "@", "_").Replace(what)+".img")
	needDisk(t)
	if out, err := exec.CommandContext(t.Context(), command, "build", "-o", image, what).CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", what, err, out)
	}
	return image
}

// started counts the servers.
var started atomic.Int64

// server is a program that runs in a machine.
type server struct {
	*testing.T
	name  string
	cmd   *exec.Cmd
	out   lockedBuffer
	ended chan struct{}
}

// serve starts a machine; args are pith run's. It is stopped at the test's end.
func serve(t *testing.T, args ...string) *server {
	t.Helper()
	s := &server{T: t, name: fmt.Sprint("program-", started.Add(1)), ended: make(chan struct{})}
	s.cmd = exec.Command(command, append([]string{"run", "--rm", "--name", s.name}, args...)...)
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.cmd.Wait(); close(s.ended) }()
	t.Cleanup(s.stop)
	return s
}

// stop ends the program as an operator does; it may be called twice.
func (s *server) stop() {
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(patience):
		s.cmd.Process.Kill()
		s.Error("the program does not stop")
	}
	if s.Failed() {
		text := s.out.String()
		s.Logf("the machine's last words:\n%s", text[max(0, len(text)-4000):])
	}
}

// eventually tries f until it succeeds.
func (s *server) eventually(what string, f func() error) {
	s.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
		select {
		case <-s.ended:
			s.Fatalf("%s: the program has ended: %v", what, err)
		default:
		}
	}
	s.Fatalf("%s: %v", what, err)
}

// port is a port of loopback that is free now, and how it is published.
func port(t *testing.T, guest string) (addr, publish string) {
	t.Helper()
	if strings.HasSuffix(guest, "/udp") {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.LocalAddr().String(), c.LocalAddr().String() + ":" + guest
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String(), l.Addr().String() + ":" + guest
}

// write makes a file with a text.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// output runs a program to its end.
func output(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, command, append([]string{"run", "--rm"}, args...)...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || exit != nil {
		t.Fatalf("pith run %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// lockedBuffer is a buffer for several goroutines.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
