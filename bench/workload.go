package bench

import (
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"pith"
)

// Workload is a program to measure that others wrote, with what it needs. Its web
// server, or its health check, is at port 8080.
type Workload struct {
	Name      string
	What      string // module@version, for both the builder and go install
	Args, Env []string
	Path      string            // what answers at port 8080
	Texts     map[string]string // its files: path in the machine, name in workloads/
	Questions string            // for the step dns: name in workloads/
	Steps     []string
}

//go:embed workloads
var workloadFiles embed.FS

// Workloads are the programs that can be measured beside bench/server.
var Workloads = []Workload{
	{
		Name: "coredns", What: "github.com/coredns/coredns@v1.15.0",
		Args: []string{"-conf", "/etc/coredns/Corefile"}, Path: "/health",
		Texts:     map[string]string{"/etc/coredns/Corefile": "Corefile", "/etc/coredns/example.org.zone": "example.org.zone"},
		Questions: "questions.txt", Steps: []string{"dns"},
	},
	{
		Name: "caddy", What: "github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.9",
		Args: []string{"run", "--config", "/etc/Caddyfile"}, Env: []string{"HOME=/root"}, Path: "/",
		Texts: map[string]string{"/etc/Caddyfile": "Caddyfile", "/srv/index.html": "index.html"},
		Steps: []string{"http", "wrk"},
	},
}

// Unpack writes the workload's files into dir and says how a machine gets them;
// questions is the file for the step dns.
func (w Workload) Unpack(dir string) (files []pith.File, questions string, err error) {
	put := func(name string) (string, error) {
		text, err := workloadFiles.ReadFile(path.Join("workloads", name))
		if err != nil {
			return "", err
		}
		file := filepath.Join(dir, name)
		return file, os.WriteFile(file, text, 0o644)
	}
	for target, name := range w.Texts {
		source, err := put(name)
		if err != nil {
			return nil, "", fmt.Errorf("bench: %w", err)
		}
		files = append(files, pith.File{Source: source, Target: target})
	}
	if w.Questions != "" {
		questions, err = put(w.Questions)
	}
	return files, questions, err
}

// Install builds the program for Linux, static, in dir.
func (w Workload) Install(ctx context.Context, dir string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "install", "-trimpath", "-ldflags=-s -w", w.What)
	cmd.Dir = dir // no module's
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "CGO_ENABLED=0", "GOFLAGS=", "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("bench: go install %s: %w\n%s", w.What, err, out)
	}
	pkg, _, _ := strings.Cut(w.What, "@")
	return filepath.Join(dir, path.Base(pkg)), nil
}
