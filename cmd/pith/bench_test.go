package main

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pith/bench/suite"
)

func TestBenchRefuses(t *testing.T) {
	c := newCLI(t)
	c.env = append(c.env, "PITH_SOURCE=.")
	c.fails(2, "mainframe", "bench", "web", "--machine", "mainframe")
	c.fails(2, "--step 0", "bench", "dns", "--step", "0")
	c.fails(2, "room for", "bench", "start", "--to", "1000")
	c.fails(2, "quick and paper", "bench", "all", "--preset", "endless")
	c.fails(2, "which run", "bench", "web", "--resume")
	c.fails(2, "holds no run", "bench", "report", c.dir)
	c.fails(2, "holds no run", "bench", "compare", c.dir, c.dir)
	c.fails(2, "for pith bench itself", "bench", "measure")
	if files, err := os.ReadDir(c.dir); err != nil || len(files) > 0 {
		t.Errorf("refused commands left %v, error %v", files, err)
	}
	c.env = append(c.env, "PITH_SOURCE=")
	c.fails(2, "checkout of Pith", "bench", "web")
}

func TestBenchInstall(t *testing.T) {
	r := newCLI(t).pith("bench", "install", "--dry-run")
	if r.code != 0 || !strings.HasPrefix(r.out, "apt-get install -y ") && r.out != "all tools are installed\n" {
		t.Errorf("%+v", r)
	}
}

// TestBenchWeb measures very briefly, in a lab of its own.
func TestBenchWeb(t *testing.T) {
	if testing.Short() {
		t.Skip("builds images and boots machines")
	}
	for _, file := range []string{"/dev/net/tun", "/proc/self/ns/net"} {
		if _, err := os.Stat(file); err != nil {
			t.Skipf("no lab can be made here: %v", err)
		}
	}
	source, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	c := newCLI(t)
	c.env = append(c.env, "PITH_SOURCE="+source)
	out := filepath.Join(c.dir, "out")
	machines := "unikernel,process"
	if slices.Contains(suite.Default().Machines, suite.Container) {
		machines = "unikernel,container"
	}
	r := c.pith("bench", "web", "--machine", machines, "--start", "20", "--step", "20", "--to", "40",
		"--step-time", "1s", "--pause", "0s", "--clients", "2", "--repeat", "1", "--out", out)
	if r.code != 0 {
		t.Fatalf("%+v", r)
	}
	f, err := os.Open(filepath.Join(out, "web.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) != 5 {
		t.Fatalf("%d rows, want a head and two steps of two machines; error %v\n%s", len(rows), err, r.err)
	}
	for _, row := range rows[1:] {
		if row[1] != "20" && row[1] != "40" || row[9] != row[1] {
			t.Errorf("not all that was sent was answered: %v", row)
		}
	}
	page, err := os.ReadFile(filepath.Join(out, "report.html"))
	if err != nil || !strings.Contains(string(page), "unikernel: accelerator tcg") {
		t.Errorf("the report doesn't tell the accelerator: %v", err)
	}
	compared := c.pith("bench", "compare", out, out, "-o", "json")
	var changes []suite.Change
	if err := json.Unmarshal([]byte(compared.out), &changes); err != nil || len(changes) == 0 {
		t.Errorf("compare: %v: %+v", err, compared)
	}
	for _, change := range changes {
		if change.Real {
			t.Errorf("a run differs from itself: %+v", change)
		}
	}
	c.fails(2, "there is a run already", "bench", "web", "--out", out)
}
