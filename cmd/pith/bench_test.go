package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
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
	c.fails(2, "--attack kindness", "bench", "flood", "--attack", "kindness")
	c.fails(2, "--size 9", "bench", "forward", "--size", "9")
	c.fails(2, "--peer apache", "bench", "web", "--peer", "apache")
	c.fails(2, "holds no run", "bench", "web", "--resume", "--dry-run", "--out", c.dir)
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

// benchCLI is a user who measures this checkout, where a lab can be made.
func benchCLI(t *testing.T) *cli {
	t.Helper()
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
	return c
}

// TestBenchPartFails: a machine that doesn't come up ends its own part, and the
// command fails, with what the others measured.
func TestBenchPartFails(t *testing.T) {
	c := benchCLI(t)
	out := filepath.Join(c.dir, "out")
	r := c.pith("bench", "web", "--machine", "unikernel,process", "-m", "16M", "--start", "20", "--to", "20",
		"--step-time", "1s", "--clients", "2", "--repeat", "1", "--out", out)
	if r.code != 1 || !strings.Contains(r.err, "16 MiB is too little") || !strings.Contains(r.err, "1 of 2 parts failed") {
		t.Errorf("%+v", r)
	}
	if rows := csvRows(t, filepath.Join(out, "web.csv")); len(rows) != 2 || rows[1][6] != "process" {
		t.Errorf("kept: %v", rows)
	}
	if page, err := os.ReadFile(filepath.Join(out, "report.html")); err != nil || !strings.Contains(string(page), "16 MiB is too little") {
		t.Errorf("the report doesn't say what failed: %v", err)
	}
}

// TestBenchFullDisk: the run ends with a sentence about it, and what there was room
// for is kept.
func TestBenchFullDisk(t *testing.T) {
	c := benchCLI(t)
	if _, err := exec.LookPath("unshare"); err != nil || os.Geteuid() != 0 {
		t.Skip("a small disk takes root and unshare")
	}
	disk := filepath.Join(c.dir, "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	// A page for run.json and one for the records; the mount goes with the shell.
	script := `mount -t tmpfs -o size=8k small "$1" || exit 99
"$2" bench web --machine process --start 20 --step 1 --to 40 --step-time 500ms --pause 0s --clients 2 --repeat 1 --out "$1/run"
code=$?
cat "$1/run/records.jsonl"
exit $code`
	cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "sh", "-c", script, "sh", disk, pithBinary)
	cmd.Env, cmd.Dir = c.env, c.dir
	var said bytes.Buffer
	cmd.Stderr = &said
	records, err := cmd.Output()
	if cmd.ProcessState.ExitCode() == 99 {
		t.Skipf("no small disk can be mounted here: %s", &said)
	}
	if err == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("exit code %d", cmd.ProcessState.ExitCode())
	}
	for _, want := range []string{"a record can't be kept", "no space left on device", "those before are in " + disk} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("no %q in\n%s", want, &said)
		}
	}
	if n := strings.Count(string(records), `"Step"`); n < 1 || n > 20 {
		t.Errorf("%d steps were kept", n)
	}
}

// csvRows are the rows of a CSV file.
func csvRows(t *testing.T, file string) [][]string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// TestBenchForward sends packets through the firewall's image and the host's own.
func TestBenchForward(t *testing.T) {
	c := benchCLI(t)
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("there is no nft to compare with")
	}
	out := filepath.Join(c.dir, "out")
	r := c.pith("bench", "forward", "--machine", "unikernel,process", "--service", "firewall", "--size", "64",
		"--time", "500ms", "--repeat", "1", "--out", out)
	if r.code != 0 {
		t.Fatalf("%+v", r)
	}
	rows := csvRows(t, filepath.Join(out, "forward.csv"))
	if len(rows) != 3 {
		t.Fatalf("%d rows, want a head and one of each machine: %v", len(rows), rows)
	}
	for _, row := range rows[1:] {
		if through, err := strconv.Atoi(row[7]); err != nil || through == 0 || row[9] == row[10] {
			t.Errorf("nothing came through: %v", row)
		}
	}
}

// TestBenchFlood attacks a process with frames, which takes a machine's address
// and the lab's interface.
func TestBenchFlood(t *testing.T) {
	c := benchCLI(t)
	out := filepath.Join(c.dir, "out")
	r := c.pith("bench", "flood", "--machine", "process", "--service", "dns", "--attack", "frames,malformed", "--time", "1s",
		"--calm", "1s", "--recovery", "5s", "--rate", "200", "--repeat", "1", "--out", out)
	if r.code != 0 {
		t.Fatalf("%+v", r)
	}
	rows := csvRows(t, filepath.Join(out, "flood.csv"))
	if len(rows) != 3 {
		t.Fatalf("%d rows, want a head and two attacks: %v", len(rows), rows)
	}
	for _, row := range rows[1:] {
		if sent, err := strconv.Atoi(row[6]); err != nil || sent == 0 || row[19] != "false" {
			t.Errorf("nothing was sent, or the process has ended: %v", row)
		}
	}
}

// TestBenchWeb measures very briefly, in a lab of its own.
func TestBenchWeb(t *testing.T) {
	c := benchCLI(t)
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
	rows := csvRows(t, filepath.Join(out, "web.csv"))
	if len(rows) != 5 {
		t.Fatalf("%d rows, want a head and two steps of two machines\n%s", len(rows), r.err)
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
