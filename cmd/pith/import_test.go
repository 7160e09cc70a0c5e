package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pith/machine"
)

// TestImport makes a pith.yaml of a compose file, and brings it up: the services find one
// another by name, and what is not the same was told.
func TestImport(t *testing.T) {
	kindOrSkip(t, machine.KindProcess)
	if os.Getuid() != 0 {
		t.Skip("networks of driver bridge take root")
	}
	c := newKeeperProgram(t)
	port := freePorts(t, 1)[0]
	c.save("motd", "welcome")
	c.save("compose.yaml", fmt.Sprintf(`services:
  front:
    build: .
    ports: ["127.0.0.1:%d:80"]
    environment: {GREETING: "${GREETING:-hello}"}
    volumes: ["./motd:/etc/motd:ro"]
    depends_on: {back: {condition: service_healthy}}
    restart: always
  back:
    build: {context: ., dockerfile: Dockerfile}
    healthcheck: {test: [CMD, curl, -f, "http://localhost/.health"], interval: 1s}
    deploy: {replicas: 2}
    hostname: back
`, port))
	name := fmt.Sprintf("imported-%d", os.Getpid())
	defer c.pith("down", name)
	if r := c.pith("import", "--strict"); r.code != 2 || r.out != "" || !strings.Contains(r.err, "4 things of the compose file") {
		t.Errorf("--strict: %+v", r)
	}
	r := c.pith("import", "-o", "pith.yaml")
	if r.code != 0 {
		t.Fatal(r.err)
	}
	for _, want := range []string{
		"compose.yaml:6: front gets a copy of the file ./motd at /etc/motd", "compose.yaml:10: Dockerfile is not read",
		"compose.yaml:13: services.back.hostname is left out", "network default leads nowhere",
	} {
		if !strings.Contains(r.err, want) {
			t.Errorf("no %q in:\n%s", want, r.err)
		}
	}
	c.fails(2, "pith.yaml is there already", "import", "-o", "pith.yaml")
	c.works("up", "--machine", "process", "--name", name, "--timeout", (2 * deploymentTime).String())
	c.tells(port, "back", strings.Join(c.addresses(name, "back"), " ")+" <nil>")
	if got := c.file(port, "/etc/motd"); got != "welcome" {
		t.Errorf("the file is %q", got)
	}
}

func TestImportRefuses(t *testing.T) {
	c := newCLI(t)
	c.fails(2, "there is no compose.yaml", "import")
	c.fails(2, "there is no compose file nowhere.yaml", "import", "nowhere.yaml")
	c.save("compose.yml", "services: {db: {image: postgres}}\n")
	c.fails(2, "compose.yml:1: service db is left out: image postgres is no Go program", "import")
	c.fails(2, "write SERVICE=FOLDER", "import", "--build", "db")
	r := c.pith("import", "--build", "db=example.org/db@v1.0.0")
	if r.code != 0 || !strings.Contains(r.out, "build: example.org/db@v1.0.0") {
		t.Errorf("with --build: %+v", r)
	}
	var both imported
	if r := c.pith("import", "--build", "db=./x", "--format", "json"); json.Unmarshal([]byte(r.out), &both) != nil || !strings.Contains(both.Manifest, "build: ./x") ||
		len(both.Notes) == 0 || both.Notes[0].File != "compose.yml" || both.Notes[0].Line != 1 {
		t.Errorf("as JSON: %+v", r)
	}
	if left, _ := filepath.Glob(filepath.Join(c.dir, "pith.yaml")); len(left) > 0 {
		t.Error("a pith.yaml was written that nobody asked for")
	}
}
