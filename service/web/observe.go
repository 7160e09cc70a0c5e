package web

import (
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// queueLength is how many lines of the log may wait; further ones are dropped
// and counted.
const queueLength = 4096

// observer counts and logs requests without holding them up.
type observer struct {
	registry *prometheus.Registry
	codes    [6]prometheus.Counter // by hundreds
	seconds  prometheus.Histogram
	active   atomic.Int64
	dropped  prometheus.Counter
	queue    chan line // nil: no log of requests
	log      *slog.Logger
	writers  sync.Pool
}

// line is one request of the log.
type line struct {
	time                 time.Time
	method, path, remote string
	proto                string
	status               int
	size                 int64
	took                 time.Duration
}

func newObserver(c *Config) *observer {
	o := &observer{registry: prometheus.NewRegistry(), log: c.Log}
	o.writers.New = func() any { return new(writer) }
	if c.AccessLog {
		o.queue = make(chan line, queueLength)
	}
	codes := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "http_requests_total", Help: "Requests that were answered, by class of status."}, []string{"code"})
	for i, name := range []string{"other", "1xx", "2xx", "3xx", "4xx", "5xx"} {
		o.codes[i] = codes.WithLabelValues(name)
	}
	o.seconds = prometheus.NewHistogram(prometheus.HistogramOpts{Name: "http_request_seconds", Help: "Time to answer a request.", Buckets: []float64{.0001, .001, .005, .02, .1, .5, 2, 10}})
	o.dropped = prometheus.NewCounter(prometheus.CounterOpts{Name: "http_log_dropped_total", Help: "Lines of the log that were dropped because it was too slow."})
	active := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "http_requests_active", Help: "Requests that are being answered."}, func() float64 { return float64(o.active.Load()) })
	o.registry.MustRegister(codes, o.seconds, o.dropped, active, collectors.NewGoCollector())
	return o
}

// writer remembers an answer's status and size.
type writer struct {
	http.ResponseWriter
	status int
	size   int64
}

// WriteHeader implements http.ResponseWriter.
func (w *writer) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *writer) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	w.size += int64(n)
	return n, err
}

// ReadFrom lets files go out without a copy, where the connection can.
func (w *writer) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(w.ResponseWriter, r)
	w.size += n
	return n, err
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// wrap counts and logs what next answers.
func (o *observer) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		start := time.Now()
		w := o.writers.Get().(*writer)
		*w = writer{ResponseWriter: rw}
		o.active.Add(1)
		defer func() {
			o.active.Add(-1)
			o.done(w, r, start)
			*w = writer{}
			o.writers.Put(w)
		}()
		next.ServeHTTP(w, r)
	})
}

// done counts a request and puts its line into the queue, if there is room.
func (o *observer) done(w *writer, r *http.Request, start time.Time) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	took := time.Since(start)
	o.seconds.Observe(took.Seconds())
	if class := w.status / 100; class < len(o.codes) {
		o.codes[class].Inc()
	} else {
		o.codes[0].Inc()
	}
	if o.queue == nil {
		return
	}
	select {
	case o.queue <- line{start, r.Method, r.URL.Path, r.RemoteAddr, r.Proto, w.status, w.size, took}:
	default:
		o.dropped.Inc()
	}
}

// write writes the log until done is closed, and then what still waits.
func (o *observer) write(done <-chan struct{}) {
	for {
		select {
		case l := <-o.queue:
			o.print(l)
			continue
		default:
		}
		select {
		case l := <-o.queue:
			o.print(l)
		case <-done:
			return
		}
	}
}

func (o *observer) print(l line) {
	o.log.Info("request", "at", l.time, "method", l.method, "path", l.path, "remote", l.remote,
		"proto", l.proto, "status", l.status, "octets", l.size, "seconds", l.took.Seconds())
}
