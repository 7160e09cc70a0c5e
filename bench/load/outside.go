package load

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// Outside loads, by the names of their programs.
const (
	ByDNSPerf = "dnsperf" // 2.x
	ByWrk     = "wrk"     // 4.x: in a closed loop, as fast as answers come
	ByWrk2    = "wrk2"    // at a given rate, latencies from when a request was due
)

// Report is what an outside load says. What it does not say is 0.
type Report struct {
	Sent, Answered, Wrong, Lost int64
	Length                      time.Duration
	Mean, Min, Max, Deviation   time.Duration
	P50, P90, P99, P999         time.Duration
}

// FindOutside is an outside load's program.
func FindOutside(name string) (string, error) {
	file, err := exec.LookPath(name)
	switch {
	case err == nil:
		return file, nil
	case name == ByWrk2:
		return "", fmt.Errorf("--load %s: it is not installed: build it from its source and put it into the search path", name)
	default:
		return "", fmt.Errorf("--load %s: it is not installed (Debian and Ubuntu: apt-get install %s)", name, name)
	}
}

// threads of an outside load, as the original report had them.
const threads = 4

// Outside asks at a rate (per second; wrk has none) for about length, in whole
// seconds, by a program; path is of the web's page, questions a file for dnsperf.
func (d DNS) Outside(ctx context.Context, questions string, rate float64, length time.Duration) (Report, error) {
	mode := "udp"
	if d.TCP {
		mode = "tcp"
	}
	// As many as can be due while one waits may be on their way: an open loop.
	const wait = 2
	outstanding := min(65000, max(100, int(rate*wait)))
	out, err := outside(ctx, ByDNSPerf, "-m", mode, "-s", d.To.Addr().String(), "-p", strconv.Itoa(int(d.To.Port())), "-d", questions,
		"-c", strconv.Itoa(d.Clients), "-T", strconv.Itoa(min(threads, d.Clients)), "-l", wholeSeconds(length), "-t", strconv.Itoa(wait),
		"-q", strconv.Itoa(outstanding), "-Q", strconv.Itoa(int(math.Ceil(rate))), "-O", "suppress=timeout")
	if err != nil {
		return Report{}, err
	}
	return parseDNSPerfReport(string(out))
}

// Outside asks as DNS.Outside does, by wrk or wrk2.
func (w Web) Outside(ctx context.Context, by string, rate float64, length time.Duration) (Report, error) {
	scheme := "http"
	if w.TLS {
		scheme = "https"
	}
	args := []string{"-t" + strconv.Itoa(min(threads, w.Conns)), "-c" + strconv.Itoa(w.Conns), "-d" + wholeSeconds(length) + "s", "--latency"}
	if by == ByWrk2 {
		args = append(args, "-R"+strconv.Itoa(int(math.Ceil(rate))))
	}
	if w.Close {
		args = append(args, "-HConnection: close")
	}
	out, err := outside(ctx, by, append(args, scheme+"://"+w.To.String()+w.Path)...)
	if err != nil {
		return Report{}, err
	}
	return parseWrkReport(string(out))
}

func wholeSeconds(d time.Duration) string {
	return strconv.Itoa(max(1, int(math.Round(d.Seconds()))))
}

func outside(ctx context.Context, name string, args ...string) ([]byte, error) {
	program, err := FindOutside(name)
	if err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return out, nil
}

// reader takes numbers out of a report and keeps the first that isn't there.
type reader struct {
	name, text string
	err        error
}

// find is what a pattern's groups matched; nil, and an error, if it is nowhere.
func (r *reader) find(pattern string) []string {
	m := regexp.MustCompile(pattern).FindStringSubmatch(r.text)
	if m == nil {
		if r.err == nil {
			r.err = fmt.Errorf("%s: its report is not understood, it has no %s:\n%s", r.name, pattern, r.text)
		}
		return nil
	}
	return m[1:]
}

func (r *reader) count(pattern string) int64 {
	m := r.find(pattern)
	if m == nil {
		return 0
	}
	n, err := strconv.ParseInt(m[0], 10, 64)
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("%s: %w", r.name, err)
	}
	return n
}

func (r *reader) duration(number, unit string) time.Duration {
	d, err := time.ParseDuration(number + unit)
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("%s: %w", r.name, err)
	}
	return d
}

// rightCodes are those that an answer of an authoritative server may have: the rest
// is wrong. dnsperf does not look at records.
var rightCodes = map[string]bool{"NOERROR": true, "NXDOMAIN": true}

var responseCode = regexp.MustCompile(`([A-Z0-9]+) ([0-9]+) \([0-9.]+%\)`)

// parseDNSPerfReport reads the report of dnsperf 2: seconds, where it doesn't say.
func parseDNSPerfReport(text string) (Report, error) {
	r := &reader{name: ByDNSPerf, text: text}
	var p Report
	p.Sent = r.count(`(?m)^\s*Queries sent:\s+([0-9]+)\s*$`)
	completed := r.count(`(?m)^\s*Queries completed:\s+([0-9]+) \(`)
	p.Lost = r.count(`(?m)^\s*Queries lost:\s+([0-9]+) \(`)
	if codes := r.find(`(?m)^\s*Response codes:[ \t]*(.*)$`); codes != nil {
		for _, m := range responseCode.FindAllStringSubmatch(codes[0], -1) {
			n, err := strconv.ParseInt(m[2], 10, 64)
			if err == nil && rightCodes[m[1]] {
				p.Answered += n
			}
		}
	}
	p.Wrong = completed - p.Answered
	if m := r.find(`(?m)^\s*Run time \(s\):\s+([0-9.]+)\s*$`); m != nil {
		p.Length = r.duration(m[0], "s")
	}
	if m := r.find(`(?m)^\s*Average Latency \(s\):\s+([0-9.]+) \(min ([0-9.]+), max ([0-9.]+)\)\s*$`); m != nil {
		p.Mean, p.Min, p.Max = r.duration(m[0], "s"), r.duration(m[1], "s"), r.duration(m[2], "s")
	}
	if m := regexp.MustCompile(`(?m)^\s*Latency StdDev \(s\):\s+([0-9.]+)\s*$`).FindStringSubmatch(text); m != nil { // not of one answer
		p.Deviation = r.duration(m[1], "s")
	}
	return p, r.err
}

// parseWrkReport reads the report of wrk 4 or wrk2. Socket errors are lost requests,
// other answers than 2xx and 3xx are wrong.
func parseWrkReport(text string) (Report, error) {
	r := &reader{name: "wrk", text: text}
	var p Report
	if m := r.find(`(?m)^\s*([0-9]+) requests in ([0-9.]+)(ms|s|m|h), `); m != nil {
		n, err := strconv.ParseInt(m[0], 10, 64)
		if err != nil {
			return p, fmt.Errorf("wrk: %w", err)
		}
		p.Answered, p.Length = n, r.duration(m[1], m[2])
	}
	if m := r.find(`(?m)^\s*Latency\s+([0-9.]+)(us|ms|s|m|h)\s+([0-9.]+)(us|ms|s|m|h)\s+([0-9.]+)(us|ms|s|m|h)\s`); m != nil {
		p.Mean, p.Deviation, p.Max = r.duration(m[0], m[1]), r.duration(m[2], m[3]), r.duration(m[4], m[5])
	}
	for at, to := range map[string]*time.Duration{"50": &p.P50, "90": &p.P90, "99": &p.P99} {
		if m := r.find(`(?m)^\s*` + at + `(?:\.000)?%\s+([0-9.]+)(us|ms|s|m|h)\s*$`); m != nil {
			*to = r.duration(m[0], m[1])
		}
	}
	if m := regexp.MustCompile(`(?m)^\s*99\.900%\s+([0-9.]+)(us|ms|s|m|h)\s*$`).FindStringSubmatch(text); m != nil { // wrk2's
		p.P999 = r.duration(m[1], m[2])
	}
	if m := regexp.MustCompile(`Socket errors: connect ([0-9]+), read ([0-9]+), write ([0-9]+), timeout ([0-9]+)`).FindStringSubmatch(text); m != nil {
		for _, word := range m[1:] {
			n, err := strconv.ParseInt(word, 10, 64)
			if err != nil {
				return p, fmt.Errorf("wrk: %w", err)
			}
			p.Lost += n
		}
	}
	if m := regexp.MustCompile(`Non-2xx or 3xx responses: ([0-9]+)`).FindStringSubmatch(text); m != nil {
		n, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil {
			return p, fmt.Errorf("wrk: %w", err)
		}
		p.Wrong = min(n, p.Answered)
		p.Answered -= p.Wrong
	}
	p.Sent = p.Answered + p.Wrong + p.Lost
	return p, r.err
}
