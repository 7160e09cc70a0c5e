package suite

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"pith/bench"
	"pith/bench/load"
)

// Step is one step of a growing load. Latencies are of the right answers, in
// milliseconds, from when a request was due.
type Step struct {
	Run                        int     // which step, from 1
	By                         string  `json:",omitempty"` // the program that made the load; it doesn't tell all figures
	Offered                    float64 // requests per second
	Due, Answered, Wrong, Lost int64
	Seconds                    float64
	Mean, Min, Max, Deviation  float64
	P50, P90, P99, P999        float64
	CPU                        float64 // of the machine's process on the host, percent of one CPU
	SilentFrom                 float64 `json:",omitempty"` // seconds into the step
	FirstWrong                 string  `json:",omitempty"`
	Histogram                  string  `json:",omitempty"` // HdrHistogram V2, compressed, microseconds
}

// Rate is how many right answers came, per second.
func (s *Step) Rate() float64 { return float64(s.Answered) / s.Seconds }

// latency is in words; dnsperf tells no percentiles.
func (s *Step) latency() string {
	if s.P50 == 0 {
		return fmt.Sprintf("mean %.2f ms, max %.2f ms", s.Mean, s.Max)
	}
	return fmt.Sprintf("p50 %.2f ms, p99 %.2f ms", s.P50, s.P99)
}

// Kept reports whether the service kept up: 99 of 100 right answers, and no more
// than a twentieth of the step's time behind.
func (s *Step) Kept() bool {
	return float64(s.Answered) >= 0.99*float64(s.Due) && s.Rate() >= 0.95*s.Offered
}

func newStep(run int, offered float64, length time.Duration, o load.Outcome) (*Step, error) {
	h := o.Latency
	packed, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return nil, err
	}
	ms := func(percentile float64) float64 { return float64(h.ValueAtPercentile(percentile)) / 1000 }
	s := &Step{
		Run: run, Offered: offered, Due: o.Due, Answered: o.Answered, Wrong: o.Wrong, Lost: o.Lost,
		Seconds: max(length, o.Last).Seconds(),
		Mean:    h.Mean() / 1000, Min: float64(h.Min()) / 1000, Max: float64(h.Max()) / 1000, Deviation: h.StdDev() / 1000,
		P50: ms(50), P90: ms(90), P99: ms(99), P999: ms(99.9),
		FirstWrong: o.FirstWrong, Histogram: base64.StdEncoding.EncodeToString(packed),
	}
	if o.Silent {
		s.SilentFrom, s.Seconds = max(o.SilentFrom, time.Microsecond).Seconds(), o.Elapsed.Seconds()
	}
	if o.Answered == 0 {
		s.Mean, s.Min, s.Deviation = 0, 0, 0
	}
	return s, nil
}

// visit is one instance that is being measured.
type visit struct {
	bench.Instance
	client client
	first  float64 // seconds from its start to its first right answer
	ctx    context.Context
}

// start starts an instance of a service and waits until it answers. The visit's
// context ends with the instance.
func (s *suite) start(ctx context.Context, service, kind string, clients int) (*visit, error) {
	return s.startShape(ctx, service, kind, clients, bench.Shape{CPUs: s.CPUs, Memory: s.Memory})
}

func (s *suite) startShape(ctx context.Context, service, kind string, clients int, shape bench.Shape) (*visit, error) {
	t, err := s.target(ctx, service, kind)
	if err != nil {
		return nil, err
	}
	inst, err := t.Start(ctx, s.lab, shape)
	if err != nil {
		return nil, err
	}
	v := &visit{Instance: inst}
	alive, cancel := context.WithCancel(ctx)
	go func() {
		<-inst.Done()
		cancel()
	}()
	v.ctx = alive
	if err := s.await(v, service, clients); err != nil {
		return nil, errors.Join(fmt.Errorf("%w%s", err, bench.Said(inst)), inst.Stop(context.WithoutCancel(ctx)))
	}
	return v, nil
}

// await waits for the first right answer.
func (s *suite) await(v *visit, service string, clients int) (err error) {
	if v.client, err = s.connect(service, v.Addr(), clients); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(v.ctx, patience)
	defer cancel()
	at, err := v.client.First(ctx)
	if err != nil {
		return fmt.Errorf("it doesn't start: %w", err)
	}
	v.first = at.Sub(v.Started()).Seconds()
	return bench.Ready(v.ctx, v.Instance)
}

// stop ends a visit, even if ctx has ended.
func (v *visit) stop(ctx context.Context) error { return v.Stop(context.WithoutCancel(ctx)) }

// sweep offers a growing load.
func (s *suite) sweep(ctx context.Context, j job) (end End, err error) {
	rates := s.Web
	if j.Measure == DNS {
		rates = s.DNS
	}
	v, err := s.start(ctx, j.Measure, j.Machine, rates.Clients)
	if err != nil {
		return end, err
	}
	defer func() { err = errors.Join(err, v.stop(ctx)) }()
	if end, err = s.describe(ctx, v, j.Machine); err != nil {
		return end, err
	}
	collapsed := 0
	for run, rate := 1, rates.Start; rate <= rates.To; run, rate = run+1, rate+rates.Step {
		step, err := s.step(v, run, rate, rates.StepTime)
		if step != nil {
			if err := s.book.add(j, Record{Step: step}); err != nil {
				return end, err
			}
			s.say("  %.5g/s: %.0f/s answered, %d lost, %d wrong, %s", step.Offered, step.Rate(), step.Lost, step.Wrong, step.latency())
		}
		if err != nil {
			return end, err
		}
		collapsed++
		if 2*step.Answered >= step.Due {
			collapsed = 0
		}
		if collapsed == 2 {
			end.Saturated = true
			s.say("  less than half was answered twice: the load grows no more")
			return end, nil
		}
		if rateless(s.Load) {
			return end, nil
		}
		pause(ctx, rates.Pause)
	}
	return end, nil
}

// step offers one rate. A step that the user or the machine's end cut short is
// none; one after whose begin the server fell silent is returned with an error.
func (s *suite) step(v *visit, run int, rate float64, length time.Duration) (*Step, error) {
	before, err := bench.ProcessCPU(v.PID())
	if err != nil {
		return nil, v.failed(rate, err)
	}
	begin := time.Now()
	step, err := s.offer(v, run, rate, length)
	if err != nil {
		return nil, v.failed(rate, err)
	}
	elapsed := time.Since(begin)
	after, err := bench.ProcessCPU(v.PID())
	if err != nil {
		return nil, v.failed(rate, err)
	}
	step.CPU = 100 * (after - before).Seconds() / elapsed.Seconds()
	if step.SilentFrom > 0 {
		return step, fmt.Errorf("it no longer answers, since %.1f s into %g/s (%s)%s",
			step.SilentFrom, rate, time.Now().UTC().Format(time.RFC3339), bench.Said(v.Instance))
	}
	return step, nil
}

// offer offers one rate by what makes the load.
func (s *suite) offer(v *visit, run int, rate float64, length time.Duration) (*Step, error) {
	if s.Load != "" {
		return s.outside(v, run, rate, length)
	}
	outcome, err := v.client.Rate(v.ctx, rate, length)
	if err != nil {
		return nil, err
	}
	return newStep(run, rate, length, outcome)
}

// failed explains an error by the machine's end, if it has ended.
func (v *visit) failed(rate float64, err error) error {
	select {
	case <-v.Done():
		return fmt.Errorf("it ended at %g/s (%s)%s", rate, time.Now().UTC().Format(time.RFC3339), bench.Said(v.Instance))
	default:
		return err
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
