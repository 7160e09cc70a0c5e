package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pith"
	"pith/deploy"
	"pith/machine"
	"pith/network"
)

// deploymentTime bounds what a deployment of the tests takes, many times over.
const deploymentTime = time.Minute

// shop writes a manifest of two services, of which one needs the other.
func (c *cli) shop(name, env string, port int) {
	c.Helper()
	text := fmt.Sprintf(`
name: %s
networks:
  inner: {subnet: 10.77.0.0/24}
services:
  front:
    build: %[2]s/examples/hello
    networks: {inner: {ipv4_address: 10.77.0.5}}
    ports: ["%[3]d:80"]
    depends_on: {back: {condition: service_healthy}}
    restart: always
  back:
    build: %[2]s/examples/hello
    env: {PORT: %[4]q}
    networks: {inner: {ipv4_address: 10.77.0.10}}
    healthcheck: {http: /, port: 81, retries: 1, interval: 5s}
    replicas: 2
`, name, repository(c.T), port, env)
	if err := os.WriteFile(filepath.Join(c.dir, "pith.yaml"), []byte(text), 0o644); err != nil {
		c.Fatal(err)
	}
}

func (c *cli) works(args ...string) string {
	c.Helper()
	r := c.pith(args...)
	if r.code != 0 {
		c.Fatalf("pith %q: exit code %d: %s%s", args, r.code, r.out, r.err)
	}
	return r.out
}

// instances are the deployment's machines by name.
func (c *cli) instances() map[string]listed {
	c.Helper()
	var list []listed
	if err := json.Unmarshal([]byte(c.works("ps", "-o", "json")), &list); err != nil {
		c.Fatal(err)
	}
	all := map[string]listed{}
	for _, l := range list {
		all[l.Name] = l
	}
	return all
}

// greets waits until the front answers on the host's port.
func (c *cli) greets(port int) {
	c.Helper()
	var err error
	for end := time.Now().Add(deploymentTime); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		var answer *http.Response
		if answer, err = http.Get(fmt.Sprintf("http://127.0.0.1:%d/", port)); err == nil {
			text, _ := io.ReadAll(answer.Body)
			answer.Body.Close()
			if strings.HasPrefix(string(text), "Hello") {
				return
			}
		}
	}
	c.Fatalf("no greeting at port %d: %v", port, err)
}

// TestUp leads a deployment of processes through its life.
func TestUp(t *testing.T) {
	kindOrSkip(t, machine.KindProcess)
	if os.Getuid() != 0 {
		t.Skip("networks of driver bridge take root")
	}
	c := newCLI(t)
	state := c.stateFolder()
	name := fmt.Sprintf("shop-%d", os.Getpid())
	ports := freePorts(t, 2)
	defer c.pith("down", name)
	up := []string{"up", "--machine", "process", "--timeout", deploymentTime.String()}

	c.shop(name, "81", ports[0])
	if out := c.works("plan", "--machine", "process"); strings.Count(out, "\n") != 4 || network.FindLab(name) != nil || len(c.instances()) > 0 {
		t.Errorf("a plan makes something, or doesn't say four things:\n%s", out)
	}
	out := c.works(up...)
	if back, front := strings.Index(out, "back-2 healthy"), strings.Index(out, "front-1 healthy"); back < 0 || front < back {
		t.Errorf("not healthy in order:\n%s", out)
	}
	c.greets(ports[0])
	if out := c.works(up...); !strings.Contains(out, "nothing to do") {
		t.Errorf("a second time:\n%s", out)
	}

	first := c.instances()
	front := name + "-front-1"
	if l := first[front]; l.Health != "healthy" || l.Deployment != name || l.Service != "front" || fmt.Sprint(l.Ports) != fmt.Sprintf("[127.0.0.1:%d:80]", ports[0]) {
		t.Errorf("ps shows %+v", l)
	}
	if err := syscall.Kill(first[front].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	c.greets(ports[0])
	if now := c.instances()[front]; now.PID == first[front].PID || now.Restarts != 1 {
		t.Errorf("killed, and now %+v", now)
	}

	// A change that can't be: all is as before.
	c.shop(name, "82", ports[1])
	r := c.pith(up...)
	if r.code != 1 || !strings.Contains(r.err, "-back-1") && !strings.Contains(r.err, "-back-2") || !strings.Contains(r.err, "goes back") {
		t.Errorf("a change that fails: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	c.greets(ports[0])
	if len(c.instances()) != 3 {
		t.Errorf("after it: %v", c.instances())
	}

	// Without its keeper it runs on, and up finds it.
	c.shop(name, "81", ports[0])
	s, err := deploy.OpenFolder(state, name).State()
	if err != nil {
		t.Fatal(err)
	}
	before := c.instances()
	if err := s.Keeper.Kill(); err != nil {
		t.Fatal(err)
	}
	if out := c.works(up...); !strings.Contains(out, "keeper") {
		t.Errorf("without a keeper:\n%s", out)
	}
	c.greets(ports[0])
	for name, l := range c.instances() {
		if l.PID != before[name].PID {
			t.Errorf("%s was started again because of its keeper", name)
		}
	}

	c.works("down")
	if left, err := os.ReadDir(state); err != nil || len(left) > 0 || network.FindLab(name) != nil {
		t.Errorf("left: %v, %v", left, err)
	}
	if out := c.works("down"); !strings.Contains(out, "is not up") {
		t.Errorf("down twice: %s", out)
	}

	// A new deployment that can't be is gone again.
	c.shop(name, "82", ports[0])
	if r := c.pith(up...); r.code != 1 || network.FindLab(name) != nil || len(c.instances()) > 0 {
		t.Errorf("a new one that fails: exit code %d, %v: %s", r.code, c.instances(), r.err)
	}
	if left, err := os.ReadDir(state); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// stateFolder is where the user's machines are remembered.
func (c *cli) stateFolder() string {
	last := ""
	for _, v := range c.env {
		if dir, ok := strings.CutPrefix(v, "PITH_STATE="); ok {
			last = dir
		}
	}
	return last
}

// freePorts are ports of the host that nobody uses now.
func freePorts(t *testing.T, n int) (ports []int) {
	t.Helper()
	asked, err := machine.ParsePort("80")
	if err != nil {
		t.Fatal(err)
	}
	found, err := machine.FreePorts(slices.Repeat([]pith.Port{asked}, n))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range found {
		ports = append(ports, int(p.Host.Port()))
	}
	return ports
}
