package suite

import (
	_ "embed"
	"fmt"
	"html/template"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"pith/bench/stats"
	"pith/machine/qemu"
)

//go:embed report.html
var pageText string

var reportPage = template.Must(template.New("report").Parse(pageText))

// ratioRow is a line of the table of ratios.
type ratioRow struct {
	Quantity string
	Cells    []ratioCell // by machine
}

type ratioCell struct{ Value, Ratio, Detail string }

// WriteReport writes the CSV files, the summary and report.html, and says where
// that is.
func (b *Book) WriteReport() (string, error) {
	files, err := b.WriteCSV()
	if err != nil {
		return "", err
	}
	if err := b.WriteSummary(); err != nil {
		return "", err
	}
	file := filepath.Join(b.Dir, "report.html")
	f, err := os.Create(file)
	if err != nil {
		return "", err
	}
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	err = reportPage.Execute(f, map[string]any{
		"About":      b.About,
		"Begun":      b.About.Begun.Format("2006-01-02 15:04 MST"),
		"Command":    shell(b.About.Config.Command),
		"Config":     b.settings(),
		"Machines":   b.machines(),
		"Reference":  b.reference(),
		"Sure":       stats.Sure,
		"Emulated":   b.emulated(),
		"Facts":      b.facts(),
		"Plots":      b.plots(),
		"Ratios":     b.ratios(),
		"Failures":   b.failures(),
		"Scarce":     b.scarce(),
		"Unfinished": b.unfinished(),
		"Files":      append(files, summaryFile, recordsFile, aboutFile),
	})
	if err != nil {
		f.Close()
		return "", err
	}
	return file, f.Close()
}

// shell quotes words for a shell.
func shell(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = w
		if w == "" || strings.ContainsAny(w, " \t\n'\"\\$&|;<>()*?[]#~`!{}") {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}

// settings are the method's numbers.
func (b *Book) settings() []string {
	c := b.About.Config
	lines := []string{
		fmt.Sprintf("%d repeats, each in a random order of its own (seed %d)", c.Repeat, c.Seed),
		fmt.Sprintf("an instance: %d CPUs, %d MiB; a process has the host's memory", c.CPUs, c.Memory>>20),
	}
	if c.Load != "" {
		lines = append(lines, fmt.Sprintf("the load is made by %s: its figures are its own, and a figure that it doesn't tell is 0", c.Load))
	}
	for _, m := range c.Measures {
		switch m {
		case Web:
			lines = append(lines, fmt.Sprintf("web: %v; a page of %d octets, new connections %v, TLS %v", c.Web, c.Page.Size, c.Page.Close, c.Page.TLS))
		case DNS:
			lines = append(lines, fmt.Sprintf("dns: %v; %v", c.DNS, c.Questions))
		case Start:
			lines = append(lines, fmt.Sprintf("start: %d to %d instances of %s by %d, one replaced every %v for %v", c.Start.From, c.Start.To, c.Start.Service, c.Start.Step, c.Start.Pace, c.Start.Time))
		case Flood:
			lines = append(lines, fmt.Sprintf("flood: %v; attacks %s for %v, by up to %d connections; an overload offers %g times what the service answers, the others %g/s; honest clients ask %g times a second, and wait for 2 s at most",
				c.Flood.Services, strings.Join(c.Flood.Attacks, ", "), c.Flood.Length, c.Flood.Conns, c.Flood.Times, c.Flood.Rate, c.Flood.Probe))
		case Forward:
			lines = append(lines, fmt.Sprintf("forward: %v, packets of %v bytes, %d under way for %v, then one by one; a process is the host's kernel in a network namespace, with nftables as the Linux guest has it",
				c.Forward.Services, c.Forward.Sizes, c.Forward.Window, c.Forward.Time))
		case Footprint:
			lines = append(lines, fmt.Sprintf("footprint: %s, idle for %v, then %g requests/s for %v", c.Footprint.Service, c.Footprint.Idle, c.Footprint.Load, c.Footprint.Time))
		}
	}
	return lines
}

func (r Rates) String() string {
	return fmt.Sprintf("%g/s to %g/s by %g/s, %v each with %v between, %d clients", r.Start, r.To, r.Step, r.StepTime, r.Pause, r.Clients)
}

// reference is the machine that others are compared with.
func (b *Book) reference() string {
	machines := b.machines()
	if slices.Contains(machines, LinuxVM) || len(machines) == 0 {
		return LinuxVM
	}
	return machines[0]
}

// facts are what the VMMs said about themselves.
func (b *Book) facts() []string {
	var facts []string
	for _, r := range b.Records {
		if r.End == nil || r.End.Accelerator == "" {
			continue
		}
		fact := fmt.Sprintf("%s: accelerator %s, CPU %s", r.Machine, r.End.Accelerator, r.End.CPU)
		if r.End.Program != "" {
			fact = fmt.Sprintf("%s: %s", r.Machine, r.End.Program)
		}
		if !slices.Contains(facts, fact) {
			facts = append(facts, fact)
		}
	}
	slices.Sort(facts)
	return facts
}

// emulated says which machines a comparison must not mix, where some ran on the host's
// processor and others on one that the VMM translates.
func (b *Book) emulated() string {
	emulated, own := map[string]bool{}, map[string]bool{}
	for _, r := range b.Records {
		switch {
		case r.End == nil || r.End.Accelerator == "":
		case r.End.Accelerator == qemu.TCG:
			emulated[r.Machine] = true
		default:
			own[r.Machine] = true
		}
	}
	if len(emulated) == 0 || len(own) == 0 {
		return ""
	}
	names := func(of map[string]bool) string { return strings.Join(slices.Sorted(maps.Keys(of)), ", ") }
	return fmt.Sprintf("Emulated (TCG): %s. On the host's own processor: %s. A ratio across that border tells what emulation costs, not what a machine costs.",
		names(emulated), names(own))
}

func (b *Book) failures() []string {
	var failures []string
	for i := range b.Records {
		r := &b.Records[i]
		switch {
		case r.End != nil && r.End.Failure != "":
			failures = append(failures, fmt.Sprintf("%v: %s", r.job(), r.End.Failure))
		case r.End != nil && r.End.Saturated:
			failures = append(failures, fmt.Sprintf("%v: less than half was answered twice, so the load grew no more", r.job()))
		case r.Flood != nil && (r.Flood.Ended || r.Flood.Recovered < 0 || r.Flood.Lasted < r.Flood.Seconds):
			failures = append(failures, fmt.Sprintf("%v: it served honest clients for %.1f of %.1f s; %s", r.job(), r.Flood.Lasted, r.Flood.Seconds, r.Flood.recovery()))
		case r.Step != nil && r.Step.FirstWrong != "":
			failures = append(failures, fmt.Sprintf("%v: %d wrong answers at %g/s, the first: %s", r.job(), r.Step.Wrong, r.Step.Offered, r.Step.FirstWrong))
		}
	}
	return failures
}

// scarce is what the host had least of beside the most instances of each machine.
func (b *Book) scarce() []string {
	var all []string
	for _, machine := range b.machines() {
		var most *Record
		for i := range b.Records {
			r := &b.Records[i]
			if r.Machine == machine && r.End != nil && r.End.Scarce != "" && (most == nil || r.Guests >= most.Guests) {
				most = r
			}
		}
		if most != nil {
			all = append(all, fmt.Sprintf("%d instances of %s: %s", most.Guests, machine, most.End.Scarce))
		}
	}
	return all
}

// unfinished is how many jobs are still to do.
func (b *Book) unfinished() int {
	return len(slices.DeleteFunc(b.About.Config.plan(), b.has))
}

func (b *Book) ratios() []ratioRow {
	t, machines, reference := b.table(), b.machines(), b.reference()
	var rows []ratioRow
	for _, q := range t.order {
		if len(t.values[q]) == 0 {
			continue
		}
		row := ratioRow{Quantity: q.Name + ", " + q.Unit}
		for _, machine := range machines {
			row.Cells = append(row.Cells, t.cell(q, machine, reference))
		}
		rows = append(rows, row)
	}
	return rows
}

func (t *table) cell(q Quantity, machine, reference string) ratioCell {
	medians := t.medians(q, machine)
	values := present(medians)
	if len(values) == 0 {
		return ratioCell{Value: "–"}
	}
	c := ratioCell{Value: figure(stats.Median(values))}
	if machine == reference {
		return c
	}
	r := stats.Paired(medians, t.medians(q, reference))
	if r.Rounds == 0 {
		return c
	}
	c.Ratio = "× " + figure(r.Median)
	between := figure(r.From) + "–" + figure(r.To)
	switch {
	case r.Rounds == 1:
		c.Detail = "1 repeat"
	case r.Rounds < stats.Sure:
		c.Detail = fmt.Sprintf("%s in %d", between, r.Rounds)
	default:
		c.Detail = between
	}
	return c
}

// figure is three significant digits, without an exponent.
func figure(v float64) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	digits := 2 - int(math.Floor(math.Log10(math.Abs(v))))
	return strconv.FormatFloat(v, 'f', max(0, digits), 64)
}
