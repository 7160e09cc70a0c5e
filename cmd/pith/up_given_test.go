package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pith"
	"pith/machine"
	"pith/machine/host"
)

// TestUpVolume: a machine writes to its volume, is replaced, reads it again; so does
// one after down and up. Nobody else gets the volume meanwhile.
func TestUpVolume(t *testing.T) {
	kindOrSkip(t, machine.KindUnikernel)
	c := newKeeperProgram(t)
	name := fmt.Sprintf("vol-%d", os.Getpid())
	if err := os.Mkdir(filepath.Join(c.dir, "shared"), 0o755); err != nil {
		t.Fatal(err)
	}
	c.save("shared/note", "of the host")
	port := freePorts(t, 1)[0]
	defer c.pith("down", "--volumes", name)
	manifest := func(env, size, more string) {
		c.save("pith.yaml", fmt.Sprintf(`
name: %s
networks: {outer: {driver: user}}
volumes: {data: {size: %s}}
services:
  store:
    build: .
    env: {GENERATION: %q}
    networks: [outer]
    volumes: ["data:/data", "./shared:/shared:ro"]
    ports: ["%d:80"]
%s`, name, size, env, port, more))
	}
	up := []string{"up", "--timeout", (2 * deploymentTime).String()}

	manifest("1", "64M", "")
	if out := c.works("plan"); !strings.Contains(out, "+ volume "+name+"_data (64 MiB)") {
		t.Errorf("the plan doesn't name the volume:\n%s", out)
	}
	c.works(up...)
	c.append(port, "/data/log", "one\n")
	if out := c.works("volume", "inspect", name+"_data"); !strings.Contains(out, fmt.Sprint(64<<20)) {
		t.Errorf("not of the size that the file says: %s", out)
	}
	if got := c.file(port, "/shared/note"); got != "of the host" {
		t.Errorf("in the host's folder: %q", got)
	}
	manifest("2", "64M", "")
	if out := c.works("plan"); !strings.Contains(out, "replaced (env)") {
		t.Errorf("the plan doesn't say what changed:\n%s", out)
	}
	c.underLoad(port, "/data/log", func() { c.works(up...) })
	c.append(port, "/data/log", "two\n")

	manifest("2", "128M", "")
	c.fails(2, "a volume keeps its size", "plan")
	manifest("2", "64M", "    replicas: 2\n")
	c.fails(2, "can't be written by 2 replicas", "plan")
	manifest("2", "64M", "  other: {build: ., networks: [outer], volumes: [\"data:/data\"]}\n")
	c.fails(2, "used by store already", "plan")

	manifest("2", "64M", "")
	c.works("down")
	c.works("run", "-d", "--name", "thief", "-v", name+"_data:/data", ".")
	c.fails(2, "in use by machine thief", up...)
	c.works("rm", "-f", "thief")
	c.works(up...)
	if got := c.file(port, "/data/log"); got != "one\ntwo\n" {
		t.Errorf("on the volume after down and up: %q", got)
	}
	for _, kind := range []string{machine.KindProcess, machine.KindContainer} {
		if err := driverOf(kind, host.This()).Check(machine.Spec{Machine: pith.Machine{Mounts: []pith.Mount{{Volume: "data", Target: "/data"}}}}); err != nil {
			t.Logf("not tried as a %s: %v", kind, err)
			continue
		}
		manifest("2", "64M", "    machine: "+kind+"\n")
		c.works(up...)
		before := c.file(port, "/data/log")
		c.append(port, "/data/log", kind+"\n")
		if got := c.file(port, "/data/log"); got != before+kind+"\n" || !strings.HasPrefix(got, "one\ntwo\n") {
			t.Errorf("as a %s: %q", kind, got)
		}
		c.fails(2, "in use by another machine", "run", "--name", "thief", "-v", name+"_data:/data", ".")
	}
	c.works("down", "--volumes")
	if out := c.works("volume", "ls", "-o", "json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("left: %s", out)
	}
}

// TestUpGiven: each kind of machine gets its config and its secret, which shows up
// nowhere else; a change replaces the machine, and no request is lost.
func TestUpGiven(t *testing.T) {
	for _, kind := range machine.Kinds {
		t.Run(kind, func(t *testing.T) {
			kindOrSkip(t, kind)
			c := newKeeperProgram(t)
			c.given(kind, fmt.Sprintf("given-%s-%d", kind, os.Getpid()))
		})
	}
}

func (c *cli) given(kind, name string) {
	port := freePorts(c.T, 1)[0]
	defer c.pith("down", name)
	const hidden, variable = "the-secret-of-the-file", "the-secret-of-the-variable"
	c.env = append(c.env, "KEEPER_TOKEN="+variable)
	c.save("app.conf", "first")
	c.save("key", hidden)
	c.save("pith.yaml", fmt.Sprintf(`
name: %s
networks: {outer: {driver: user}}
configs:
  app: {file: ./app.conf}
  note: {content: "as it stands here"}
secrets:
  key: {file: ./key}
  token: {environment: KEEPER_TOKEN}
services:
  store:
    build: .
    machine: %s
    networks: [outer]
    configs: ["app:/etc/app/app.conf", {source: note, target: /etc/note, mode: "0400"}]
    secrets: [key, token]
    ports: ["%d:80"]
`, name, kind, port))
	up := []string{"up", "--timeout", (2 * deploymentTime).String()}
	c.works(up...)
	for path, want := range map[string]string{
		"/etc/app/app.conf": "first", "/etc/note": "as it stands here", "/run/secrets/key": hidden, "/run/secrets/token": variable,
	} {
		if got := c.file(port, path); got != want {
			c.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if out := c.works(up...); !strings.Contains(out, "nothing to do") {
		c.Errorf("a second time:\n%s", out)
	}
	c.notSeen("the-secret-of-the-", c.works("config")+c.works("plan")+c.works("ps", "-o", "json")+c.works("logs", name+"-store-1"))

	c.save("app.conf", "second")
	if out := c.works("plan"); !strings.Contains(out, "replaced (/etc/app/app.conf)") {
		c.Errorf("the plan doesn't say that the file changed:\n%s", out)
	}
	c.underLoad(port, "/etc/app/app.conf", func() { c.works(up...) })
	if got := c.file(port, "/etc/app/app.conf"); got != "second" {
		c.Errorf("after the change: %q", got)
	}
	c.save("key", hidden+"-2")
	if out := c.works("plan"); !strings.Contains(out, "replaced (/run/secrets/key)") || strings.Contains(out, hidden) {
		c.Errorf("the plan doesn't say that the secret changed:\n%s", out)
	}
	c.works("down")
	c.env = c.env[:len(c.env)-1]
	c.fails(2, "variable KEEPER_TOKEN, which is not set", up...)
}

// TestUpHeals: an instance that runs but doesn't do its work is replaced as its
// policy says, and one whose policy is no is shown.
func TestUpHeals(t *testing.T) {
	kindOrSkip(t, machine.KindProcess)
	c := newKeeperProgram(t)
	name := fmt.Sprintf("heal-%d", os.Getpid())
	ports := freePorts(t, 2)
	defer c.pith("down", name)
	c.save("pith.yaml", fmt.Sprintf(`
name: %s
networks: {one: {driver: user}, other: {driver: user}}
services:
  healed: &sick
    build: .
    machine: process
    networks: [one]
    ports: ["%d:80"]
    restart: always
    healthcheck: {http: /.health, retries: 2, interval: 1s}
  shown:
    <<: *sick
    networks: [other]
    ports: ["%d:80"]
    restart: "no"
`, name, ports[0], ports[1]))
	c.works("up", "--timeout", (2 * deploymentTime).String())
	first := c.instances()
	for _, p := range ports {
		c.append(p, "/.sick", "")
	}
	c.becomes(name+"-shown-1", func(l listed) bool { return l.Health == "unhealthy" })
	if svg := c.works("graph"); !strings.Contains(svg, ">unhealthy<") || strings.Contains(svg, "not up") {
		t.Errorf("the picture doesn't show the state:\n%s", svg)
	}
	c.becomes(name+"-healed-1", func(l listed) bool { return l.Health == "healthy" && l.Restarts > 0 })
	last := c.instances()
	if n := name + "-healed-1"; last[n].PID == first[n].PID {
		t.Errorf("%s was not replaced: %+v", n, last[n])
	}
	if n := name + "-shown-1"; last[n].PID != first[n].PID || last[n].Restarts != 0 {
		t.Errorf("%s was replaced against its policy: %+v", n, last[n])
	}
}
