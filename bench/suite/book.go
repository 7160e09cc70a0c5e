package suite

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"pith"
	"pith/bench"
)

// Files in the folder of a run.
const (
	aboutFile   = "run.json"
	recordsFile = "records.jsonl"
)

// About describes a run and the host.
type About struct {
	Config Config
	Host   []string
	Begun  time.Time
	// Programs are the measured programs' versions.
	Programs []string
}

// Record is one line of records.jsonl: one measured thing, and only one of the
// pointers is set.
type Record struct {
	Measure, Machine string
	Repeat           int    `json:",omitempty"` // from 0
	Guests           int    `json:",omitempty"` // instances beside one another, of a start
	Part             string `json:",omitempty"` // of the measure
	At               time.Time
	HostLoad         float64        // load average of the last minute
	Step             *Step          `json:",omitempty"`
	Begin            *Begin         `json:",omitempty"`
	Value            *Value         `json:",omitempty"`
	Flood            *FloodResult   `json:",omitempty"`
	Forward          *ForwardResult `json:",omitempty"`
	End              *End           `json:",omitempty"`
}

// Begin is one start of an instance.
type Begin struct {
	Guest   int         // which one, from 0
	Phase   string      // "fill" or "cold" for the first ones, "replace"; "stages"
	Seconds float64     // to the first right answer; 0 where it failed
	Failure string      `json:",omitempty"`
	Stages  []StageTime `json:",omitempty"` // of phase "stages", in their order
}

// StageTime is how long one stage of a start took.
type StageTime struct {
	Name    string // of bench.StageNames
	Seconds float64
}

// Value is one figure of a footprint.
type Value struct {
	Name, Unit string
	Number     float64
}

// End is the end of a job.
type End struct {
	Failure     string `json:",omitempty"` // what ended it early
	Saturated   bool   `json:",omitempty"` // less than half was answered, twice
	Accelerator string `json:",omitempty"` // as the VMM says
	CPU         string `json:",omitempty"`
	Program     string `json:",omitempty"` // a peer's version
	Scarce      string `json:",omitempty"` // what the host used of what it has, the scarcest first
}

// Book is the records of a run, on disk as they come.
type Book struct {
	Dir     string
	About   About
	Records []Record
	file    *os.File
}

// bookError is a failure to keep a record, which ends a run.
type bookError struct{ error }

func (e bookError) Unwrap() error { return e.error }

// Create begins a run in dir, which must not hold one.
func Create(dir string, about About) (*Book, error) {
	if _, err := os.Stat(filepath.Join(dir, recordsFile)); err == nil {
		return nil, pith.Errorf("--out %s: there is a run already; name another folder, or go on with it by --resume", dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, pith.Errorf("--out: %w", err)
	}
	text, err := json.MarshalIndent(about, "", "  ")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, aboutFile), text, 0o644); err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	b := &Book{Dir: dir, About: about}
	return b, b.open()
}

// Resume opens a run to go on with it. What jobs that were cut off had measured
// is left out: they are done again.
func Resume(dir string) (*Book, error) {
	b, err := Read(dir)
	if err != nil {
		return nil, err
	}
	done := map[job]bool{}
	for i := range b.Records {
		if b.Records[i].End != nil {
			done[b.Records[i].job()] = true
		}
	}
	b.Records = slices.DeleteFunc(b.Records, func(r Record) bool { return !done[r.job()] })
	var text bytes.Buffer
	for _, r := range b.Records {
		line, err := json.Marshal(r)
		if err != nil {
			return nil, err
		}
		text.Write(append(line, '\n'))
	}
	file := filepath.Join(dir, recordsFile)
	if err := os.WriteFile(file+".new", text.Bytes(), 0o644); err != nil {
		return nil, err
	}
	if err := os.Rename(file+".new", file); err != nil {
		return nil, err
	}
	return b, b.open()
}

func (b *Book) open() (err error) {
	b.file, err = os.OpenFile(filepath.Join(b.Dir, recordsFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	return err
}

// Read reads a run. A last line that was cut off is left out.
func Read(dir string) (*Book, error) {
	text, err := os.ReadFile(filepath.Join(dir, aboutFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, pith.Errorf("%s holds no run of pith bench: there is no %s", dir, aboutFile)
	}
	if err != nil {
		return nil, err
	}
	b := &Book{Dir: dir}
	if err := json.Unmarshal(text, &b.About); err != nil {
		return nil, pith.Errorf("%s: %w", filepath.Join(dir, aboutFile), err)
	}
	f, err := os.Open(filepath.Join(dir, recordsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	const longest = 16 << 20
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, longest)
	for n := 1; lines.Scan(); n++ {
		var r Record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			if !lines.Scan() {
				break // the run was cut off while it wrote
			}
			return nil, pith.Errorf("%s:%d: %w", filepath.Join(dir, recordsFile), n, err)
		}
		b.Records = append(b.Records, r)
	}
	return b, lines.Err()
}

// Close ends the writing.
func (b *Book) Close() error { return b.file.Close() }

// add keeps a record of a job.
func (b *Book) add(j job, r Record) error {
	r.Measure, r.Machine, r.Repeat, r.Guests, r.Part = j.Measure, j.Machine, j.Repeat, j.Guests, j.Part
	r.At, r.HostLoad = time.Now().UTC().Truncate(time.Millisecond), bench.HostLoad()
	line, err := json.Marshal(r)
	if err != nil {
		return bookError{err}
	}
	if _, err := b.file.Write(append(line, '\n')); err != nil {
		return bookError{fmt.Errorf("a record can't be kept: %w; those before are in %s", err, b.Dir)}
	}
	b.Records = append(b.Records, r)
	return nil
}

func (r *Record) job() job { return job{r.Measure, r.Machine, r.Repeat, r.Guests, r.Part} }

// has reports whether a job was done to its end.
func (b *Book) has(j job) bool {
	for i := range b.Records {
		if r := &b.Records[i]; r.End != nil && r.job() == j {
			return true
		}
	}
	return false
}

// Failed is how many parts of the run ended by a failure, of all that were done.
func (b *Book) Failed() (failed, all int) {
	for i := range b.Records {
		if end := b.Records[i].End; end != nil {
			all++
			if end.Failure != "" {
				failed++
			}
		}
	}
	return failed, all
}

// failedBelow reports whether the job failed with fewer instances.
func (b *Book) failedBelow(j job) bool {
	for i := range b.Records {
		r := &b.Records[i]
		if r.End != nil && r.End.Failure != "" && r.Guests < j.Guests && r.job() == (job{Measure: j.Measure, Machine: j.Machine, Repeat: j.Repeat, Guests: r.Guests}) {
			return true
		}
	}
	return false
}
