package suite

import (
	"cmp"
	"encoding/csv"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"pith/bench"
)

// Columns of the original report come first, ours after them. The web's
// deviation is a share of the average, as its name says.
var (
	webColumns = []string{
		"TEST_RUN", "QUERIES_SENT", "QUERIES_PER_SECOND", "AVG_LATENCY_MILLISECONDS", "MAX_LATENCY_MILLISECONDS", "LATENCY_STD_DEV_PERCENT",
		"MACHINE", "REPEAT", "OFFERED_PER_SECOND", "QUERIES_ANSWERED", "QUERIES_WRONG", "QUERIES_LOST", "MIN_LATENCY_MILLISECONDS",
		"P50_LATENCY_MILLISECONDS", "P90_LATENCY_MILLISECONDS", "P99_LATENCY_MILLISECONDS", "P999_LATENCY_MILLISECONDS",
		"CPU_PERCENT_OF_ONE", "LOAD_BY", "HOST_LOAD_AVERAGE", "TIME_RFC3339",
	}
	dnsColumns = []string{
		"TEST_RUN", "QUERIES_SENT", "QUERIES_COMPLETED", "QUERIES_LOST", "QUERIES_PER_SECOND",
		"AVG_LATENCY_SECONDS", "MIN_LATENCY_SECONDS", "MAX_LATENCY_SECONDS", "LATENCY_STD_DEV_SECONDS",
		"MACHINE", "REPEAT", "OFFERED_PER_SECOND", "QUERIES_WRONG",
		"P50_LATENCY_SECONDS", "P90_LATENCY_SECONDS", "P99_LATENCY_SECONDS", "P999_LATENCY_SECONDS",
		"CPU_PERCENT_OF_ONE", "LOAD_BY", "HOST_LOAD_AVERAGE", "TIME_RFC3339",
	}
	startColumns = []string{
		"NBR_OF_GUESTS", "GUEST_STOPPED", "STARTUP_TIME_SECONDS",
		"MACHINE", "REPEAT", "PHASE", "FAILURE",
		"STAGE_VMM_SECONDS", "STAGE_KERNEL_SECONDS", "STAGE_INIT_SECONDS", "STAGE_RUNTIME_SECONDS", "STAGE_MAIN_SECONDS", "STAGE_ANSWER_SECONDS",
		"HOST_LOAD_AVERAGE", "TIME_RFC3339",
	}
	floodColumns = []string{
		"MACHINE", "REPEAT", "SERVICE", "ATTACK", "CAPACITY_PER_SECOND", "ATTACK_OFFERED_PER_SECOND", "ATTACK_SENT", "ATTACK_SECONDS",
		"BEFORE_ASKED", "BEFORE_ANSWERED", "BEFORE_P50_MILLISECONDS", "BEFORE_P99_MILLISECONDS",
		"DURING_ASKED", "DURING_ANSWERED", "DURING_P50_MILLISECONDS", "DURING_P99_MILLISECONDS", "DURING_MAX_MILLISECONDS",
		"LASTED_SECONDS", "RECOVERED_AFTER_SECONDS", "MACHINE_ENDED", "FIRST_ERROR", "HOST_LOAD_AVERAGE", "TIME_RFC3339",
	}
	forwardColumns = []string{
		"MACHINE", "REPEAT", "SERVICE", "PACKET_BYTES", "WINDOW_PACKETS", "SECONDS", "PACKETS_SENT", "PACKETS_THROUGH", "PACKETS_PER_SECOND",
		"TIMED_PACKETS", "TIMED_LOST", "LATENCY_P50_MICROSECONDS", "LATENCY_P99_MICROSECONDS", "LATENCY_MAX_MICROSECONDS",
		"WIRE_P50_MICROSECONDS", "WIRE_P99_MICROSECONDS", "ADDED_P50_MICROSECONDS", "HOST_LOAD_AVERAGE", "TIME_RFC3339",
	}
	footprintColumns = []string{"MACHINE", "REPEAT", "MEASURE", "UNIT", "VALUE", "HOST_LOAD_AVERAGE", "TIME_RFC3339"}
)

// WriteCSV writes a file for each measure that has records, and says which.
func (b *Book) WriteCSV() (files []string, err error) {
	for _, kind := range []struct {
		name    string
		columns []string
		row     func(*Record) []string
	}{
		{Web, webColumns, webRow},
		{DNS, dnsColumns, dnsRow},
		{Start, startColumns, startRow},
		{Footprint, footprintColumns, footprintRow},
		{Flood, floodColumns, floodRow},
		{Forward, forwardColumns, forwardRow},
	} {
		rows := [][]string{kind.columns}
		for i := range b.Records {
			r := &b.Records[i]
			if r.Measure == kind.name && r.End == nil {
				rows = append(rows, kind.row(r))
			}
		}
		if len(rows) == 1 {
			continue
		}
		file := filepath.Join(b.Dir, kind.name+".csv")
		if err := writeCSV(file, rows); err != nil {
			return files, err
		}
		files = append(files, file)
	}
	return files, nil
}

func writeCSV(file string, rows [][]string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := csv.NewWriter(f).WriteAll(rows); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func float(v float64) string   { return strconv.FormatFloat(v, 'f', -1, 64) }
func rounded(v float64) string { return strconv.FormatFloat(v, 'f', 3, 64) }
func whole(v int64) string     { return strconv.FormatInt(v, 10) }

// seconds is a number of milliseconds in seconds, to the microsecond.
func seconds(ms float64) string { return strconv.FormatFloat(ms/1000, 'f', 6, 64) }

// when ends every row.
func when(r *Record) []string { return []string{rounded(r.HostLoad), r.At.Format(time.RFC3339)} }

// repeat is counted from 1 where people read it.
func repeat(r *Record) string { return strconv.Itoa(r.Repeat + 1) }

func webRow(r *Record) []string {
	s := r.Step
	share := 0.0
	if s.Mean > 0 {
		share = 100 * s.Deviation / s.Mean
	}
	return append([]string{
		strconv.Itoa(s.Run), whole(s.Due), rounded(s.Rate()), rounded(s.Mean), rounded(s.Max), rounded(share),
		r.Machine, repeat(r), float(s.Offered), whole(s.Answered), whole(s.Wrong), whole(s.Lost), rounded(s.Min),
		rounded(s.P50), rounded(s.P90), rounded(s.P99), rounded(s.P999), rounded(s.CPU), cmp.Or(s.By, "pith"),
	}, when(r)...)
}

func dnsRow(r *Record) []string {
	s := r.Step
	return append([]string{
		strconv.Itoa(s.Run), whole(s.Due), whole(s.Answered + s.Wrong), whole(s.Lost), rounded(s.Rate()),
		seconds(s.Mean), seconds(s.Min), seconds(s.Max), seconds(s.Deviation),
		r.Machine, repeat(r), float(s.Offered), whole(s.Wrong),
		seconds(s.P50), seconds(s.P90), seconds(s.P99), seconds(s.P999), rounded(s.CPU), cmp.Or(s.By, "pith"),
	}, when(r)...)
}

func startRow(r *Record) []string {
	b, took := r.Begin, ""
	if b.Failure == "" {
		took = strconv.FormatFloat(b.Seconds, 'f', 6, 64)
	}
	row := []string{strconv.Itoa(r.Guests), strconv.Itoa(b.Guest + 1), took, r.Machine, repeat(r), b.Phase, b.Failure}
	for _, name := range bench.StageNames {
		row = append(row, b.stage(name))
	}
	return append(row, when(r)...)
}

// stage is a stage's time in seconds, "" where the start has no such stage.
func (b *Begin) stage(name string) string {
	for _, s := range b.Stages {
		if s.Name == name {
			return strconv.FormatFloat(s.Seconds, 'f', 6, 64)
		}
	}
	return ""
}

func floodRow(r *Record) []string {
	f := r.Flood
	service, attack, _ := strings.Cut(r.Part, " ")
	recovered := ""
	if f.Recovered >= 0 {
		recovered = rounded(f.Recovered)
	}
	return append([]string{
		r.Machine, repeat(r), service, attack, rounded(f.Capacity), rounded(f.Offered), whole(f.Sent), rounded(f.Seconds),
		strconv.Itoa(f.Before.Asked), strconv.Itoa(f.Before.Answered), rounded(f.Before.P50), rounded(f.Before.P99),
		strconv.Itoa(f.During.Asked), strconv.Itoa(f.During.Answered), rounded(f.During.P50), rounded(f.During.P99), rounded(f.During.Max),
		rounded(f.Lasted), recovered, strconv.FormatBool(f.Ended), f.During.FirstError,
	}, when(r)...)
}

func forwardRow(r *Record) []string {
	f := r.Forward
	return append([]string{
		r.Machine, repeat(r), r.Part, strconv.Itoa(f.Size), strconv.Itoa(f.Window), rounded(f.Seconds), whole(f.Sent), whole(f.Through), rounded(f.Rate),
		whole(f.Timed), whole(f.Lost), rounded(f.P50), rounded(f.P99), rounded(f.Max), rounded(f.WireP50), rounded(f.WireP99), rounded(f.Added()),
	}, when(r)...)
}

func footprintRow(r *Record) []string {
	return append([]string{r.Machine, repeat(r), r.Value.Name, r.Value.Unit, float(r.Value.Number)}, when(r)...)
}
