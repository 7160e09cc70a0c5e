package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConfig(t *testing.T) {
	c := newCLI(t)
	write := func(text string) {
		if err := os.WriteFile(filepath.Join(c.dir, "pith.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.fails(2, "there is no manifest", "config")
	c.fails(2, "yaml or json", "config", "-o", "xml")
	write("memroy: 64M\nfiles: [gone:/gone]\n")
	c.fails(2, `pith.yaml:1:1: there is no key "memroy": do you mean "memory"?`, "config")
	c.fails(2, "pith.yaml:1:1", "build", "-o", "x.img", ".")
	c.fails(2, "pith.yaml:1:1", "run", ".")
	write("name: a\nmemory: 64M\nports: ['80']\n")
	if r := c.pith("config"); r.code != 0 || !strings.Contains(r.out, "memory: 64M\n") || !strings.Contains(r.out, "127.0.0.1:0:80") {
		t.Errorf("config: %+v", r)
	}
	var resolved struct{ Name, Memory string }
	if r := c.pith("config", "-o", "json", c.dir); json.Unmarshal([]byte(r.out), &resolved) != nil || resolved.Memory != "64M" {
		t.Errorf("config -o json: %+v", r)
	}
	write("services: {a: {build: .}}\n")
	c.fails(2, "describes several services", "run", "-f", "pith.yaml", ".")
	write("services: {a: {build: .}, b: {build: ., replicas: 2}}\n")
	first := c.pith("config")
	if first.code != 0 || !strings.Contains(first.out, "10.213.0.0/24") || strings.Count(first.out, "- 10.213.0.") != 2+1 {
		t.Errorf("config of services without networks: %+v", first)
	}
	write(first.out)
	if again := c.pith("config"); again.out != first.out {
		t.Errorf("config of what config prints:\n%s\nand before\n%s", again.out, first.out)
	}
	if r := c.pith("schema"); r.code != 0 || !json.Valid([]byte(r.out)) {
		t.Errorf("schema: %+v", r)
	}
}
