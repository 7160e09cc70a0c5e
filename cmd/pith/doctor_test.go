package main

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"testing/fstest"

	"pith/machine/host"
)

// fakeHost is a Debian computer with the given programs and what they print.
func fakeHost(programs map[string]string) host.Host {
	return host.Host{
		OS: "linux", Arch: "amd64",
		Files: fstest.MapFS{
			"etc/os-release": {Data: []byte("ID=debian\n")},
			"proc/cpuinfo":   {Data: []byte("flags : fpu hypervisor\n")},
		},
		Getenv: func(string) string { return "" },
		LookPath: func(name string) (string, error) {
			if _, ok := programs[name]; !ok {
				return "", exec.ErrNotFound
			}
			return "/usr/bin/" + name, nil
		},
		Output: func(path string, _ ...string) (string, error) {
			out := programs[strings.TrimPrefix(path, "/usr/bin/")]
			if out == "" {
				return "", errors.New("exit status 1")
			}
			return out, nil
		},
		Access: func(string) error { return errors.New("denied") },
	}
}

const qemuNew = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\n"

func TestDoctor(t *testing.T) {
	for _, c := range []struct {
		what     string
		programs map[string]string
		ready    bool
		says     string // the word that the first finding with a flaw contains
	}{
		{"all is there", map[string]string{"go": "go version go1.26.8 linux/amd64\n", "qemu-system-x86_64": qemuNew, "gdb": "x"}, true, ""},
		{"an old Go", map[string]string{"go": "go version go1.19.8 linux/amd64\n", "qemu-system-x86_64": qemuNew}, false, "older than 1.21"},
		{"no Go", map[string]string{"qemu-system-x86_64": qemuNew}, false, "apt-get install -y golang-go"},
		{"no QEMU", map[string]string{"go": "go version go1.26.8 linux/amd64\n"}, false, "sudo apt-get install -y qemu-system-x86"},
		{"an old QEMU", map[string]string{"go": "go version go1.26.8 linux/amd64\n", "qemu-system-x86_64": "QEMU emulator version 5.2.0\n"}, false, "older than 7.2"},
		{"a broken QEMU", map[string]string{"go": "go version go1.26.8 linux/amd64\n", "qemu-system-x86_64": ""}, false, "does not tell its version"},
	} {
		f := examine(fakeHost(c.programs))
		var out bytes.Buffer
		a := &app{out: terminal{Writer: &out}}
		a.showFindings(f)
		if f.Ready != c.ready || !strings.Contains(out.String(), c.says) {
			t.Errorf("%s: ready %v, want %v and %q in:\n%s", c.what, f.Ready, c.ready, c.says, out.String())
		}
		if !strings.Contains(out.String(), "emulation is used: this host is a virtual machine itself") {
			t.Errorf("%s: no word on KVM in:\n%s", c.what, out.String())
		}
	}
}
