package load

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// DNSResult is what dnsperf says: answers per second, and the share of the
// questions that got none, in percent.
type DNSResult struct {
	Rate, Lost float64
}

// DNSPerf runs the load generator dnsperf with four threads, where it is
// installed: clients ask what is in the file questions as fast as answers come.
// ok is false where it is not installed.
func DNSPerf(ctx context.Context, to netip.AddrPort, questions string, clients int, length time.Duration) (r DNSResult, ok bool, err error) {
	dnsperf, err := exec.LookPath("dnsperf")
	if err != nil {
		return DNSResult{}, false, nil
	}
	seconds := strconv.Itoa(max(1, int(math.Round(length.Seconds()))))
	out, err := exec.CommandContext(ctx, dnsperf, "-s", to.Addr().String(), "-p", strconv.Itoa(int(to.Port())),
		"-d", questions, "-c", strconv.Itoa(clients), "-T", "4", "-l", seconds, "-t", "2").CombinedOutput()
	if err != nil {
		return DNSResult{}, true, fmt.Errorf("dnsperf: %w: %s", err, bytes.TrimSpace(out))
	}
	r, err = parseDNSPerf(out)
	return r, true, err
}

var (
	dnsRate = regexp.MustCompile(`(?m)^\s*Queries per second:\s+([0-9.]+)\s*$`)
	dnsLost = regexp.MustCompile(`(?m)^\s*Queries lost:\s+[0-9]+ \(([0-9.]+)%\)\s*$`)
	dnsGood = regexp.MustCompile(`(?m)^\s*Response codes:.*NOERROR [0-9]+ \(([0-9.]+)%\)`)
)

// parseDNSPerf reads the report of dnsperf 2. Answers that are no good ones
// make it an error: a server that refuses is quick.
func parseDNSPerf(report []byte) (DNSResult, error) {
	rate, lost, good := dnsRate.FindSubmatch(report), dnsLost.FindSubmatch(report), dnsGood.FindSubmatch(report)
	if rate == nil || lost == nil || good == nil {
		return DNSResult{}, fmt.Errorf("dnsperf: report not understood: %q", report)
	}
	var numbers [3]float64
	for i, m := range [][][]byte{rate, lost, good} {
		n, err := strconv.ParseFloat(string(m[1]), 64)
		if err != nil {
			return DNSResult{}, fmt.Errorf("dnsperf: %w", err)
		}
		numbers[i] = n
	}
	if numbers[2] < 99 {
		return DNSResult{}, fmt.Errorf("dnsperf: only %.1f %% of the answers are good ones", numbers[2])
	}
	return DNSResult{numbers[0], numbers[1]}, nil
}
