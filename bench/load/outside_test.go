package load

import (
	"strings"
	"testing"
	"time"
)

// What dnsperf 2.10.0 said of a server that knows half of the names.
const dnsperfRun = `DNS Performance Testing Tool
Version 2.10.0

[Status] Command line: dnsperf -s 127.0.0.1 -p 5399 -d q.txt -c 10 -T 2 -l 2 -Q 500 -t 2
[Status] Sending queries (to 127.0.0.1:5399)
[Status] Started at: Tue Nov 24 13:44:04 2026
[Status] Stopping after 2.000000 seconds
[Status] Testing complete (time limit)

Statistics:

  Queries sent:         1000
  Queries completed:    1000 (100.00%)
  Queries lost:         0 (0.00%)

  Response codes:       NOERROR 500 (50.00%), NXDOMAIN 500 (50.00%)
  Average packet size:  request 34, response 67
  Run time (s):         2.000629
  Queries per second:   499.842799

  Average Latency (s):  0.000846 (min 0.000007, max 0.041940)
  Latency StdDev (s):   0.003186

`

// ... over TCP.
const dnsperfTCP = `
Statistics:

  Queries sent:         500
  Queries completed:    500 (100.00%)
  Queries lost:         0 (0.00%)

  Response codes:       NOERROR 500 (100.00%)
  Average packet size:  request 33, response 59
  Run time (s):         1.000176
  Queries per second:   499.912015

  Average Latency (s):  0.000414 (min 0.000009, max 0.022558)
  Latency StdDev (s):   0.002183

Connection Statistics:

  Reconnections:        0

  Average Latency (s):  0.010987 (min 0.000546, max 0.022147)
  Latency StdDev (s):   0.006806

`

// ... of nobody.
const dnsperfNobody = `
Statistics:

  Queries sent:         50
  Queries completed:    0 (0.00%)
  Queries lost:         50 (100.00%)

  Response codes:       
  Average packet size:  request 33, response 0
  Run time (s):         1.004763
  Queries per second:   0.000000

  Average Latency (s):  0.000000 (min 0.000000, max 0.000000)

`

func TestParseDNSPerfReport(t *testing.T) {
	const us = time.Microsecond
	for text, want := range map[string]Report{
		dnsperfRun:    {Sent: 1000, Answered: 1000, Length: 2000629 * us, Mean: 846 * us, Min: 7 * us, Max: 41940 * us, Deviation: 3186 * us},
		dnsperfTCP:    {Sent: 500, Answered: 500, Length: 1000176 * us, Mean: 414 * us, Min: 9 * us, Max: 22558 * us, Deviation: 2183 * us},
		dnsperfNobody: {Sent: 50, Lost: 50, Length: 1004763 * us},
		strings.ReplaceAll(dnsperfRun, "NXDOMAIN", "REFUSED"): {
			Sent: 1000, Answered: 500, Wrong: 500, Length: 2000629 * us, Mean: 846 * us, Min: 7 * us, Max: 41940 * us, Deviation: 3186 * us,
		},
	} {
		if got, err := parseDNSPerfReport(text); err != nil || got != want {
			t.Errorf("%+v, error %v, want %+v of%s", got, err, want, text)
		}
	}
	for _, part := range []string{"Queries sent", "Queries completed", "Queries lost", "Response codes", "Run time", "Average Latency"} {
		if got, err := parseDNSPerfReport(strings.ReplaceAll(dnsperfRun, part, "?")); err == nil {
			t.Errorf("a report without %s gives %+v", part, got)
		}
	}
}

// What wrk2 (of 2019) said, with its spectrum left out.
const wrk2Run = `Running 12s test @ http://127.0.0.1:8123/run.json
  2 threads and 10 connections
  Thread calibration: mean lat.: 46.451ms, rate sampling interval: 150ms
  Thread calibration: mean lat.: 44.340ms, rate sampling interval: 142ms
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     4.34ms    5.64ms  25.15ms   84.09%
    Req/Sec    22.58     14.77    35.00     69.23%
  Latency Distribution (HdrHistogram - Recorded Latency)
 50.000%    1.74ms
 75.000%    4.79ms
 90.000%   11.40ms
 99.000%   24.80ms
 99.900%   25.17ms
 99.990%   25.17ms
 99.999%   25.17ms
100.000%   25.17ms

#[Mean    =        4.338, StdDeviation   =        5.636]
#[Max     =       25.152, Total count    =           88]
#[Buckets =           27, SubBuckets     =         2048]
----------------------------------------------------------
  600 requests in 12.00s, 1.03MB read
Requests/sec:     49.99
Transfer/sec:     87.96KB
`

// What wrk 4.1.0 said of a server that has no such page.
const wrkWrong = `Running 1s test @ http://127.0.0.1:8123/nosuch
  2 threads and 10 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.78ms    2.67ms  31.83ms   94.60%
    Req/Sec     1.15k     0.87k    2.35k    60.00%
  Latency Distribution
     50%    2.22ms
     75%    3.10ms
     90%    4.22ms
     99%   17.44ms
  2300 requests in 1.01s, 1.14MB read
  Non-2xx or 3xx responses: 2300
Requests/sec:   2288.50
Transfer/sec:      1.13MB
`

// ... of one that closes two of three connections without an answer.
const wrkErrors = `Running 1s test @ http://127.0.0.1:8124/
  2 threads and 4 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    60.17ms   19.59ms 110.14ms   81.82%
    Req/Sec    10.62      3.52    20.00     87.50%
  Latency Distribution
     50%   57.76ms
     75%   74.32ms
     90%   85.77ms
     99%  110.14ms
  22 requests in 1.06s, 0.86KB read
  Socket errors: connect 0, read 65, write 0, timeout 0
Requests/sec:     20.67
Transfer/sec:     826.68B
`

func TestParseWrkReport(t *testing.T) {
	const us, ms = time.Microsecond, time.Millisecond
	for text, want := range map[string]Report{
		wrk2Run: {
			Sent: 600, Answered: 600, Length: 12 * time.Second, Mean: 4340 * us, Max: 25150 * us, Deviation: 5640 * us,
			P50: 1740 * us, P90: 11400 * us, P99: 24800 * us, P999: 25170 * us,
		},
		wrkWrong: {
			Sent: 2300, Wrong: 2300, Length: 1010 * ms, Mean: 2780 * us, Max: 31830 * us, Deviation: 2670 * us,
			P50: 2220 * us, P90: 4220 * us, P99: 17440 * us,
		},
		wrkErrors: {
			Sent: 87, Answered: 22, Lost: 65, Length: 1060 * ms, Mean: 60170 * us, Max: 110140 * us, Deviation: 19590 * us,
			P50: 57760 * us, P90: 85770 * us, P99: 110140 * us,
		},
	} {
		if got, err := parseWrkReport(text); err != nil || got != want {
			t.Errorf("%+v, error %v, want %+v of\n%s", got, err, want, text)
		}
	}
	for _, part := range []string{"requests in", "Latency ", "50.000%", "99.000%", "25.15ms"} {
		if got, err := parseWrkReport(strings.ReplaceAll(wrk2Run, part, "?")); err == nil {
			t.Errorf("a report without %s gives %+v", part, got)
		}
	}
}

func FuzzParseReports(f *testing.F) {
	for _, text := range []string{dnsperfRun, dnsperfTCP, dnsperfNobody, wrk2Run, wrkWrong, wrkErrors} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, parse := range []func(string) (Report, error){parseDNSPerfReport, parseWrkReport} {
			if r, err := parse(text); err == nil && (r.Answered < 0 || r.Lost < 0 || r.Mean < 0) {
				t.Errorf("%+v of %q", r, text)
			}
		}
	})
}

func TestFindOutside(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for name, want := range map[string]string{ByDNSPerf: "apt-get install dnsperf", ByWrk2: "build it"} {
		if _, err := FindOutside(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
