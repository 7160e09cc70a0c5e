package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"pith/machine"
)

// logged makes a machine that has ended, with a log: three lines, and a fourth
// without its end.
func logged(c *cli) {
	c.Helper()
	spec := machine.Spec{Type: machine.TypeMicroVM, What: "./web"}
	spec.Name, spec.CPUs, spec.Memory = "web", 1, machine.DefaultMemory
	e, err := machine.OpenStore(stateOf(c)).Create(spec)
	if err != nil {
		c.Fatal(err)
	}
	w, err := e.OpenLog()
	if err != nil {
		c.Fatal(err)
	}
	fmt.Fprint(w, "one\ntwo\nthree\nfo")
	if err := w.Close(); err != nil {
		c.Fatal(err)
	}
	if err := e.SetState(machine.State{Status: machine.StatusExited, ExitCode: 3}); err != nil {
		c.Fatal(err)
	}
}

func TestLogs(t *testing.T) {
	c := newCLI(t)
	logged(c)
	for args, want := range map[string]string{
		"":                                       "one\ntwo\nthree\nfo",
		"-f":                                     "one\ntwo\nthree\nfo",
		"--tail 2":                               "three\nfo",
		"-n 0":                                   "",
		"-n 99":                                  "one\ntwo\nthree\nfo",
		"--since 1h":                             "one\ntwo\nthree\nfo",
		"--since 2100-01-01T00:00:00Z":           "",
		"--since 1h --tail 1 --follow":           "fo",
		"--since 2001-01-01T00:00:00+02:00 -n 1": "fo",
	} {
		r := c.pith(append([]string{"logs", "web"}, strings.Fields(args)...)...)
		if r.code != 0 || r.out != want {
			t.Errorf("logs %s: %+v, want %q", args, r, want)
		}
	}
	c.fails(2, "neither a span such as 10m", "logs", "--since", "yesterday", "web")
	c.fails(2, "neither a span such as 10m", "logs", "--since", "-1h", "web")
	c.fails(2, "0 or more", "logs", "-n", "-2", "web")
}

func TestLogsTimesAndJSON(t *testing.T) {
	c := newCLI(t)
	logged(c)
	first, _, _ := strings.Cut(c.pith("logs", "-t", "web").out, "\n")
	stamp, text, _ := strings.Cut(first, " ")
	if at, err := time.Parse(time.RFC3339, stamp); err != nil || text != "one" || time.Since(at) > time.Hour {
		t.Errorf("logs -t: %q, %v", first, err)
	}
	var lines []loggedLine
	d := json.NewDecoder(strings.NewReader(c.pith("logs", "--json", "web").out))
	for d.More() {
		var l loggedLine
		if err := d.Decode(&l); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	if len(lines) != 4 || lines[1].Text != "two" || lines[1].Partial || !lines[3].Partial || lines[0].Time.IsZero() {
		t.Errorf("logs --json: %+v", lines)
	}
}

func TestPSTellsAll(t *testing.T) {
	c := newCLI(t)
	logged(c)
	var list []map[string]any
	if err := json.Unmarshal([]byte(c.pith("ps", "-a", "-o", "json").out), &list); err != nil || len(list) != 1 {
		t.Fatalf("%v: %v", err, list)
	}
	for _, key := range []string{"name", "what", "type", "args", "env", "networks", "remove", "status", "exitCode", "cpus", "memory", "ports", "created"} {
		if v, there := list[0][key]; !there || v == nil {
			t.Errorf("no %s in %v", key, list[0])
		}
	}
}
