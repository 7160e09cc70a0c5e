//go:build linux

package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"pith/machine"
	"pith/machine/host"
)

// repository is the folder of the examples, as an absolute path.
func repository(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// kindOrSkip skips where this host can't run a kind of machine.
func kindOrSkip(t *testing.T, kind string) {
	t.Helper()
	spec := machine.Spec{Kind: kind, Type: machine.TypeMicroVM}
	spec.Name, spec.CPUs, spec.Memory = "x", 1, machine.DefaultMemory
	if err := driverOf(kind, host.This()).Check(spec); err != nil {
		t.Skip(err)
	}
}

// listedOne is the machine that `pith ps -a` shows.
func (c *cli) listedOne() listed {
	c.Helper()
	var list []listed
	r := c.pith("ps", "-a", "-o", "json")
	if err := json.Unmarshal([]byte(r.out), &list); err != nil || len(list) != 1 {
		c.Fatalf("ps: %v in %s", err, r.out)
	}
	return list[0]
}

// fetch gets a page of a published port, and waits until it is there.
func (c *cli) fetch(port string) string {
	c.Helper()
	address, _, _ := strings.Cut(strings.TrimPrefix(port, "127.0.0.1:"), ":")
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for begin := time.Now(); time.Since(begin) < 60*time.Second; time.Sleep(50 * time.Millisecond) {
		response, err := client.Get("http://127.0.0.1:" + address + "/")
		if err != nil {
			continue
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err == nil {
			return string(body)
		}
	}
	c.Fatalf("%s does not answer", port)
	return ""
}

// groups are the control groups whose names hold a word.
func groups(t *testing.T, word string) []string {
	t.Helper()
	found, err := filepath.Glob("/sys/fs/cgroup/*/pith/*" + word + "*")
	if err != nil {
		t.Fatal(err)
	}
	flat, err := filepath.Glob("/sys/fs/cgroup/pith/*" + word + "*")
	if err != nil {
		t.Fatal(err)
	}
	return append(found, flat...)
}

// TestKindsFromTheCommandLine runs the example as each kind that shares the
// host's kernel: it answers, is listed, stops, is forgotten, and leaves nothing.
func TestKindsFromTheCommandLine(t *testing.T) {
	if testing.Short() {
		t.Skip("runs machines")
	}
	for _, kind := range []string{machine.KindProcess, machine.KindContainer} {
		t.Run(kind, func(t *testing.T) {
			kindOrSkip(t, kind)
			c := newCLI(t)
			name := "cli-" + kind
			if r := c.pith("run", "-d", "--machine", kind, "--name", name, "-p", "0:80", repository(t)+"/examples/hello"); r.code != 0 {
				t.Fatalf("run: %+v", r)
			}
			defer c.pith("rm", "-f", name)
			m := c.listedOne()
			if m.Machine != kind || m.Status != machine.StatusRunning {
				t.Errorf("ps: %+v", m)
			}
			if body := c.fetch(m.Ports[0]); !strings.Contains(body, "Hello") {
				t.Errorf("the answer is %q", body)
			}
			if r := c.pith("stop", name); r.code != 0 || r.err != "" {
				t.Errorf("stop: %+v", r)
			}
			if r := c.pith("logs", name); r.code != 0 {
				t.Errorf("logs: %+v", r)
			}
			if r := c.pith("rm", name); r.code != 0 {
				t.Errorf("rm: %+v", r)
			}
			if left := groups(t, name); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// TestKilledSupervisor: what a machine has on the host is gone after the next
// command, however its supervisor ended.
func TestKilledSupervisor(t *testing.T) {
	if testing.Short() {
		t.Skip("runs machines")
	}
	for _, kind := range []string{machine.KindProcess, machine.KindContainer} {
		t.Run(kind, func(t *testing.T) {
			kindOrSkip(t, kind)
			c := newCLI(t)
			name := "killed-" + kind
			args := []string{"run", "-d", "--machine", kind, "--name", name, "-p", "0:80"}
			if os.Geteuid() == 0 { // only root has volumes here
				args = append(args, "-v", "data:/data")
			}
			if r := c.pith(append(args, repository(t)+"/examples/hello")...); r.code != 0 {
				t.Fatalf("run: %+v", r)
			}
			defer c.pith("rm", "-f", name)
			entry, err := machine.OpenStore(stateOf(c)).Find(name)
			if err != nil {
				t.Fatal(err)
			}
			state := entry.State()
			if err := state.Supervisor.Kill(); err != nil {
				t.Fatal(err)
			}
			for begin := time.Now(); state.Supervisor.Alive(); time.Sleep(10 * time.Millisecond) {
				if time.Since(begin) > 20*time.Second {
					t.Fatal("the supervisor does not end")
				}
			}
			if kind == machine.KindContainer { // it goes on until its end is seen
				c.fails(2, "in use by another machine", "volume", "check", "data")
			}
			m := c.listedOne()
			if m.Status != machine.StatusExited || *m.ExitCode != machine.ExitKilled {
				t.Errorf("ps: %+v", m)
			}
			if state.Process.Alive() {
				t.Error("the program still runs")
			}
			if left := groups(t, name); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			if entry.Abandoned() {
				t.Error("the end was not recorded")
			}
			if os.Geteuid() == 0 {
				c.noLoopDevice(filepath.Join(stateOf(c), "_volumes"))
				if r := c.pith("volume", "check", "data"); r.code != 0 || !strings.Contains(r.out, "data is sound") {
					t.Errorf("the volume: %+v", r)
				}
			}
		})
	}
}

// noLoopDevice waits until no loop device has a file of a folder, and sees that no mount is
// left.
func (c *cli) noLoopDevice(folder string) {
	c.Helper()
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
		if err != nil {
			c.Fatal(err)
		}
		used := slices.ContainsFunc(files, func(f string) bool {
			text, err := os.ReadFile(f) // an error is a device that was let go
			return err == nil && strings.HasPrefix(string(text), folder)
		})
		if !used {
			break
		}
		if time.Since(begin) > time.Minute {
			c.Fatal("a loop device is left")
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), folder) {
		c.Errorf("a mount is left: %v\n%s", err, mounts)
	}
}

// TestExitCodeOfKinds: the program's exit code, arguments and output are
// pith's.
func TestExitCodeOfKinds(t *testing.T) {
	if testing.Short() {
		t.Skip("runs machines")
	}
	for _, kind := range []string{machine.KindProcess, machine.KindContainer} {
		t.Run(kind, func(t *testing.T) {
			kindOrSkip(t, kind)
			c := newCLI(t)
			guest := repository(t) + "/machine/machinetest/guest"
			if r := c.pith("run", "--rm", "--machine", kind, "--net", "none", guest, "--", "exit", "7"); r.code != 7 || r.err != "" {
				t.Errorf("run: %+v", r)
			}
			if r := c.pith("run", "--rm", "--machine", kind, "-e", "CONTRACT=here", guest, "--", "say", "a b"); r.code != 0 || !strings.Contains(r.out, `args ["a b"]`) || !strings.Contains(r.out, "env here") {
				t.Errorf("run: %+v", r)
			}
		})
	}
}

func TestBadKinds(t *testing.T) {
	c := newCLI(t)
	c.fails(2, "machine kind", "run", "--machine", "jail", ".")
	c.fails(2, "-o and --oci", "build", "-o", "x", "--oci", "y.tar", ".")
	for _, kind := range []string{machine.KindProcess, machine.KindContainer} {
		t.Run(kind, func(t *testing.T) {
			kindOrSkip(t, kind)
			c := newCLI(t)
			c.fails(2, "use --net bridge:NAME", "run", "--machine", kind, "--net", "tap:tap0", ".")
			c.fails(2, "--addr", "run", "--machine", kind, "--net", "bridge:br0", ".")
			c.fails(2, "CPUs", "run", "--machine", kind, "--cpus", "64", ".")
		})
	}
}

// TestBuildOCI makes a container image, validates it, and runs it with the
// configuration that `runc spec` makes.
func TestBuildOCI(t *testing.T) {
	c := newCLI(t)
	guest := repository(t) + "/machine/machinetest/guest"
	file := filepath.Join(c.dir, "guest.tar")
	r := c.pith("build", "--oci", file, "--format", "json", guest)
	var built builtOCI
	if err := json.Unmarshal([]byte(r.out), &built); err != nil || built.Path != file {
		t.Fatalf("build: %v in %+v", err, r)
	}
	img, err := tarball.ImageFromPath(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(img); err != nil {
		t.Error(err)
	}
	runc, err := exec.LookPath("runc")
	if err != nil || os.Getuid() != 0 {
		t.Skip("the image is valid; to run it needs root and runc")
	}
	bundle := t.TempDir()
	extract(t, filepath.Join(bundle, "rootfs"), mutate.Extract(img))
	spec := exec.Command(runc, "spec")
	spec.Dir = bundle
	if out, err := spec.CombinedOutput(); err != nil {
		t.Fatalf("runc spec: %v: %s", err, out)
	}
	changeArgs(t, filepath.Join(bundle, "config.json"), "/app", "exit", "9")
	id := fmt.Sprintf("pith-oci-%d", os.Getpid())
	run := exec.Command(runc, "--root", t.TempDir(), "run", "--bundle", bundle, id)
	out, err := run.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 9 {
		t.Errorf("the program ended with %v: %s", err, out)
	}
}

func extract(t *testing.T, dir string, content io.ReadCloser) {
	t.Helper()
	defer content.Close()
	for r := tar.NewReader(content); ; {
		h, err := r.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		place := filepath.Join(dir, h.Name)
		if err := os.MkdirAll(filepath.Dir(place), 0o755); err != nil {
			t.Fatal(err)
		}
		var data bytes.Buffer
		if _, err := io.Copy(&data, r); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(place, data.Bytes(), os.FileMode(h.Mode)); err != nil {
			t.Fatal(err)
		}
	}
}

// changeArgs sets what a bundle's process is, without a terminal.
func changeArgs(t *testing.T, file string, args ...string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	process := config["process"].(map[string]any)
	process["args"], process["terminal"] = args, false
	delete(process, "rlimits")
	if text, err = json.Marshal(config); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestRootless runs a process as a user without rights.
func TestRootless(t *testing.T) {
	if testing.Short() {
		t.Skip("runs machines")
	}
	if os.Getuid() != 0 {
		t.Skip("the other tests run without root already")
	}
	kindOrSkip(t, machine.KindProcess)
	dir, err := os.MkdirTemp("", "pith-rootless-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	guest := hostedGuest(t)
	for from, to := range map[string]string{pithBinary: "pith", guest.Path: "guest"} {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, to), data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) (string, int) {
		command := exec.Command(filepath.Join(dir, "pith"), append([]string{"run", "--rm", "--machine", "process"}, args...)...)
		command.Env = []string{"PITH_STATE=" + filepath.Join(dir, "state"), "PATH=" + os.Getenv("PATH"), "HOME=" + dir, "PITH_CACHE=" + dir}
		command.Dir = "/"
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}
		out, _ := command.CombinedOutput() // the exit code tells
		return string(out), command.ProcessState.ExitCode()
	}
	out, code := run("-e", "CONTRACT=x", filepath.Join(dir, "guest"), "--", "say", "hello")
	if strings.Contains(out, "does not let this user make namespaces") {
		t.Skip(out)
	}
	if code != 0 || !strings.Contains(out, `args ["hello"]`) {
		t.Errorf("say: exit code %d: %s", code, out)
	}
	if out, code := run("--net", "none", "-v", dir+":/shared", filepath.Join(dir, "guest"), "--", "say", "hello"); code != 0 || !strings.Contains(out, `args ["hello"]`) {
		t.Errorf("with a folder of the user's own: exit code %d: %s", code, out)
	}
	if out, code := run(filepath.Join(dir, "guest"), "--", "eat"); code == 0 || strings.Contains(out, "full") {
		t.Errorf("eat: exit code %d: %s", code, out)
	}
	if out, code := run("--net", "bridge:br0", "--addr", "10.0.0.2/24", filepath.Join(dir, "guest")); code != 2 || !strings.Contains(out, "needs root") {
		t.Errorf("a bridge: exit code %d: %s", code, out)
	}
}
