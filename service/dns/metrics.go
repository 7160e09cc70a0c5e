package dns

import (
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics are what the server counts. Those of the query path are looked up once.
type metrics struct {
	registry                  *prometheus.Registry
	answers                   [2][24]prometheus.Counter // by transport and response code
	ignored, limited, slipped prometheus.Counter
	transfers                 prometheus.Counter
	hits, misses, failures    prometheus.Counter
	reloads                   *prometheus.CounterVec
}

func newMetrics(s *Server) *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	answers := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dns_answers_total", Help: "Answers that were sent, by transport and response code."}, []string{"transport", "rcode"})
	for i, transport := range []string{"udp", "tcp"} {
		for code := range m.answers[i] {
			name := dns.RcodeToString[code]
			if code == dns.RcodeBadVers {
				name = "BADVERS"
			}
			if name == "" {
				name = "OTHER"
			}
			m.answers[i][code] = answers.WithLabelValues(transport, name)
		}
	}
	m.registry.MustRegister(answers, collectors.NewGoCollector())
	m.ignored = m.counter("dns_ignored_total", "Packets that were no query.")
	m.limited = m.counter("dns_rate_limited_total", "Answers that were not sent because of the rate limit.")
	m.slipped = m.counter("dns_rate_slipped_total", "Answers that were sent truncated because of the rate limit.")
	m.transfers = m.counter("dns_transfers_total", "Zones that were transferred.")
	m.hits = m.counter("dns_cache_hits_total", "Forwarded questions that the cache answered.")
	m.misses = m.counter("dns_cache_misses_total", "Forwarded questions that the cache did not answer.")
	m.failures = m.counter("dns_forward_failures_total", "Questions that no upstream server answered.")
	m.reloads = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dns_reloads_total", Help: "Reloads of the zones, by outcome."}, []string{"outcome"})
	m.registry.MustRegister(m.reloads, zoneCollector{s})
	return m
}

func (m *metrics) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	m.registry.MustRegister(c)
	return c
}

// count counts one answer.
func (m *metrics) count(w *worker) {
	transport := 0
	if !w.udp {
		transport = 1
	}
	m.answers[transport][w.m.rcode%24].Inc()
}

// zoneCollector tells of the zones as they are.
type zoneCollector struct{ s *Server }

var (
	serialDesc  = prometheus.NewDesc("dns_zone_serial", "The zone's serial number.", []string{"zone"}, nil)
	recordsDesc = prometheus.NewDesc("dns_zone_records", "The zone's records.", []string{"zone"}, nil)
	cacheDesc   = prometheus.NewDesc("dns_cache_entries", "Answers in the forwarder's cache.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c zoneCollector) Describe(out chan<- *prometheus.Desc) {
	out <- serialDesc
	out <- recordsDesc
	out <- cacheDesc
}

// Collect implements prometheus.Collector.
func (c zoneCollector) Collect(out chan<- prometheus.Metric) {
	if catalog := c.s.catalog.Load(); catalog != nil {
		for _, z := range catalog.zones {
			out <- prometheus.MustNewConstMetric(serialDesc, prometheus.GaugeValue, float64(z.Serial()), z.Name())
			out <- prometheus.MustNewConstMetric(recordsDesc, prometheus.GaugeValue, float64(z.Records()), z.Name())
		}
	}
	if c.s.forward != nil {
		out <- prometheus.MustNewConstMetric(cacheDesc, prometheus.GaugeValue, float64(c.s.forward.cache.size()))
	}
}
