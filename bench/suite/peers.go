package suite

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"pith"
	"pith/bench"
)

// Peers that do the same work as a service of Pith's, as processes of the host.
const (
	Nginx   = "nginx"
	BIND    = "bind"
	CoreDNS = "coredns"
)

// peer is one of them.
type peer struct {
	name    string
	service string // of Pith's, whose work it does
	program string // in the search path; "" is built
	install string // the package of Debian's
	config  func(k *Kit, c Config) string
	args    func(config string, c Config) []string
	version []string // arguments that make it tell its version
}

var peers = []peer{
	{Nginx, Web, "nginx", "nginx-light", nginxConfig, func(config string, _ Config) []string { return []string{"-c", config} }, []string{"-v"}},
	{BIND, DNS, "named", "bind9", bindConfig, func(config string, c Config) []string {
		return []string{"-g", "-c", config, "-n", strconv.Itoa(c.CPUs)}
	}, []string{"-v"}},
	{CoreDNS, DNS, "", "", corefile, func(config string, _ Config) []string { return []string{"-conf", config} }, []string{"-version"}},
}

// Peers are the names of all peers.
var Peers = []string{Nginx, BIND, CoreDNS}

func findPeer(name string) (peer, bool) {
	i := slices.IndexFunc(peers, func(p peer) bool { return p.name == name })
	if i < 0 {
		return peer{}, false
	}
	return peers[i], true
}

// allKinds are the kinds of machines and the peers, in the order of a report.
var allKinds = slices.Concat(Kinds, Peers)

func (c *Config) checkPeers() error {
	for _, name := range c.Peers {
		p, ok := findPeer(name)
		if !ok {
			return pith.Errorf("--peer %s: there are %s", name, strings.Join(Peers, ", "))
		}
		if !slices.Contains(c.Services(), p.service) {
			return pith.Errorf("--peer %s: it does what %s does, which isn't measured", name, p.service)
		}
		if p.service == Web && c.Page.TLS {
			return pith.Errorf("--peer %s: it is measured without --tls only", name)
		}
		if err := p.installed(); err != nil {
			return err
		}
	}
	return nil
}

// peersOf are the peers that do the work of a service.
func (c *Config) peersOf(service string) []string {
	return slices.DeleteFunc(slices.Clone(c.Peers), func(name string) bool {
		p, _ := findPeer(name)
		return p.service != service
	})
}

// peerDir is where a peer has its files.
func (k *Kit) peerDir(name string) string { return k.path("peer-" + name) }

// buildPeer writes a peer's configuration, and builds the peer if need be.
func (k *Kit) buildPeer(ctx context.Context, c Config, name string, progress func(string)) error {
	p, _ := findPeer(name)
	dir := k.peerDir(name)
	if err := writeFile(filepath.Join(dir, "config"), []byte(p.config(k, c))); err != nil {
		return err
	}
	if p.program != "" {
		return p.installed()
	}
	i := slices.IndexFunc(bench.Workloads, func(w bench.Workload) bool { return w.Name == name })
	if i < 0 {
		return fmt.Errorf("BUG: no workload %s", name)
	}
	progress("building " + bench.Workloads[i].What)
	_, err := bench.Workloads[i].Install(ctx, dir)
	return err
}

// find is the peer's program.
func (p peer) find(k *Kit) (string, error) {
	if p.program == "" {
		return filepath.Join(k.peerDir(p.name), p.name), nil
	}
	for _, name := range []string{p.program, "/usr/sbin/" + p.program} {
		if file, err := exec.LookPath(name); err == nil {
			return file, nil
		}
	}
	return "", pith.Errorf("--peer %s: %s is not installed (Debian and Ubuntu: apt-get install %s)", p.name, p.program, p.install)
}

// installed looks whether a peer is there that is not built.
func (p peer) installed() error {
	if p.program == "" {
		return nil
	}
	_, err := p.find(nil)
	return err
}

// peer is a peer as a process of the host.
func (k *Kit) peer(c Config, name string) (bench.Target, error) {
	p, ok := findPeer(name)
	if !ok {
		return nil, errors.New("BUG: no kind or peer " + name)
	}
	program, err := p.find(k)
	if err != nil {
		return nil, err
	}
	return &bench.Native{Label: name, Program: program, Args: p.args(filepath.Join(k.peerDir(name), "config"), c), Late: true}, nil
}

// describe is what an instance says about what runs it, and a peer about itself.
func (s *suite) describe(ctx context.Context, v *visit, kind string) (End, error) {
	facts, err := v.Facts()
	if err != nil {
		return End{}, err
	}
	end := End{Accelerator: facts.Accelerator, CPU: facts.CPU}
	p, ok := findPeer(kind)
	if !ok {
		return end, nil
	}
	program, err := p.find(s.kit)
	if err != nil {
		return end, err
	}
	out, err := exec.CommandContext(ctx, program, p.version...).CombinedOutput()
	if err != nil {
		return end, fmt.Errorf("%s %s: %w: %s", program, strings.Join(p.version, " "), err, out)
	}
	end.Program = versionLine(p.name, string(out))
	return end, nil
}

// versionLine is what a program prints of its version in one line, without its
// name, which stands before it already.
func versionLine(name, text string) string {
	line := strings.Join(strings.Fields(text), " ")
	line = strings.TrimPrefix(line, name+" version: ")
	return strings.TrimSuffix(strings.TrimSuffix(line, " <id:>"), ",")
}

// nginxConfig serves the page's folder, with as many workers as there are CPUs.
// Connections are not closed after a number of requests: the others don't either.
func nginxConfig(k *Kit, c Config) string {
	dir := k.peerDir(Nginx)
	return fmt.Sprintf(`daemon off;
user root;
worker_processes %d;
worker_rlimit_nofile 16384;
pid %[2]s/pid;
error_log stderr warn;
events { worker_connections 8192; }
http {
	access_log off;
	client_body_temp_path %[2]s/body;
	proxy_temp_path %[2]s/proxy;
	fastcgi_temp_path %[2]s/fastcgi;
	uwsgi_temp_path %[2]s/uwsgi;
	scgi_temp_path %[2]s/scgi;
	types { text/html html; }
	sendfile on;
	tcp_nodelay on;
	keepalive_requests 1000000000;
	server {
		listen 80 backlog=4096;
		root %[3]s;
	}
}
`, c.CPUs, dir, filepath.Join(k.root(Web), filepath.Dir(pagePath)))
}

// bindConfig serves the zone, and nothing else.
func bindConfig(k *Kit, c Config) string {
	dir := k.peerDir(BIND)
	return fmt.Sprintf(`options {
	directory %q;
	pid-file none;
	session-keyfile none;
	listen-on { any; };
	listen-on-v6 { none; };
	recursion no;
	allow-query { any; };
	dnssec-validation no;
	notify no;
};
controls { };
zone %q { type primary; file %q; };
`, dir, c.Questions.name(), filepath.Join(k.root(DNS), zonePath))
}

// corefile serves the zone, and nothing else.
func corefile(k *Kit, c Config) string {
	return fmt.Sprintf(".:53 {\n\tfile %s %s\n\terrors\n}\n", filepath.Join(k.root(DNS), zonePath), c.Questions.name())
}
