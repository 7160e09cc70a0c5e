package suite

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pith"
	"pith/bench"
	"pith/bench/load"
)

// measured is a run with records of every measure. slow makes the unikernel's
// starts longer.
func measured(t *testing.T, slow float64) *Book {
	t.Helper()
	c := testConfig()
	c.Measures, c.Repeat = []string{Web, DNS, Start, Footprint, Flood, Forward}, 7
	book, err := Create(filepath.Join(t.TempDir(), "run"), About{Config: c, Begun: time.Now(), Host: []string{"host: <a test>"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { book.Close() })
	add := func(j job, r Record) {
		if err := book.add(j, r); err != nil {
			t.Fatal(err)
		}
	}
	client := fakeClient{outcome: all}
	for repeat := range c.Repeat {
		for m, machine := range c.Machines {
			for _, measure := range []string{Web, DNS} {
				j := job{Measure: measure, Machine: machine, Repeat: repeat}
				for run, rate := range []float64{100, 200, 300} {
					o, err := client.Rate(t.Context(), rate, time.Second)
					if err != nil {
						t.Fatal(err)
					}
					step, err := newStep(run+1, rate, time.Second, o)
					if err != nil {
						t.Fatal(err)
					}
					step.P50 *= 1 + float64(m)
					add(j, Record{Step: step})
				}
				add(j, Record{End: &End{Accelerator: "tcg", CPU: "qemu64"}})
			}
			for _, guests := range []int{10, 20} {
				j := job{Measure: Start, Machine: machine, Repeat: repeat, Guests: guests}
				for guest := range guests {
					took := 0.1 + 0.01*float64(guest+repeat)
					if machine == Unikernel {
						took *= slow
					}
					add(j, Record{Begin: &Begin{Guest: guest, Phase: phaseFill, Seconds: took}})
				}
				add(j, Record{Begin: &Begin{Guest: 3, Phase: phaseReplace, Failure: "it doesn't start"}})
				add(j, Record{Begin: &Begin{Phase: phaseStages, Seconds: 1, Stages: []StageTime{{bench.StageVMM, 0.25}, {bench.StageMain, 0.5}, {bench.StageAnswer, 0.25}}}})
				add(j, Record{End: &End{Failure: "it </pre> doesn't start", Scarce: "memory 99 %, CPU 5 %"}})
			}
			siege := &FloodResult{Begin: 2 * time.Second, End: 6 * time.Second, step: 50 * time.Millisecond}
			siege.judge(samples(func(due time.Duration) (time.Duration, string) {
				return time.Millisecond * time.Duration(1+m+repeat), ""
			}), 9*time.Second)
			j := job{Measure: Flood, Machine: machine, Repeat: repeat, Part: "web slow"}
			add(j, Record{Flood: siege})
			add(j, Record{End: &End{}})
			j = job{Measure: Forward, Machine: machine, Repeat: repeat, Part: "router"}
			for _, size := range c.Forward.Sizes {
				add(j, Record{Forward: &ForwardResult{Size: size, Sent: 1000, Through: 990, Seconds: 0.5, Rate: 1980 * float64(m+1), P50: 100, WireP50: 20}})
			}
			add(j, Record{End: &End{}})
			j = job{Measure: Footprint, Machine: machine, Repeat: repeat}
			add(j, Record{Value: &Value{"shipped", "MB", 10 + float64(m)}})
			add(j, Record{Value: &Value{"host's memory, idle", "MiB", 50}})
			add(j, Record{End: &End{}})
		}
	}
	return book
}

func TestCSV(t *testing.T) {
	book := measured(t, 1)
	files, err := book.WriteCSV()
	if err != nil || len(files) != 6 {
		t.Fatalf("files %v, error %v", files, err)
	}
	first := map[string]string{
		Web:       "TEST_RUN QUERIES_SENT QUERIES_PER_SECOND AVG_LATENCY_MILLISECONDS MAX_LATENCY_MILLISECONDS LATENCY_STD_DEV_PERCENT | 1 100 100.000 1.500 1.500 0.000",
		DNS:       "TEST_RUN QUERIES_SENT QUERIES_COMPLETED QUERIES_LOST QUERIES_PER_SECOND AVG_LATENCY_SECONDS MIN_LATENCY_SECONDS MAX_LATENCY_SECONDS LATENCY_STD_DEV_SECONDS | 1 100 100 0 100.000 0.001500 0.001500 0.001500 0.000000",
		Start:     "NBR_OF_GUESTS GUEST_STOPPED STARTUP_TIME_SECONDS | 10 1 0.100000",
		Flood:     "MACHINE REPEAT SERVICE ATTACK CAPACITY_PER_SECOND ATTACK_OFFERED_PER_SECOND ATTACK_SENT ATTACK_SECONDS | unikernel 1 web slow 0.000 0.000 0 4.000",
		Forward:   "MACHINE REPEAT SERVICE PACKET_BYTES WINDOW_PACKETS SECONDS PACKETS_SENT PACKETS_THROUGH PACKETS_PER_SECOND | unikernel 1 router 64 0 0.500 1000 990 1980.000",
		Footprint: "MACHINE REPEAT MEASURE UNIT VALUE | unikernel 1 shipped MB 10",
	}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(f).ReadAll() // it also checks that rows are of one length
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		want := first[strings.TrimSuffix(filepath.Base(file), ".csv")]
		columns := len(strings.Fields(strings.Split(want, " | ")[0]))
		if got := strings.Join(rows[0][:columns], " ") + " | " + strings.Join(rows[1][:columns], " "); got != want {
			t.Errorf("%s begins\n%s\nwant\n%s", file, got, want)
		}
	}
}

// TestColumnsAreDocumented: the documentation has a row of a table for each column; * in it
// stands for anything.
func TestColumnsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/benchmarks/pith-bench.md")
	if err != nil {
		t.Fatal(err)
	}
	var patterns []string
	for line := range strings.Lines(string(text)) {
		if row, ok := strings.CutPrefix(line, "| "); ok {
			names, _, _ := strings.Cut(row, " |")
			patterns = append(patterns, strings.Split(strings.ReplaceAll(names, `\*`, "*"), ", ")...)
		}
	}
	for _, column := range slices.Concat(webColumns, dnsColumns, startColumns, floodColumns, forwardColumns, footprintColumns) {
		if !slices.ContainsFunc(patterns, func(p string) bool { ok, err := path.Match(p, column); return ok && err == nil }) {
			t.Errorf("no table has the column %s", column)
		}
	}
}

func TestReport(t *testing.T) {
	book := measured(t, 1)
	file, err := book.WriteReport()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for _, want := range []string{
		"pith bench web --out &#39;a folder&#39;", "host: &lt;a test&gt;", "accelerator tcg", "it &lt;/pre&gt; doesn",
		"web: latency, 99th percentile", "ECDF", "the stages of one", "memory 99 %, CPU 5 %", "footprint in MiB", "flood: web slow: honest", "router, 1500 bytes, added latency p50, µs", "web at 200/s, p50, ms", "<b>× 2.00</b> <small>(2.00–2.00)</small>",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in the report", want)
		}
	}
	if outside := regexp.MustCompile(`(src|href)=|url\(|@import|<script`).FindString(page); outside != "" {
		t.Errorf("the report is not self-contained: %s", outside)
	}
}

func TestSummary(t *testing.T) {
	book := measured(t, 1)
	if err := book.WriteSummary(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(book.Dir, summaryFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"    pith bench web --out 'a folder'\n", "| quantity | unikernel | process |\n|---|---|---|\n", "| web at 200/s, p50, ms | 1.50 | 3.00 **× 2.00** (2.00–2.00) |\n",
		"- host: <a test>\n", "- unikernel: accelerator tcg, CPU qemu64\n", "| start, stage VMM, ms | 250 |",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "stage init") {
		t.Error("a stage that nobody has is in the table")
	}
}

func TestSustained(t *testing.T) {
	book := &Book{}
	for run, answered := range []int64{100, 200, 250, 400} {
		rate := float64(100 * (run + 1))
		book.Records = append(book.Records, Record{Measure: Web, Machine: Process, Step: &Step{
			Offered: rate, Due: int64(rate), Answered: answered, Seconds: 1,
		}})
	}
	table := book.table()
	if q := table.order[0]; !q.More || table.all(q, Process)[0] != 200 {
		t.Errorf("%v: %v, want 200: what comes after a rate that it can't keep up with doesn't count", q, table.all(q, Process))
	}
}

func TestCompare(t *testing.T) {
	changes, err := Compare(measured(t, 1), measured(t, 1.5))
	if err != nil {
		t.Fatal(err)
	}
	verdicts := map[string][]string{}
	for _, c := range changes {
		verdicts[c.Verdict()] = append(verdicts[c.Verdict()], c.Machine+" "+c.Name)
	}
	if got := fmt.Sprint(verdicts["worse"]); got != "[unikernel start, 10 instances, fill unikernel start, 20 instances, fill]" {
		t.Errorf("worse: %s", got)
	}
	if len(verdicts["better"]) > 0 || len(verdicts["noise"])+len(verdicts["too few repeats"]) != len(changes)-2 {
		t.Errorf("%v", verdicts)
	}
	few := &Book{Records: slices.DeleteFunc(slices.Clone(measured(t, 1).Records), func(r Record) bool { return r.Repeat > 1 || r.Value == nil })}
	changes, err = Compare(few, few)
	if err != nil || len(changes) != 4 || changes[0].Verdict() != "too few repeats" {
		t.Errorf("two repeats: %+v, error %v", changes, err)
	}
}

// starts is a run of so many repeats of 20 starts each. What the host does differs from
// repeat to repeat by a tenth or so, within a repeat hardly.
func starts(random *rand.Rand, repeats int, seconds float64) *Book {
	b := &Book{}
	for repeat := range repeats {
		host := math.Exp(0.1 * random.NormFloat64())
		for guest := range 20 {
			took := seconds * host * (1 + 0.01*random.Float64())
			b.Records = append(b.Records, Record{Measure: Start, Machine: Process, Repeat: repeat, Guests: 20, Begin: &Begin{Guest: guest, Phase: phaseFill, Seconds: took}})
		}
	}
	return b
}

// TestCompareKnown compares runs of which it is known whether they differ: equal ones must
// not be called changed more often than Significance says, and a change of a half is seen.
func TestCompareKnown(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for _, c := range []struct {
		slower      float64
		least, most float64 // share of the comparisons that see a change
	}{{1, 0, 1.3 * Significance}, {1.5, 0.99, 1}} {
		const runs = 1000
		seen := 0
		for range runs {
			changes, err := Compare(starts(random, 8, 1), starts(random, 8, c.slower))
			if err != nil || len(changes) != 1 || changes[0].CountBefore != 8 {
				t.Fatalf("%+v, error %v", changes, err)
			}
			if changes[0].Real {
				seen++
			}
		}
		if share := float64(seen) / runs; share < c.least || share > c.most {
			t.Errorf("%g times as slow: %.1f %% are called a change", c.slower, 100*share)
		}
	}
}

// TestCompareMany: one of many equal quantities must not be called changed by chance.
func TestCompareMany(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	const runs, quantities = 300, 20
	wrong := 0
	for range runs {
		books := [2]*Book{{}, {}}
		for _, b := range books {
			for repeat := range 8 {
				for q := range quantities {
					b.Records = append(b.Records, Record{Measure: Footprint, Machine: Process, Repeat: repeat, Value: &Value{fmt.Sprint("figure ", q), "MB", 100 + random.NormFloat64()}})
				}
			}
		}
		changes, err := Compare(books[0], books[1])
		if err != nil || len(changes) != quantities {
			t.Fatalf("%d changes, error %v", len(changes), err)
		}
		if slices.ContainsFunc(changes, func(c Change) bool { return c.Real }) {
			wrong++
		}
	}
	if share := float64(wrong) / runs; share > 1.5*Significance {
		t.Errorf("%.1f %% of the comparisons of equal runs find a change", 100*share)
	}
}

// TestMannWhitney: chances that tables have.
func TestMannWhitney(t *testing.T) {
	for _, c := range []struct {
		before, after []float64
		want          float64
	}{
		{[]float64{1, 2, 3, 4, 5}, []float64{6, 7, 8, 9, 10}, 2.0 / 252},
		{[]float64{1, 2, 3, 4, 6}, []float64{5, 7, 8, 9, 10}, 4.0 / 252},
		{[]float64{1, 4, 5, 8}, []float64{2, 3, 6, 7}, 1},
		{[]float64{2, 2, 2}, []float64{2, 2, 2}, 1},
	} {
		got, err := newChange(Quantity{}, Process, c.before, c.after)
		if err != nil || math.Abs(got.P-c.want) > 1e-6 {
			t.Errorf("%v and %v: P = %v, want %v; error %v", c.before, c.after, got.P, c.want, err)
		}
	}
}

// TestCompareZero: a rate of nothing has no ratio, and JSON has no infinity.
func TestCompareZero(t *testing.T) {
	c, err := newChange(Quantity{Name: "rate", More: true}, Process, []float64{0, 0, 300}, []float64{300, 600, 0})
	if err != nil || c.Ratio != 0 {
		t.Errorf("%+v, error %v", c, err)
	}
	if _, err := json.Marshal(c); err != nil {
		t.Error(err)
	}
}

func TestLeastChance(t *testing.T) {
	for n, want := range map[int]float64{1: 1, 2: 2.0 / 6, 4: 2.0 / 70} {
		if got := leastChance(n, n); got < want-1e-12 || got > want+1e-12 {
			t.Errorf("%d values each: %v, want %v", n, got, want)
		}
	}
}

func TestBookRefuses(t *testing.T) {
	book := measured(t, 1)
	if _, err := Create(book.Dir, book.About); pith.ExitCode(err) != 2 {
		t.Errorf("a folder with a run: %v", err)
	}
	if _, err := Read(t.TempDir()); pith.ExitCode(err) != 2 {
		t.Errorf("a folder without one: %v", err)
	}
	file := filepath.Join(book.Dir, recordsFile)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text[:len(text)-10], 0o600); err != nil {
		t.Fatal(err)
	}
	if cut, err := Read(book.Dir); err != nil || len(cut.Records) != len(book.Records)-1 {
		t.Errorf("a last line that was cut off: %v", err)
	}
	if err := os.WriteFile(file, append([]byte("nonsense\n"), text...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(book.Dir); pith.ExitCode(err) != 2 || !strings.Contains(err.Error(), recordsFile+":1:") {
		t.Errorf("a line that is no record: %v", err)
	}
}

// TestReportInBrowser looks whether a browser draws all plots: a script that
// only the test adds asks the browser for the places of what it drew.
func TestReportInBrowser(t *testing.T) {
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("there is no chromium to look at the report with (Debian: apt-get install chromium)")
	}
	file, err := measured(t, 1.5).WriteReport()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const look = `<script>
let plots = 0, lines = 0, bars = 0, outside = 0, blank = 0;
for (const svg of document.querySelectorAll("svg.plot")) {
  const box = svg.getBoundingClientRect();
  if (box.width < 200 || box.height < 100) blank++;
  plots++;
  for (const e of svg.querySelectorAll("path, rect, circle, text")) {
    const b = e.getBoundingClientRect();
    if (b.left < box.left - 1 || b.right > box.right + 1 || b.top < box.top - 1 || b.bottom > box.bottom + 1) outside++;
    const style = getComputedStyle(e);
    if (e.tagName == "path" && b.width > 50 && style.stroke.startsWith("rgb")) lines++;
    if (e.tagName == "rect" && b.height > 10 && style.fill.startsWith("rgb")) bars++;
  }
}
document.title = ["plots", plots, "lines", lines, "bars", bars, "outside", outside, "blank", blank].join(" ");
</script>`
	if err := os.WriteFile(file, append(text, look...), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), browser, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1200,900",
		"--user-data-dir="+t.TempDir(), "--dump-dom", "file://"+file).Output()
	if err != nil {
		t.Fatalf("chromium: %v", err)
	}
	title := regexp.MustCompile(`<title>([^<]*)</title>`).FindSubmatch(out)
	if title == nil {
		t.Fatalf("chromium shows no page:\n%.2000s", out)
	}
	// Three plots each of web and dns and two of starts with two lines each; one of
	// stages with two bars of three parts; two of footprints: one and one group of
	// two bars; of the flood one with two lines, one of a group of two bars; of
	// forwarding two of two groups of two bars.
	if got, want := string(title[1]), "plots 15 lines 18 bars 20 outside 0 blank 0"; got != want {
		t.Errorf("the browser drew %q, want %q", got, want)
	}
}

// TestOutcomeOfNothing: a step without one answer is a row of zeros.
func TestOutcomeOfNothing(t *testing.T) {
	o, err := fakeClient{outcome: func(float64) (load.Outcome, error) { return load.Outcome{}, nil }}.Rate(t.Context(), 10, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	o.Latency.Reset()
	step, err := newStep(1, 10, time.Second, o)
	if err != nil || step.Rate() != 0 || step.Kept() {
		t.Fatalf("%+v, error %v", step, err)
	}
	if row := webRow(&Record{Step: step}); slices.Contains(row, "NaN") {
		t.Errorf("row %v", row)
	}
}
