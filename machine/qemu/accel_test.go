package qemu

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"pith"
	"pith/machine/host"
)

// watched fails the test when anything of /dev is opened.
type watched struct {
	fstest.MapFS
	t *testing.T
}

func (w watched) Open(name string) (fs.File, error) {
	if strings.HasPrefix(name, "dev/") {
		w.t.Errorf("%s was opened", name)
	}
	return w.MapFS.Open(name)
}

func (w watched) Stat(name string) (fs.FileInfo, error) { return w.MapFS.Stat(name) }

func TestChooseAccel(t *testing.T) {
	const bare, nested = "fpu vmx sse2", "fpu vmx hypervisor"
	device := &fstest.MapFile{Mode: fs.ModeDevice | fs.ModeCharDevice | 0o660}
	for _, c := range []struct {
		what       string
		os, arch   string
		flags      string
		kvm        *fstest.MapFile
		denied     bool
		env        string
		want, says string
	}{
		{what: "all is well", flags: bare, kvm: device, want: KVM, says: "may use"},
		{what: "AMD", flags: "fpu svm", kvm: device, want: KVM, says: "may use"},
		{what: "a virtual machine", flags: nested, kvm: device, want: TCG, says: "virtual machine itself"},
		{what: "no virtualisation", flags: "fpu sse2", kvm: device, want: TCG, says: "vmx or svm"},
		{what: "a part of a word", flags: "fpu novmx svm_lock", kvm: device, want: TCG, says: "vmx or svm"},
		{what: "no module", flags: bare, want: TCG, says: "not loaded"},
		{what: "no rights", flags: bare, kvm: device, denied: true, want: TCG, says: "group"},
		{what: "a plain file", flags: bare, kvm: &fstest.MapFile{Mode: 0o666}, want: TCG, says: "no device"},
		{what: "no cpuinfo", kvm: device, want: TCG, says: "cpuinfo"},
		{what: "macOS", os: "darwin", flags: bare, kvm: device, want: TCG, says: "Linux"},
		{what: "ARM", arch: "arm64", flags: bare, kvm: device, want: TCG, says: "amd64"},
		{what: "forced emulation", flags: bare, kvm: device, env: "tcg", want: TCG, says: "PITH_ACCEL"},
		{what: "forced KVM", flags: nested, env: "kvm", want: KVM, says: "PITH_ACCEL"},
		{what: "nonsense", flags: bare, kvm: device, env: "xen", want: ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			files := fstest.MapFS{}
			if c.flags != "" {
				files["proc/cpuinfo"] = &fstest.MapFile{Data: []byte("processor\t: 0\nflags\t\t: " + c.flags + "\nbugs\t:\n")}
			}
			if c.kvm != nil {
				files["dev/kvm"] = c.kvm
			}
			h := host.Host{OS: "linux", Arch: "amd64", Files: watched{files, t}}
			if c.os != "" {
				h.OS = c.os
			}
			if c.arch != "" {
				h.Arch = c.arch
			}
			h.Getenv = func(k string) string {
				if k == "PITH_ACCEL" {
					return c.env
				}
				return ""
			}
			h.Access = func(path string) error {
				if c.denied || path != "/dev/kvm" {
					return errors.New("permission denied")
				}
				return nil
			}
			got, err := ChooseAccel(h)
			if c.want == "" {
				if pith.ExitCode(err) != 2 {
					t.Errorf("got %+v, %v; want a user's mistake", got, err)
				}
				return
			}
			if err != nil || got.Kind != c.want || !strings.Contains(got.Reason, c.says) {
				t.Errorf("got %+v, %v; want %s because of %q", got, err, c.want, c.says)
			}
		})
	}
}
