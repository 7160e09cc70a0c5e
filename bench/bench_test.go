package bench

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pith/bench/lab"
	"pith/machine/linuxvm"
)

// sample is a report as two rounds of two targets leave it.
func sampleReport() *Report {
	r := &Report{
		Head: []string{"host: a test"}, Reference: "linux", Targets: []string{"linux", "pith"},
		Facts:    map[string]Facts{"linux": {"tcg", "qemu64"}},
		Sizes:    map[string]Size{"linux": {16_070_000, 10_840_000}},
		Failures: []string{"round 2, pith: no answer\nat all"},
	}
	linux, other := &Linux{}, &Unikernel{}
	r.add(0, turn{linux, 1}, map[string]float64{mStart: 2000, mHTTP: 1000}, 0.5)
	r.add(0, turn{other, 1}, map[string]float64{mStart: 100, mHTTP: 3000}, 0.5)
	r.add(1, turn{other, 1}, map[string]float64{mHTTP: 2000}, 1.25)
	r.add(1, turn{linux, 1}, map[string]float64{mStart: 1000, mHTTP: 1000}, 1.25)
	return r
}

func TestReportRatio(t *testing.T) {
	r := sampleReport()
	if got := r.Ratio("pith", 1, mHTTP); got.Median != 2.5 || got.Low != 2 || got.High != 3 {
		t.Errorf("requests/s: %+v", got)
	}
	if got := r.Ratio("pith", 1, mStart); got.Rounds != 1 || got.Median != 0.05 {
		t.Errorf("start, which one round lacks: %+v", got)
	}
	if got := r.Ratio("pith", 2, mHTTP); got.Rounds != 0 {
		t.Errorf("a size that was not measured: %+v", got)
	}
	if got := r.Median("linux", 1, mStart); got != 1500 {
		t.Errorf("median start %v", got)
	}
}

func TestReportCSV(t *testing.T) {
	var out bytes.Buffer
	if err := sampleReport().WriteCSV(&out); err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(&out).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(records) != 8 {
		t.Fatalf("%d records, want a head and seven samples", len(records))
	}
	if got := strings.Join(records[1], " "); got != "0 linux 1 http_per_s 1000 0.50" {
		t.Errorf("first sample %q", got)
	}
}

func TestReportMarkdown(t *testing.T) {
	var out strings.Builder
	if err := sampleReport().WriteMarkdown(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"- linux: accel tcg, cpu qemu64\n",
		"| start_ms ↓ | 1 | 1500 (1000–2000) | 100 (100–100) | **0.0500**",
		"| http_per_s | 1 | 1000 (1000–1000) | 2500 (2000–3000) | **2.50** (2.00–3.00;",
		"| linux | 16.07 | 10.84 |\n",
		"- round 2, pith: no answer\n  at all\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 1234.5: "1234", 99.96: "100.0", 12.345: "12.3", 0.012345: "0.0123", -5.5: "-5.50"} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %s, want %s", v, got, want)
		}
	}
}

func TestConfigRefuses(t *testing.T) {
	for name, c := range map[string]Config{
		"no targets":   {},
		"unknown step": {Targets: []Target{&Native{}}, Steps: []string{"fly"}},
	} {
		if err := c.fill(); err == nil {
			t.Errorf("%s is no error", name)
		}
	}
	if _, err := Run(t.Context(), Config{Targets: []Target{&Native{}}}); err == nil && !lab.Inside() {
		t.Error("a comparison in the host's own network is no error")
	}
}

func TestParseStat(t *testing.T) {
	const text = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 7 8 20 0 4 0 100 1000 10"
	if got, err := parseStat([]byte(text)); err != nil || got != 2*time.Second {
		t.Errorf("%v, error %v", got, err)
	}
	for _, bad := range []string{"", "42 (a) S 1", "42 (a) S 1 42 42 0 -1 4194560 100 0 0 0 x 50 7"} {
		if got, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q gives %v", bad, got)
		}
	}
}

func TestOwnProcess(t *testing.T) {
	if _, err := ProcessCPU(os.Getpid()); err != nil {
		t.Error(err)
	}
	if n, err := PrivateMemory(os.Getpid()); err != nil || n < 1<<20 {
		t.Errorf("%d bytes of private memory, error %v", n, err)
	}
	if n, err := WakeUps(os.Getpid(), []int{os.Getpid()}); err != nil || n < 0 {
		t.Errorf("%d wake-ups, error %v", n, err)
	}
	if _, err := ProcessCPU(0); err == nil {
		t.Error("process 0 has a CPU time")
	}
}

func TestWeigh(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, bytes.Repeat([]byte("pith "), 10_000), 0o644); err != nil {
		t.Fatal(err)
	}
	raw, packed, err := Weigh([]string{file, file})
	if err != nil || raw != 100_000 || packed <= 0 || packed > 2000 {
		t.Errorf("%d bytes, packed %d, error %v", raw, packed, err)
	}
	if _, _, err := Weigh([]string{file + "gone"}); err == nil {
		t.Error("a file that isn't there has a size")
	}
}

func TestTranscript(t *testing.T) {
	var short, long transcript
	short.Write([]byte("one "))
	short.Write([]byte("two"))
	if s := short.String(); s != "one two" {
		t.Errorf("%q", s)
	}
	long.Write([]byte("begin"))
	for range 100 {
		if n, err := long.Write(bytes.Repeat([]byte("x"), 99)); n != 99 || err != nil {
			t.Fatal(n, err)
		}
	}
	long.Write([]byte("end"))
	s := long.String()
	if len(s) > headSize+endSize+10 || !strings.HasPrefix(s, "beginx") || !strings.HasSuffix(s, "xend") || !strings.Contains(s, "[...]") {
		t.Errorf("%d bytes, %.20q to %q", len(s), s, s[len(s)-5:])
	}
}

// TestInLab runs the tests whose names begin with TestLab in a network
// namespace of their own.
func TestInLab(t *testing.T) {
	if lab.Inside() {
		t.Skip("this is the lab")
	}
	args := []string{"-test.run=^TestLab", "-test.timeout=10m"}
	if testing.Short() {
		args = append(args, "-test.short")
	}
	if testing.Verbose() {
		args = append(args, "-test.v")
	}
	code, err := lab.Enter(t.Context(), args...)
	if err != nil {
		t.Skip(err)
	}
	if code != 0 {
		t.Errorf("the tests in the lab failed: exit code %d", code)
	}
}

func needLab(t *testing.T) {
	t.Helper()
	if !lab.Inside() {
		t.Skip("runs in a lab, see TestInLab")
	}
}

// program builds the measured program.
func program(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	source, out := filepath.Join(dir, "server"), filepath.Join(dir, "server.elf")
	if err := WriteProgram(source); err != nil {
		t.Fatal(err)
	}
	if err := BuildProgram(t.Context(), source, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestLabCompareNative(t *testing.T) {
	needLab(t)
	var progress strings.Builder
	r, err := Run(t.Context(), Config{
		Targets: []Target{&Native{Program: program(t)}}, CPUs: []int{1}, Rounds: 2,
		Warmup: 50 * time.Millisecond, Length: 600 * time.Millisecond, Idle: time.Second / 10,
		Steps: []string{"http", "udp", "udp16k", "work", "overload", "idle", "memory"}, Progress: &progress,
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Failures) > 0 {
		t.Errorf("failures: %q", r.Failures)
	}
	for _, m := range []string{mStart, mHTTP, mHTTPp50, mHTTPp99, mUDP, mUDPServed, mWork, mOverload, mPrivate} {
		if got := r.Median("native", 1, m); !(got > 0) {
			t.Errorf("%s is %v", m, got)
		}
	}
	if r.Facts["native"].Accelerator != "none" || r.Sizes["native"].Packed == 0 {
		t.Errorf("facts %v, sizes %v", r.Facts, r.Sizes)
	}
	if n := strings.Count(progress.String(), "\n"); n != 2 {
		t.Errorf("progress has %d lines:\n%s", n, progress.String())
	}
}

func TestLabRunEndsWithItsContext(t *testing.T) {
	needLab(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	begin := time.Now()
	_, err := Run(ctx, Config{
		Targets: []Target{&Native{Program: program(t)}}, CPUs: []int{1},
		Length: time.Minute, Steps: []string{"http"},
	})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > 20*time.Second {
		t.Errorf("after %v: error %v", time.Since(begin), err)
	}
}

// TestLabLinuxBoots boots the tuned guest until it answers.
func TestLabLinuxBoots(t *testing.T) {
	needLab(t)
	if testing.Short() {
		t.Skip("boots a Linux guest")
	}
	guest := &Linux{Build: linuxvm.Build{Program: program(t), Progress: func(line string) { t.Log(line) }}}
	if err := guest.Prepare(t.Context()); err != nil {
		t.Skip(err) // no kernel is installed
	}
	r, err := Run(t.Context(), Config{
		Targets: []Target{guest}, CPUs: []int{1, 2}, Rounds: 1, Patience: 60 * time.Second,
		Warmup: 200 * time.Millisecond, Length: time.Second, Idle: time.Second, Steps: []string{"http", "udp", "idle"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Failures) > 0 {
		t.Errorf("failures: %q", r.Failures)
	}
	for _, cpus := range []int{1, 2} {
		for _, m := range []string{mStart, mHTTP, mUDP, mIdleWakeUps} {
			if got := r.Median("linux", cpus, m); !(got > 0) {
				t.Errorf("%d CPUs: %s is %v", cpus, m, got)
			}
		}
	}
	if f := r.Facts["linux"]; f.Accelerator != "tcg" || f.CPU != linuxvm.DefaultCPU {
		t.Errorf("facts %v", f)
	}
}
