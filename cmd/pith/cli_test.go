package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pith/machine"
	"pith/machine/process"
)

// pithBinary is this command, built once for all tests.
var pithBinary string

func TestMain(m *testing.M) {
	process.RunStage()
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pith-test-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	pithBinary = filepath.Join(dir, "pith")
	build := exec.Command("go", "build", "-o", pithBinary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		panic("pith does not build: " + string(out))
	}
	return m.Run()
}

// result is what a command did.
type result struct {
	code     int
	out, err string
}

// cli is a user with a home of their own.
type cli struct {
	*testing.T
	env []string
	dir string
}

func newCLI(t *testing.T) *cli {
	state := t.TempDir()
	return &cli{t, append(os.Environ(), "PITH_STATE="+state, "PITH_ACCEL=tcg", "NO_COLOR=1"), t.TempDir()}
}

func (c *cli) pith(args ...string) result {
	c.Helper()
	command := exec.CommandContext(c.Context(), pithBinary, args...)
	var out, stderr bytes.Buffer
	command.Stdout, command.Stderr = &out, &stderr
	command.Env, command.Dir = c.env, c.dir
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.Fatalf("pith %q: %v", args, err)
	}
	return result{command.ProcessState.ExitCode(), out.String(), stderr.String()}
}

// fails checks that a command ends with a code and one clear line that holds
// words.
func (c *cli) fails(code int, words string, args ...string) {
	c.Helper()
	r := c.pith(args...)
	if r.code != code || !strings.Contains(r.err, words) {
		c.Errorf("pith %q: exit code %d, want %d with %q in:\n%s", args, r.code, code, words, r.err)
	}
	if strings.Contains(r.err, "goroutine ") || strings.Contains(r.err, "Usage:") || !strings.HasPrefix(r.err, "pith: ") {
		c.Errorf("pith %q: not one clear sentence:\n%s", args, r.err)
	}
}

func TestBadInput(t *testing.T) {
	c := newCLI(t)
	write := func(name, text string) string {
		path := filepath.Join(c.dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("text.img", "this is no image")
	write("cut.img", "\x7fELF\x02\x01\x01")

	c.fails(2, "unknown command", "fly")
	c.fails(2, "unknown flag", "run", "--wings", ".")
	c.fails(2, "say what to run", "run")
	c.fails(2, "put -- before", "run", ".", "-x=1")
	c.fails(2, "put -- before", "run", "./a", "./b")
	c.fails(2, "pith build -o IMAGE", "build", ".")
	c.fails(2, "port number", "run", "-p", "x:80", ".")
	c.fails(2, "protocol", "run", "-p", "80:80/sctp", ".")
	c.fails(2, "IPv4", "run", "-p", "[::1]:8080:80", ".")
	c.fails(2, "amount of memory", "run", "-m", "lots", ".")
	c.fails(2, "too little memory", "run", "-m", "1", ".")
	c.fails(2, "1 to 64 CPUs", "run", "--cpus", "65", ".")
	c.fails(2, "1 to 64 CPUs", "run", "--cpus", "0", ".")
	c.fails(2, "machine type", "run", "--machine-type", "pc", ".")
	c.fails(2, "machine's name", "run", "--name", "../etc", ".")
	c.fails(2, "environment variable", "run", "-e", "=x", ".")
	c.fails(2, "environment variable", "run", "-e", "PITH_TEST_NOT_SET", ".")
	c.fails(2, "network", "run", "--net", "nat", ".")
	c.fails(2, "tap:NAME", "run", "--net", "tap", ".")
	c.fails(2, "user network", "run", "--net", "tap:tap0", "-p", "80:80", ".")
	c.fails(2, "tap or bridge", "run", "--addr", "10.0.0.1/24", ".")
	c.fails(2, "options of each", "run", "--net", "tap:a", "--net", "tap:b", "--addr", "10.0.0.1/24", ".")
	c.fails(2, "no option of a card", "run", "--net", "tap:a,speed=9", ".")
	c.fails(2, "stands alone", "run", "--net", "tap:a", "--net", "none", ".")
	c.fails(2, "one user network", "run", "--net", "user", "--net", "user", ".")
	c.fails(2, "no interface pith-none", "run", "--net", "tap:pith-none", ".")
	c.fails(2, "no interface pith-none", "run", "--net", "bridge:pith-none", ".")
	c.fails(2, "from 1 to 8", "run", "--net", "tap:a,queues=9", ".")
	c.fails(2, "from 1 to 8", "run", "--net", "tap:a,queues=two", ".")
	c.fails(2, "for a tap or bridge", "run", "--net", "user,queues=2", ".")
	c.fails(2, "one queue pair", "run", "--net", "tap:a,queues=2", "--machine", "linuxvm", ".")
	c.fails(2, "one queue pair", "run", "--net", "tap:a,queues=2", "--pcap", c.dir+"/x.pcap", ".")
	c.fails(2, "DESTINATION@GATEWAY", "run", "--net", "tap:a,route=10.1.0.0/16", ".")
	c.fails(2, "DESTINATION@GATEWAY", "run", "--net", "tap:a,route=10.1.0.0/16@fd00::1", ".")
	c.fails(2, "prefix length", "run", "--net", "tap:tap0", "--addr", "10.0.0.1", ".")
	c.fails(2, "can't be written", "run", "--pcap", "./none/x.pcap", ".")
	c.fails(2, "whole seconds", "profile", "nobody", "--cpu", "1ms", "-o", "x")
	c.fails(2, "-o FILE", "profile", "nobody")
	c.fails(2, "on a terminal", "top")
	c.fails(2, "no machine named", "stats", "nobody")
	c.fails(2, "--serve nowhere", "debug", "--serve", "nowhere", ".")
	c.fails(2, "text or json", "ps", "-o", "xml")
	c.fails(2, "no machine named", "logs", "nobody")
	c.fails(2, "no machine named", "stop", "nobody")
	c.fails(2, "no machine named", "rm", "nobody")
	c.fails(2, "0 or more", "stop", "-t", "-1", "nobody")
	c.fails(2, "pith run -d", "supervise", "nobody")
	c.fails(2, "", "run", "text.img")
	c.fails(2, "", "run", "cut.img")
	c.fails(2, "", "run", "./missing")
	c.fails(2, "", "build", "-o", "x.img", ".")

	if left, err := filepath.Glob(filepath.Join(c.dir, "x.img*")); err != nil || len(left) > 0 {
		t.Errorf("a failed build left %v, %v", left, err)
	}
	if r := c.pith("ps", "-a", "-o", "json"); strings.TrimSpace(r.out) != "[]" {
		t.Errorf("refused machines are listed: %s", r.out)
	}
}

func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	address := l.Addr().String()
	newCLI(t).fails(2, address+"/tcp can't be published: another program on this host uses it", "run", "-p", address+":80", ".")
}

func TestNoQEMU(t *testing.T) {
	c := newCLI(t)
	c.env = append(c.env, "PATH="+t.TempDir())
	c.fails(1, "QEMU is not installed on this host; this installs it: ", "run", "--machine", "unikernel", ".")
	r := c.pith("doctor", "-o", "json")
	var f findings
	if err := json.Unmarshal([]byte(r.out), &f); err != nil {
		t.Fatalf("doctor: %v in %s", err, r.out)
	}
	if r.code != 1 || f.Ready {
		t.Errorf("doctor finds a host without Go and QEMU ready: %s", r.out)
	}
	for _, x := range f.Findings {
		if x.Required && (x.OK || x.Fix == "") {
			t.Errorf("%+v", x)
		}
	}
}

func TestPSShowsStaleMachines(t *testing.T) {
	c := newCLI(t)
	store := machine.OpenStore(stateOf(c))
	spec := machine.Spec{Type: machine.TypeMicroVM, What: "./web"}
	spec.Name, spec.CPUs, spec.Memory = "web", 1, machine.DefaultMemory
	entry, err := store.Create(spec)
	if err != nil {
		t.Fatal(err)
	}
	self, err := machine.Self()
	if err != nil {
		t.Fatal(err)
	}
	self.Start++
	if err := entry.SetState(machine.State{Status: machine.StatusRunning, Supervisor: self}); err != nil {
		t.Fatal(err)
	}
	if r := c.pith("ps", "-o", "json"); strings.TrimSpace(r.out) != "[]" {
		t.Errorf("a stale machine runs: %s", r.out)
	}
	var list []listed
	r := c.pith("ps", "-a", "-o", "json")
	if err := json.Unmarshal([]byte(r.out), &list); err != nil || len(list) != 1 || list[0].Status != machine.StatusExited || *list[0].ExitCode != 137 {
		t.Errorf("ps -a: %v, %s", err, r.out)
	}
	if r := c.pith("stop", "web"); r.code != 0 {
		t.Errorf("stopping it: %+v", r)
	}
	if r := c.pith("rm", "web"); r.code != 0 || r.out != "web\n" {
		t.Errorf("removing it: %+v", r)
	}
}

func stateOf(c *cli) string {
	for _, kv := range c.env {
		if dir, ok := strings.CutPrefix(kv, "PITH_STATE="); ok {
			return dir
		}
	}
	c.Fatal("BUG: no PITH_STATE")
	return ""
}

// TestHelp: every command has a description and an example of itself.
func TestHelp(t *testing.T) {
	for _, c := range newApp().command().Commands() {
		if c.Hidden {
			continue
		}
		if c.Short == "" || !strings.Contains(c.Example, "pith "+c.Name()) {
			t.Errorf("%s has no example", c.Name())
		}
	}
	r := newCLI(t).pith("run", "--help")
	if r.code != 0 || !strings.Contains(r.out, "Examples:") || r.err != "" {
		t.Errorf("run --help: %+v", r)
	}
}
