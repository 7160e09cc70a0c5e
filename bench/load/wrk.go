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

// Wrk runs the load generator wrk with two threads, where it is installed: a
// second opinion, independent of this package's own client. ok is false where
// it is not installed.
func Wrk(ctx context.Context, to netip.AddrPort, path string, conns int, length time.Duration) (r WrkResult, ok bool, err error) {
	wrk, err := exec.LookPath("wrk")
	if err != nil {
		return WrkResult{}, false, nil
	}
	seconds := strconv.Itoa(max(1, int(math.Round(length.Seconds()))))
	out, err := exec.CommandContext(ctx, wrk, "-t2", "-c"+strconv.Itoa(conns), "-d"+seconds+"s", "--latency",
		"http://"+to.String()+path).CombinedOutput()
	if err != nil {
		return WrkResult{}, true, fmt.Errorf("wrk: %w: %s", err, bytes.TrimSpace(out))
	}
	r, err = parseWrk(out)
	return r, true, err
}

// WrkResult is what wrk says: answers per second, and the 99th percentile of
// its latencies in milliseconds.
type WrkResult struct {
	Rate, P99 float64
}

var (
	wrkRate = regexp.MustCompile(`(?m)^Requests/sec:\s+([0-9.]+)\s*$`)
	wrkP99  = regexp.MustCompile(`(?m)^\s+99%\s+([0-9.]+)(us|ms|s|m)\s*$`)
)

// parseWrk reads the report of wrk 4.
func parseWrk(report []byte) (WrkResult, error) {
	rate := wrkRate.FindSubmatch(report)
	p99 := wrkP99.FindSubmatch(report)
	if rate == nil || p99 == nil {
		return WrkResult{}, fmt.Errorf("wrk: report not understood: %q", report)
	}
	perSecond, err := strconv.ParseFloat(string(rate[1]), 64)
	if err != nil {
		return WrkResult{}, fmt.Errorf("wrk: %w", err)
	}
	latency, err := time.ParseDuration(string(p99[1]) + string(p99[2]))
	if err != nil {
		return WrkResult{}, fmt.Errorf("wrk: %w", err)
	}
	return WrkResult{perSecond, latency.Seconds() * 1000}, nil
}
