package load

import "testing"

const dnsperfReport = `Statistics:

  Queries sent:         50210
  Queries completed:    50200 (99.98%)
  Queries lost:         10 (0.02%)

  Response codes:       NOERROR 50200 (100.00%)
  Average packet size:  request 33, response 90
  Run time (s):         3.000412
  Queries per second:   16731.035604
`

func TestParseDNSPerf(t *testing.T) {
	r, err := parseDNSPerf([]byte(dnsperfReport))
	if err != nil || r.Rate != 16731.035604 || r.Lost != 0.02 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, bad := range []string{"", "Queries per second: x", "  Queries lost:         1 (1.00%)\n  Response codes:       NOERROR 5 (5.00%), REFUSED 95 (95.00%)\n  Queries per second:   5.0\n"} {
		if _, err := parseDNSPerf([]byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
