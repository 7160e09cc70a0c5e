package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestBenchInterrupted: Ctrl-C, which goes to all processes of the terminal, ends a run
// with what it has; --resume does the rest.
func TestBenchInterrupted(t *testing.T) {
	c := benchCLI(t)
	out := filepath.Join(c.dir, "out")
	args := []string{"bench", "dns", "--tcp", "--machine", "process", "--start", "20", "--step", "20", "--to", "40",
		"--step-time", "1s", "--pause", "0s", "--clients", "2", "--repeat", "3", "--out", out}
	cmd := exec.CommandContext(t.Context(), pithBinary, args...)
	cmd.Env, cmd.Dir, cmd.SysProcAttr = c.env, c.dir, &syscall.SysProcAttr{Setpgid: true}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for end := time.Now().Add(5 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		records, err := os.ReadFile(filepath.Join(out, "records.jsonl"))
		if err == nil && bytes.Contains(records, []byte(`"End"`)) { // a part is done, two are not
			break
		}
		if time.Now().After(end) {
			t.Fatalf("no part is done:\n%s", &said)
		}
	}
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-ended
	if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(said.String(), "--resume --out "+out+" goes on") {
		t.Errorf("exit code %d, it said:\n%s", code, &said)
	}
	page, err := os.ReadFile(filepath.Join(out, "report.html"))
	if err != nil || !strings.Contains(string(page), "parts are missing") {
		t.Errorf("the report doesn't say that it is not whole: %v", err)
	}
	kept := len(csvRows(t, filepath.Join(out, "dns.csv")))
	if kept < 3 || kept > 6 {
		t.Errorf("%d rows were kept, want a head, the two of a part, and no more than three others", kept)
	}
	if r := c.pith("bench", "dns", "--resume", "--out", out); r.code != 0 {
		t.Fatalf("resumed: %+v", r)
	}
	if rows := csvRows(t, filepath.Join(out, "dns.csv")); len(rows) != 7 {
		t.Errorf("%d rows, want a head and two steps of three repeats", len(rows))
	}
}

// TestBenchStart starts machines beside one another, processes one after the other and
// unikernels all at once, and replaces some.
func TestBenchStart(t *testing.T) {
	c := benchCLI(t)
	for machine, phase := range map[string]string{"process": "fill", "unikernel": "cold"} {
		out := filepath.Join(c.dir, phase)
		r := c.pith("bench", "start", "--machine", machine, "--cold="+fmt.Sprint(phase == "cold"), "--from", "3", "--to", "3",
			"--time", "1s", "--pace", "300ms", "--traced", "1", "-m", "64M", "--repeat", "1", "--out", out)
		if r.code != 0 {
			t.Fatalf("%+v", r)
		}
		starts := map[string]int{}
		for _, row := range csvRows(t, filepath.Join(out, "start.csv"))[1:] {
			if row[0] != "3" || row[2] == "" || row[6] != "" {
				t.Errorf("a start that failed: %v", row)
			}
			starts[row[5]]++
		}
		if starts[phase] != 3 || starts["stages"] != 1 || starts["replace"] == 0 {
			t.Errorf("%s: %v", machine, starts)
		}
		text, err := os.ReadFile(filepath.Join(out, "summary.md"))
		if err != nil || !strings.Contains(string(text), "- 3 instances of "+machine+": ") {
			t.Errorf("the summary doesn't say what the host has least of: %v\n%s", err, text)
		}
	}
}

// TestBenchFootprint weighs a unikernel, each figure under its name.
func TestBenchFootprint(t *testing.T) {
	c := benchCLI(t)
	out := filepath.Join(c.dir, "out")
	r := c.pith("bench", "footprint", "--machine", "unikernel", "--idle", "1s", "--load-time", "1s", "--load", "20", "--least=false",
		"-m", "64M", "--repeat", "1", "--out", out)
	if r.code != 0 {
		t.Fatalf("%+v", r)
	}
	found := map[string]bool{}
	for _, row := range csvRows(t, filepath.Join(out, "footprint.csv"))[1:] {
		found[row[0]+": "+row[2]+", "+row[3]] = true
	}
	for _, figure := range []string{
		"unikernel: shipped, MB", "unikernel: shipped, xz, MB", "unikernel: CPU, idle, % of one CPU",
		"unikernel: host's memory, idle, MiB", "unikernel: Go runtime's memory, idle, MiB",
		"unikernel: host's memory, under load, MiB", "unikernel: Go runtime's memory, under load, MiB",
	} {
		if !found[figure] {
			t.Errorf("no figure %s in %v", figure, found)
		}
	}
}
