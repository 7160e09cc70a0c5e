package forward

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"pith"
	"pith/machine/linuxvm"
)

// Linux is a Linux guest that forwards, tuned as package linuxvm tunes it.
type Linux struct {
	Service string
	Program string // bench/forward/guest, built for Linux
	Dir     string // for files that it makes
	Accel   string // QEMU's -accel

	guest *linuxvm.Guest
}

// modules are those of nftables with connection tracking.
var modules = []string{"crc32c_generic", "nf_tables", "nf_conntrack", "nf_defrag_ipv4", "nf_defrag_ipv6", "nft_ct", "nfnetlink"}

// Prepare makes the guest's RAM disk.
func (l *Linux) Prepare(ctx context.Context) error {
	tools := []string{"ip"}
	build := linuxvm.Build{Program: l.Program}
	if l.Service == Firewall {
		if err := needNFT(); err != nil {
			return err
		}
		file := filepath.Join(l.Dir, "rules.nft")
		if err := os.WriteFile(file, []byte(rules), 0o644); err != nil {
			return err
		}
		tools = append(tools, "nft")
		build.Needs = modules
		build.Files = []pith.File{{Source: file, Target: "/rules.nft"}}
	}
	for _, tool := range tools {
		list, err := withLibraries(tool)
		if err != nil {
			return err
		}
		for _, f := range list {
			if !slices.Contains(build.Files, f) {
				build.Files = append(build.Files, f)
			}
		}
	}
	var err error
	l.guest, err = linuxvm.Prepare(ctx, build)
	return err
}

// Start boots it between two tap devices.
func (l *Linux) Start(ctx context.Context, s Shape) (*Path, error) {
	tidy := context.WithoutCancel(ctx)
	if err := addTaps(ctx); err != nil {
		return nil, errors.Join(err, removeLinks(tidy))
	}
	p := &Path{console: &console{}, CPU: linuxvm.DefaultCPU}
	if l.Accel == "kvm" {
		p.CPU = "host"
	}
	m, err := l.guest.Start(ctx, linuxvm.Options{
		Accel: l.Accel, CPU: p.CPU, CPUs: s.CPUs, Memory: s.Memory, Console: p.console,
		Tap: left.link, MAC: left.mac, Addr: left.inner, Taps: []string{right.link},
		Env: []string{"SECOND=" + right.inner.String()},
	})
	if err != nil {
		return nil, errors.Join(err, removeLinks(tidy))
	}
	p.done, p.stop = m.Done(), m.Stop
	if p.Accelerator, err = m.Accelerator(); err != nil {
		return nil, errors.Join(err, p.Stop(tidy))
	}
	return p, nil
}

// withLibraries are a program and the libraries that ldd finds; in the guest the
// program is in /bin.
func withLibraries(tool string) ([]pith.File, error) {
	program, err := exec.LookPath(tool)
	if err != nil {
		return nil, fmt.Errorf("forward: %w", err)
	}
	out, err := exec.Command("ldd", program).Output()
	if err != nil {
		return nil, fmt.Errorf("forward: ldd %s: %w", program, err)
	}
	files := []pith.File{{Source: program, Target: "/bin/" + tool}}
	for _, w := range strings.Fields(string(out)) {
		if !strings.HasPrefix(w, "/") {
			continue
		}
		real, err := filepath.EvalSymlinks(w)
		if err != nil {
			return nil, fmt.Errorf("forward: %w", err)
		}
		files = append(files, pith.File{Source: real, Target: w})
	}
	return files, nil
}
