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

// TestDoctorTap: what stands between a user and taps is told with what puts it right.
func TestDoctorTap(t *testing.T) {
	const user = 1000
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	tap := func(owner, flags string) fstest.MapFS {
		return fstest.MapFS{
			"dev/net/tun": file(""), "sys/class/net/lo/mtu": file("65536"),
			"sys/class/net/tap7/owner": file(owner), "sys/class/net/tap7/tun_flags": file(flags),
		}
	}
	for _, c := range []struct {
		what   string
		os     string
		root   bool
		denied bool
		files  fstest.MapFS
		ok     bool
		says   string
	}{
		{what: "another system", os: "darwin", says: "a part of Linux"},
		{what: "no device", root: true, says: "modprobe tun"},
		{what: "no right to open it", denied: true, files: fstest.MapFS{"dev/net/tun": file("")}, says: "chmod 666 /dev/net/tun"},
		{what: "no tap", files: fstest.MapFS{"dev/net/tun": file("")}, says: "ip tuntap add tap0 mode tap user $USER"},
		{what: "one's own tap", files: tap("1000\n", "0x1002\n"), ok: true, says: "with tap7; --net bridge:NAME needs root"},
		{what: "another's tap", files: tap("1001\n", "0x1002\n"), says: "ip tuntap add"},
		{what: "nobody's tap", files: tap("-1\n", "0x1002\n"), says: "ip tuntap add"},
		{what: "no tap but a tun", files: tap("1000\n", "0x1001\n"), says: "ip tuntap add"},
		{what: "root", root: true, files: fstest.MapFS{"dev/net/tun": file("")}, ok: true, says: "--net bridge:NAME can be used"},
	} {
		h := fakeHost(nil)
		h.Root, h.UID, h.Files = c.root, user, c.files
		h.Access = func(string) error {
			if c.denied {
				return errors.New("denied")
			}
			return nil
		}
		if c.os != "" {
			h.OS = c.os
		}
		if c.files == nil {
			h.Files = fstest.MapFS{}
		}
		if f := networkFinding(h); f.OK != c.ok || !strings.Contains(f.Detail+" "+f.Fix, c.says) {
			t.Errorf("%s: %+v, want %v and %q", c.what, f, c.ok, c.says)
		}
	}
}
