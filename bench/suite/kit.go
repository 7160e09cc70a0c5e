package suite

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pith"
	"pith/bench"
	"pith/bench/load"
	"pith/image"
	"pith/machine/host"
	"pith/machine/linuxvm"
	"pith/machine/qemu"
)

// Kit is a folder with the programs and files to measure with, built outside a
// lab: a lab has no way to the modules.
type Kit struct{ Dir string }

// Where the services have their files.
const (
	pagePath      = "/srv/index.html"
	zonePath      = "/etc/dns/zone"
	questionsName = "questions"
)

// pageWords fill the web service's page.
const pageWords = "Measured, not guessed.\n"

// Services are those that a run needs.
func (c *Config) Services() []string {
	need := map[string]bool{}
	for _, m := range c.Measures {
		switch m {
		case Start:
			need[c.Start.Service] = true
		case Forward: // its services are built by buildForward
		case Footprint:
			need[c.Footprint.Service] = true
		case Flood:
			for _, name := range c.Flood.Services {
				need[name] = true
			}
		default:
			need[m] = true
		}
	}
	var names []string
	for _, name := range []string{Web, DNS} {
		if need[name] {
			names = append(names, name)
		}
	}
	return names
}

// BuildKit builds, of the checkout source, what a run needs into dir.
func BuildKit(ctx context.Context, c Config, source, dir string, progress func(string)) (*Kit, error) {
	k := &Kit{dir}
	if slices.Contains(c.Measures, Forward) {
		if err := k.buildForward(ctx, c, source, progress); err != nil {
			return nil, err
		}
	}
	for _, service := range c.Services() {
		if err := k.writeFiles(c, service); err != nil {
			return nil, err
		}
		if err := k.build(ctx, c, service, source, progress); err != nil {
			return nil, err
		}
		for _, name := range c.peersOf(service) {
			if err := k.buildPeer(ctx, c, name, progress); err != nil {
				return nil, err
			}
		}
		for _, kind := range slices.Concat(c.Machines, c.peersOf(service)) { // makes and keeps what takes long
			t, err := k.target(c, service, kind)
			if err != nil {
				return nil, err
			}
			if err := t.Prepare(ctx); err != nil {
				return nil, fmt.Errorf("%s: %w", kind, err)
			}
		}
	}
	return k, nil
}

func (k *Kit) path(words ...string) string {
	return filepath.Join(append([]string{k.Dir}, words...)...)
}

// root is the folder that stands for / where a process has no root of its own.
func (k *Kit) root(service string) string { return k.path(service + "-root") }

func (k *Kit) writeFiles(c Config, service string) error {
	if service == Web {
		return writeFile(filepath.Join(k.root(Web), pagePath), page(c.Page.Size))
	}
	zone, questions, err := c.Questions.texts()
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(k.root(DNS), zonePath), zone); err != nil {
		return err
	}
	if err := writeFile(k.path(questionsName), questions); err != nil {
		return err
	}
	_, err = k.questions(c.Questions.name())
	return err
}

func writeFile(file string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}

// page is the web service's page.
func page(size int) []byte {
	return bytes.Repeat([]byte(pageWords), size/len(pageWords)+1)[:size]
}

// texts are the zone and the questions.
func (q Questions) texts() (zone, questions []byte, err error) {
	if q.Zone == "" {
		return bench.Zone()
	}
	_, file, _ := strings.Cut(q.Zone, "=")
	if zone, err = os.ReadFile(file); err != nil {
		return nil, nil, pith.Errorf("--zone: %w", err)
	}
	if questions, err = os.ReadFile(q.File); err != nil {
		return nil, nil, pith.Errorf("--questions: %w", err)
	}
	return zone, questions, nil
}

func (k *Kit) questions(zone string) ([]load.Question, error) {
	q, err := load.ReadQuestions(k.path(questionsName), zone, filepath.Join(k.root(DNS), zonePath))
	if err != nil {
		return nil, pith.Errorf("%s", strings.ReplaceAll(err.Error(), k.Dir+string(filepath.Separator), ""))
	}
	return q, nil
}

// build makes the image and the ordinary program of a service.
func (k *Kit) build(ctx context.Context, c Config, service, source string, progress func(string)) error {
	if slices.ContainsFunc(c.Machines, func(kind string) bool { return kind != Unikernel }) {
		progress("building " + program(service))
		if err := goBuild(ctx, source, program(service), k.path(service)); err != nil {
			return err
		}
	}
	if slices.Contains(c.Machines, Unikernel) {
		return k.buildImage(ctx, service, source, progress)
	}
	return nil
}

// guestProgram is what makes a Linux guest forward.
const guestProgram = "forward-guest"

// buildForward makes what forwards.
func (k *Kit) buildForward(ctx context.Context, c Config, source string, progress func(string)) error {
	if slices.Contains(c.Machines, LinuxVM) {
		if err := goBuild(ctx, source, "./bench/forward/guest", k.path(guestProgram)); err != nil {
			return err
		}
	}
	for _, service := range c.Forward.Services {
		if slices.Contains(c.Machines, Unikernel) {
			if err := k.buildImage(ctx, service, source, progress); err != nil {
				return err
			}
		}
		for _, kind := range c.Machines { // makes and keeps what takes long
			w, err := k.forwarder(service, kind)
			if err != nil {
				return err
			}
			if err := w.Prepare(ctx); err != nil {
				return fmt.Errorf("%s: %w", kind, err)
			}
		}
	}
	return nil
}

func (k *Kit) buildImage(ctx context.Context, service, source string, progress func(string)) error {
	_, err := image.Build(ctx, image.Options{
		Dir: source, What: program(service), Output: k.path(service + ".img"), Strip: true, Progress: progress,
	})
	return err
}

// program is a service's package.
func program(service string) string { return "./" + path.Join("service", service, "cmd", service) }

func goBuild(ctx context.Context, source, what, out string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, what)
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", what, err, text)
	}
	return nil
}

// arguments are the service's, where at says where its files are.
func (c *Config) arguments(service string, at func(string) string) []string {
	if service == DNS {
		return []string{"-listen", ":53", "-zone", c.Questions.name() + "=" + at(zonePath)}
	}
	args := []string{"-listen", ":80", "-root", at(path.Dir(pagePath))}
	if c.Page.TLS {
		args = append(args, "-tls", ":443")
	}
	return args
}

// target is a service as a machine of a kind.
func (k *Kit) target(c Config, service, kind string) (bench.Target, error) {
	inside := c.arguments(service, func(file string) string { return file })
	file := pagePath
	if service == DNS {
		file = zonePath
	}
	files := []pith.File{{Source: filepath.Join(k.root(service), file), Target: file}}
	switch kind {
	case Unikernel:
		return &bench.Unikernel{Label: kind, Image: k.path(service + ".img"), Args: inside, Files: files}, nil
	case LinuxVM:
		accel, err := qemu.ChooseAccel(host.This())
		if err != nil {
			return nil, err
		}
		build := linuxvm.Build{Program: k.path(service), Files: files}
		return &bench.Linux{Label: kind, Build: build, Accel: accel.Kind, Args: inside}, nil
	case Container:
		return &bench.Container{Label: kind, Program: k.path(service), Args: inside, Files: files}, nil
	default:
		if kind != Process {
			return k.peer(c, kind)
		}
		outside := c.arguments(service, func(file string) string { return filepath.Join(k.root(service), file) })
		return &bench.Native{Label: kind, Program: k.path(service), Args: outside}, nil
	}
}

// target is prepared once.
func (s *suite) target(ctx context.Context, service, kind string) (bench.Target, error) {
	key := service + " " + kind
	if t, ok := s.targets[key]; ok {
		return t, nil
	}
	t, err := s.kit.target(s.Config, service, kind)
	if err != nil {
		return nil, err
	}
	if err := t.Prepare(ctx); err != nil {
		return nil, err
	}
	s.targets[key] = t
	return t, nil
}

// client asks a service.
type client interface {
	// First waits for the first right answer and tells when it came.
	First(ctx context.Context) (time.Time, error)
	Rate(ctx context.Context, rate float64, length time.Duration) (load.Outcome, error)
	// Once asks once, as a client of its own; an answer that isn't right is an error.
	Once(ctx context.Context) error
}

type webClient struct{ load.Web }

func (w webClient) First(ctx context.Context) (time.Time, error) {
	return load.FirstAnswer(ctx, netip.AddrPortFrom(w.To.Addr(), 80), w.Path)
}

type dnsClient struct{ load.DNS }

func (d dnsClient) First(ctx context.Context) (time.Time, error) { return d.Ask(ctx) }

func (s *suite) client(service string, to netip.Addr, clients int) (client, error) {
	if service == DNS {
		questions, err := s.kit.questions(s.Questions.name())
		return dnsClient{load.DNS{To: netip.AddrPortFrom(to, 53), Questions: questions, Clients: clients, TCP: s.Questions.TCP, Close: s.Questions.Close}}, err
	}
	port := uint16(80)
	if s.Page.TLS {
		port = 443
	}
	body, err := os.ReadFile(filepath.Join(s.kit.root(Web), pagePath))
	return webClient{load.Web{
		To: netip.AddrPortFrom(to, port), Path: "/", Body: body, Conns: clients, Close: s.Page.Close, TLS: s.Page.TLS,
	}}, err
}
