// Package test boots real machines and looks at them from outside: the
// whole-system tests. Machines are emulated; published ports are on loopback.
package test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The command and the guest's image, built once.
var command, guest string

func TestMain(m *testing.M) {
	if what := os.Getenv(clientVariable); what != "" {
		os.Exit(beClient(what))
	}
	os.Setenv("PITH_ACCEL", "tcg")
	dir, err := os.MkdirTemp("", "pith-test")
	if err == nil {
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "test:", err)
		os.RemoveAll(dir)
		os.Exit(1)
	}
	os.Setenv("PITH_STATE", filepath.Join(dir, "state"))
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func build(dir string) error {
	command, guest = filepath.Join(dir, "pith"), filepath.Join(dir, "guest.img")
	if out, err := exec.Command("go", "build", "-o", command, "pith/cmd/pith").CombinedOutput(); err != nil {
		return fmt.Errorf("build pith: %w\n%s", err, out)
	}
	if out, err := exec.Command(command, "build", "-o", guest, "./guest").CombinedOutput(); err != nil {
		return fmt.Errorf("build the guest: %w\n%s", err, out)
	}
	return nil
}

// patience bounds a machine's life, many times what it needs.
const patience = 60 * time.Second

// outcome is what a machine that ended left.
type outcome struct {
	code   int
	output string
}

// run boots the guest and waits for its end.
func run(t *testing.T, args ...string) outcome {
	t.Helper()
	return runWithin(t, patience, args...)
}

// runWithin is run for what takes longer.
func runWithin(t *testing.T, limit time.Duration, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, command, append([]string{"run", "--rm"}, args...)...)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("the machine did not end:\n%s", out)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), string(out)}
}

func (o outcome) expect(t *testing.T, code int, texts ...string) {
	t.Helper()
	if o.code != code {
		t.Errorf("exit code %d, want %d; it said:\n%s", o.code, code, o.output)
	}
	for _, text := range texts {
		if !strings.Contains(o.output, text) {
			t.Errorf("it did not say %q but:\n%s", text, o.output)
		}
	}
}

// serving boots the guest with a published port; the returned address answers
// once the machine is ready.
func serving(t *testing.T, guestPort string, args ...string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	var out bytes.Buffer
	cmd := exec.Command(command, append([]string{"run", "--rm", "-p", addr + ":" + guestPort}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(patience):
			cmd.Process.Kill()
			t.Error("the machine did not stop")
		}
		if t.Failed() {
			t.Logf("the machine said:\n%s", out.String())
		}
	})
	return addr
}

// get fetches a URL, patiently until the first answer.
func get(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		r, err := client.Get(url)
		if err == nil {
			body, err := io.ReadAll(r.Body)
			r.Body.Close()
			if err == nil {
				return string(body)
			}
		}
		if time.Now().After(end) {
			t.Fatalf("no answer: %v", err)
		}
	}
}

func impatient() *http.Client { return &http.Client{Timeout: 5 * time.Second} }

// boards are the machines that the issue names: microvm has MMIO, q35 PCI.
var boards = []string{"microvm", "q35"}

func TestServesOnEveryBoardAndCount(t *testing.T) {
	for _, board := range boards {
		for _, cpus := range []string{"1", "2", "4"} {
			t.Run(board+"/"+cpus, func(t *testing.T) {
				addr := serving(t, "80", "--machine-type", board, "--cpus", cpus, guest, "--", "serve")
				if got := get(t, impatient(), "http://"+addr+"/x"); got != "hello from /x\n" {
					t.Errorf("got %q", got)
				}
			})
		}
	}
}

func TestManyConnections(t *testing.T) {
	const connections, atOnce = 2000, 16 // at once: QEMU's own user network accepts few at a time
	addr := serving(t, "80", "-m", "128", "--cpus", "2", guest, "--", "serve")
	get(t, impatient(), "http://"+addr+"/")
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	var wg sync.WaitGroup
	tokens := make(chan struct{}, atOnce)
	failures := make(chan error, connections)
	for range connections {
		wg.Add(1)
		tokens <- struct{}{}
		go func() {
			defer func() { <-tokens; wg.Done() }()
			r, err := client.Get("http://" + addr + "/many")
			if err == nil {
				_, err = io.Copy(io.Discard, r.Body)
				r.Body.Close()
			}
			if err != nil {
				failures <- err
			}
		}()
	}
	wg.Wait()
	if n := len(failures); n > 0 {
		t.Errorf("%d of %d requests failed, one with: %v", n, connections, <-failures)
	}
}

func TestTLS(t *testing.T) {
	addr := serving(t, "443", guest, "--", "tls")
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true,
	}}
	if got := get(t, client, "https://"+addr+"/"); got != "hello over HTTP/2.0\n" {
		t.Errorf("got %q", got)
	}
}

func TestEnds(t *testing.T) {
	for _, board := range boards {
		t.Run(board, func(t *testing.T) {
			run(t, "--machine-type", board, guest, "--", "exit3").expect(t, 3)
			run(t, "--machine-type", board, guest, "--", "panic").expect(t, 2, "panic: on purpose", "goroutine 1 [running]", "main.go:")
			run(t, "--machine-type", board, guest, "--", "nil").expect(t, 2, "nil pointer dereference", "addr=0x0")
		})
	}
}

func TestOutOfMemory(t *testing.T) {
	o := run(t, "-m", "64", guest, "--", "memory")
	if o.code == 0 {
		t.Errorf("it ended well:\n%s", o.output)
	}
	o.expect(t, o.code, "out of memory: asked for", "used", "given")
	run(t, "-m", "64", guest, "--", "huge").expect(t, 2, "out of memory: asked for", "goroutine 1")
}

// TestMemoryLimit: a program that allocates far more than there is, and doesn't
// collect by itself, runs all the same, because the collector knows how much there
// is, or less of it if it is told so. Where it is told to know no limit, memory runs out.
func TestMemoryLimit(t *testing.T) {
	for _, settings := range [][]string{{}, {"-e", "GOMEMLIMIT=32MiB"}} {
		run(t, append(settings, "-m", "64", "-e", "GOGC=off", guest, "--", "trees")...).
			expect(t, 0, "nodes true true allocated true collections true")
	}
	run(t, "-m", "64", "-e", "GOGC=off", "-e", "GOMEMLIMIT=off", guest, "--", "trees").expect(t, 137, "pith: out of memory: ", "try a larger -m")
}

func TestBusyLoopsStopNobody(t *testing.T) {
	for _, cpus := range []string{"1", "2", "4"} {
		run(t, "--cpus", cpus, guest, "--", "spin").expect(t, 0, "tick 4", "alive true")
	}
}

func TestIPv6Loopback(t *testing.T) {
	run(t, guest, "--", "loop6").expect(t, 0, "over IPv6: 200 OK")
}

func TestRuntimeUnderLoad(t *testing.T) {
	for _, cpus := range []string{"1", "2", "4", "64"} {
		run(t, "--cpus", cpus, "-m", "256", guest, "--", "runtime").expect(t, 0, "sum 40000 cpus "+cpus)
	}
}

// TestOutbound: a program reaches a server of the host, by the user network's
// address for it.
func TestOutbound(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, r.Body)
	})}
	go server.Serve(l)
	defer server.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	run(t, guest, "--", "fetch", "http://10.0.2.2:"+port+"/").expect(t, 0, "200 OK 1000000 true")
}

func TestNoProcesses(t *testing.T) {
	run(t, guest, "--", "fork").expect(t, 0, "pith: the program wants to start /bin/true, but fork and exec are not there on purpose")
}

func TestConnectionsAsFiles(t *testing.T) {
	run(t, guest, "--", "dup").expect(t, 0, "through a file", "all threads true")
}

// TestTrace: the start says how far it is, and what memory there is.
func TestTrace(t *testing.T) {
	for _, board := range boards {
		run(t, "--trace", "--machine-type", board, guest, "--", "exit3").
			expect(t, 3, "pith: ram ", "pith: stamp 1 memory at ", "pith: stamp 9 network at ")
	}
}

func TestProfile(t *testing.T) {
	run(t, guest, "--", "profile").expect(t, 0, "profile true")
}

func TestNetBehavesAsOnLinux(t *testing.T) {
	run(t, guest, "--", "net").expect(t, 0, "interfaces 2", "deadline true", "got 1000", "refused true", "late true", "cancelled true")
}

// TestStarts boots a machine a hundred times in a row.
func TestStarts(t *testing.T) {
	for i := range 100 {
		board := boards[i%2]
		o := run(t, "--machine-type", board, "--cpus", fmt.Sprint(1+i%3), guest, "--", "exit3")
		if o.code != 3 {
			t.Fatalf("start %d on %s: exit code %d:\n%s", i, board, o.code, o.output)
		}
	}
}

// TestLeastMemory: with the least memory that pith names when it refuses less, the machine
// comes up and serves.
func TestLeastMemory(t *testing.T) {
	o := run(t, "-m", "4", guest, "--", "serve")
	o.expect(t, 2)
	words := regexp.MustCompile(`the least that works is -m (\d+)`).FindStringSubmatch(o.output)
	if words == nil {
		t.Fatalf("it names no least:\n%s", o.output)
	}
	client := &http.Client{Timeout: patience}
	addr := serving(t, "80", "-m", words[1], guest, "--", "serve")
	get(t, client, "http://"+addr+"/first")
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			for range 20 {
				if err := getPage(client, "http://"+addr, fmt.Sprintf("/%d", i)); err != nil {
					t.Errorf("with %s MiB: %v", words[1], err)
				}
			}
		})
	}
	all.Wait()
}

// getPage fetches a page of the guest's program serve.
func getPage(client *http.Client, server, path string) error {
	r, err := client.Get(server + path)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if text, err := io.ReadAll(r.Body); err != nil || string(text) != "hello from "+path+"\n" {
		return fmt.Errorf("%q, %v", text, err)
	}
	return nil
}

// TestMemoryIsProtected: code can't be written, data not run, and what lies
// near address zero is not there.
func TestMemoryIsProtected(t *testing.T) {
	run(t, guest, "--", "code").expect(t, 2, "unexpected fault address")
	run(t, guest, "--", "data").expect(t, 2, "writable code: permission denied", "unexpected fault address")
	run(t, guest, "--", "zero").expect(t, 2, "nil pointer dereference")
}

// TestVectorState: with AVX on, registers survive preemption and signals.
func TestVectorState(t *testing.T) {
	t.Setenv("PITH_CPU", "max")
	for _, cpus := range []string{"1", "4"} {
		run(t, "--cpus", cpus, "-m", "256", guest, "--", "runtime").expect(t, 0, "sum 40000 cpus "+cpus)
	}
}

// writeFolder makes a folder of files, by their paths in it.
func writeFolder(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
