package linuxvm

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func card() Options {
	return Options{
		Tap: "tap0", MAC: "52:54:00:12:34:02",
		Addr: netip.MustParsePrefix("10.0.0.2/24"), Gateway: netip.MustParseAddr("10.0.0.1"),
	}
}

func TestCommandLine(t *testing.T) {
	o := card()
	o.Env, o.Args = []string{"GOGC=200"}, []string{"-http", ":80"}
	line, err := o.commandLine(2600000)
	if err != nil {
		t.Fatal(err)
	}
	const end = " tsc_early_khz=2600000 PITH_ADDR=10.0.0.2/24 PITH_GATEWAY=10.0.0.1 GOGC=200 -- -http :80"
	if !strings.HasSuffix(line, end) {
		t.Errorf("%q does not end with %q", line, end)
	}
	if line, err = o.commandLine(0); err != nil || strings.Contains(line, "tsc_early_khz") {
		t.Errorf("a counter of unknown rate: %q, error %v", line, err)
	}
	for _, bad := range []string{"", "two words", `a"b`, "a\nb"} {
		o := Options{Args: []string{bad}}
		if line, err := o.commandLine(0); err == nil {
			t.Errorf("argument %q gives %q", bad, line)
		}
	}
}

func TestOptionsRefuse(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"65 CPUs":       func(o *Options) { o.CPUs = 65 },
		"-1 CPUs":       func(o *Options) { o.CPUs = -1 },
		"half a MiB":    func(o *Options) { o.Memory = 1<<20 + 1<<19 },
		"no address":    func(o *Options) { o.Addr = netip.Prefix{} },
		"IPv6 address":  func(o *Options) { o.Addr = netip.MustParsePrefix("fd00::2/64") },
		"little memory": func(o *Options) { o.Memory = 4096 },
	} {
		o := card()
		o.fill()
		change(&o)
		if err := o.check(); err == nil {
			t.Errorf("%s is no error", name)
		}
	}
	o := card()
	o.fill()
	if err := o.check(); err != nil {
		t.Errorf("good options: %v", err)
	}
}

func TestArguments(t *testing.T) {
	o := card()
	o.CPUs, o.Memory = 2, 128<<20
	o.fill()
	g := &Guest{Kernel: "vmlinux", RAMDisk: "disk", tsc: 1000}
	args, err := g.arguments(&o)
	if err != nil {
		t.Fatal(err)
	}
	for flag, want := range map[string]string{"-accel": "tcg", "-cpu": DefaultCPU, "-smp": "2", "-m": "128M", "-kernel": "vmlinux", "-initrd": "disk"} {
		at := slices.Index(args, flag)
		if at < 0 || args[at+1] != want {
			t.Errorf("%s is not %s in %q", flag, want, args)
		}
	}
	o.Accel = "kvm"
	if args, err = g.arguments(&o); err != nil || strings.Contains(strings.Join(args, " "), "tsc_early_khz") {
		t.Errorf("a hypervisor's guest is told the counter's rate: %q, error %v", args, err)
	}
}

func TestStartWithoutQEMU(t *testing.T) {
	g := &Guest{Kernel: "vmlinux", RAMDisk: "disk"}
	_, err := g.Start(t.Context(), Options{QEMU: filepath.Join(t.TempDir(), "qemu-system-x86_64")})
	if err == nil || !strings.Contains(err.Error(), "apt-get install") {
		t.Errorf("error %v doesn't say what to install", err)
	}
}

// A QEMU that ends at once must not be waited for.
func TestMachineThatEnds(t *testing.T) {
	script := filepath.Join(t.TempDir(), "qemu")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	m, err := (&Guest{}).Start(t.Context(), Options{QEMU: script})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-m.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("Done is not closed")
	}
	if err := m.Stop(); err != nil {
		t.Errorf("Stop of a machine that ended: %v", err)
	}
	if _, err := m.Accelerator(); err == nil {
		t.Error("a machine that ended has an accelerator")
	}
}

func TestPrepareRefuses(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("no kernel ", 200)), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]Build{
		"no such kernel": {Kernel: filepath.Join(dir, "gone"), Cache: dir},
		"a text":         {Kernel: text, Cache: dir},
	} {
		if g, err := Prepare(t.Context(), b); err == nil {
			t.Errorf("%s makes guest %+v", name, g)
		}
	}
}

func TestHostTSC(t *testing.T) {
	a, b := hostTSC(), hostTSC()
	if a == 0 {
		t.Skip("this host's counter is not read")
	}
	if diff := float64(a-b) / float64(a); diff > 0.01 || diff < -0.01 {
		t.Errorf("%d kHz, then %d kHz", a, b)
	}
}

// answerQMP plays QEMU: it greets, answers each command by name and lets an
// event come in between.
func answerQMP(conn net.Conn, answers map[string]string) {
	defer conn.Close()
	fmt.Fprintln(conn, `{"QMP": {"version": {}, "capabilities": []}}`)
	in := json.NewDecoder(conn)
	for {
		var request struct{ Execute string }
		if in.Decode(&request) != nil {
			return
		}
		fmt.Fprintln(conn, `{"event": "RESUME", "timestamp": {}}`)
		answer, ok := answers[request.Execute]
		if !ok {
			answer = `{"error": {"class": "CommandNotFound", "desc": "no such command"}}`
		}
		fmt.Fprintln(conn, answer)
	}
}

func TestMonitor(t *testing.T) {
	ours, theirs := net.Pipe()
	go answerQMP(theirs, map[string]string{
		"qmp_capabilities":      `{"return": {}}`,
		"query-kvm":             `{"return": {"enabled": false, "present": true}}`,
		"human-monitor-command": `{"return": "TB count 1"}`,
		"query-cpus-fast":       `{"return": [{"thread-id": 12}, {"thread-id": 13}]}`,
	})
	m := &Machine{monitor: newMonitor(ours)}
	defer m.monitor.close()
	if accel, err := m.Accelerator(); err != nil || accel != "tcg" {
		t.Errorf("accelerator %q, error %v", accel, err)
	}
	if ids, err := m.Threads(); err != nil || !slices.Equal(ids, []int{12, 13}) {
		t.Errorf("threads %v, error %v", ids, err)
	}
	if err := m.monitor.call("explode", nil, nil); err == nil || !strings.Contains(err.Error(), "no such command") {
		t.Errorf("error %v is not QEMU's", err)
	}
}
