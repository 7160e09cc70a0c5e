package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pith/machine"
	"pith/network"
)

// deployment is one that a test has brought up.
type deployment struct {
	*testing.T
	name  string
	state string
}

// newDeployment makes a name for a deployment of a kind of machines, and takes it down
// at the end. It skips where this host can't have one.
func newDeployment(t *testing.T, name, kind string) deployment {
	t.Helper()
	if testing.Short() {
		t.Skip("boots several machines")
	}
	if os.Geteuid() != 0 {
		t.Skip("network namespaces take root")
	}
	for program, why := range map[string]string{"ip": "iproute2's ip is not installed", "runc": "runc is not installed"} {
		if _, err := exec.LookPath(program); err != nil && (program != "runc" || kind == machine.KindContainer) {
			t.Skip(why)
		}
	}
	if kernels, _ := filepath.Glob("/boot/vmlinuz-*"); kind == machine.KindLinuxVM && len(kernels) == 0 {
		t.Skip("there is no kernel in /boot for a Linux machine")
	}
	d := deployment{t, fmt.Sprintf("%s-%s-%d", name, kind, os.Getpid()), filepath.Join(t.TempDir(), "state")}
	t.Cleanup(func() { d.pith("down", d.name) })
	return d
}

// up brings the deployment up.
func (d deployment) up(kind, folder string) string {
	d.Helper()
	return d.must("up", "--name", d.name, "--machine", kind, "--timeout", (3 * patience).String(), folder)
}

func (d deployment) pith(args ...string) (string, error) {
	c := exec.Command(command, args...)
	c.Env = append(os.Environ(), "PITH_STATE="+d.state)
	out, err := c.CombinedOutput()
	return string(out), err
}

// must is pith that works.
func (d deployment) must(args ...string) string {
	d.Helper()
	out, err := d.pith(args...)
	if err != nil {
		d.Fatalf("pith %q: %v\n%s\n%s", args, err, out, d.keeperLog())
	}
	return out
}

func (d deployment) keeperLog() string {
	text, _ := os.ReadFile(filepath.Join(d.state, "_deployments", d.name, "keeper.log"))
	return string(text)
}

// pids are the processes of the instances, by their names.
func (d deployment) pids() map[string]int {
	d.Helper()
	c := exec.Command(command, "ps", "-o", "json")
	c.Env = append(os.Environ(), "PITH_STATE="+d.state)
	out, err := c.Output()
	if err != nil {
		d.Fatal(err)
	}
	var list []struct {
		Name string
		PID  int
	}
	if err := json.Unmarshal(out, &list); err != nil {
		d.Fatal(err)
	}
	pids := map[string]int{}
	for _, m := range list {
		pids[m.Name] = m.PID
	}
	return pids
}

// hostTraces is what a deployment could leave on the host: interfaces, namespaces,
// rules, control groups, mounts, and processes that know its state.
func (d deployment) hostTraces() string {
	var b bytes.Buffer
	for _, line := range []string{"ip -o -br link", "ip netns list", "ip rule", "ip route", "nft list ruleset"} {
		words := strings.Fields(line)
		if _, err := exec.LookPath(words[0]); err != nil {
			continue
		}
		out, _ := exec.Command(words[0], words[1:]...).CombinedOutput()
		for l := range strings.Lines(string(out)) {
			if words[1] != "netns" || strings.Contains(l, d.name) { // other tests make theirs
				b.WriteString(l)
			}
		}
	}
	for _, pattern := range []string{"/sys/fs/cgroup/pith/*", "/sys/fs/cgroup/*/pith/*"} {
		groups, _ := filepath.Glob(pattern + d.name + "*")
		for _, g := range groups {
			fmt.Fprintln(&b, "control group", g)
		}
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for l := range strings.Lines(string(mounts)) {
		if strings.Contains(l, d.name) || strings.Contains(l, d.state) {
			b.WriteString(l)
		}
	}
	processes, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, p := range processes {
		text, _ := os.ReadFile(p)
		if bytes.Contains(text, []byte(d.state)) || bytes.Contains(text, []byte(d.name)) {
			fmt.Fprintf(&b, "process %s: %q\n", p, text)
		}
	}
	return b.String()
}

// client is a host of its own in one of the deployment's networks.
type client struct{ *network.Lab }

// newClient joins a client to a network; routes lead over gateway.
func (d deployment) newClient(net, address, gateway string) client {
	d.Helper()
	name := d.name + "-" + net
	lab, err := network.MakeLab(name, nil)
	if err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() { lab.Remove() })
	theirs := network.FindLab(d.name)
	if theirs == nil {
		d.Fatal("the deployment has no networks")
	}
	bridge, err := theirs.Bridge(net)
	if err != nil {
		d.Fatal(err)
	}
	at, in := "pith-"+d.name, "pith-"+name
	for _, line := range []string{
		at + " link add " + net + " type veth peer name eth0 netns " + in,
		at + " link set " + net + " master " + bridge + " up",
		in + " link set eth0 up", in + " addr add " + address + " dev eth0", in + " route add default via " + gateway,
	} {
		runIP(d.T, append([]string{"-n"}, strings.Fields(line)...)...)
	}
	return client{lab}
}
