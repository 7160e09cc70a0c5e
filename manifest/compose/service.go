package compose

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/goccy/go-yaml"
)

// build is what to build a service of: what the caller says, or the Go program in its
// build context.
func (c *converter) build(s types.ServiceConfig) (string, bool) {
	at := []string{"services", s.Name}
	if what, ok := c.Build[s.Name]; ok {
		return what, true
	}
	if s.Build == nil {
		c.note(append(at, "image"), "service %s is left out: image %s is no Go program to build; name one as in --build %[1]s=MODULE@VERSION", s.Name, s.Image)
		return "", false
	}
	dir, found := mainPackage(s.Build.Context, s.Name)
	if !found {
		c.note(append(at, "build"), "service %s is left out: in %s there is no Go program, or more than one; name it as in --build %[1]s=./FOLDER", s.Name, c.relative(s.Build.Context))
		return "", false
	}
	if _, there := c.at("services", s.Name, "build", "dockerfile"); there {
		c.note(append(at, "build", "dockerfile"), "%s is not read: the Go program in %s is built", s.Build.Dockerfile, c.relative(dir))
	}
	if s.Image != "" {
		c.note(append(at, "image"), "image %s is left out: the service is built", s.Image)
	}
	return c.relative(dir), true
}

// mainPackage finds the folder of the only main package of a build context: the
// context itself, or a folder below cmd, of which one with the service's name counts
// before others.
func mainPackage(context, service string) (string, bool) {
	if isMain(context) {
		return context, true
	}
	if own := filepath.Join(context, "cmd", service); isMain(own) {
		return own, true
	}
	folders, err := os.ReadDir(filepath.Join(context, "cmd"))
	if err != nil {
		return "", false
	}
	var mains []string
	for _, f := range folders {
		if dir := filepath.Join(context, "cmd", f.Name()); f.IsDir() && isMain(dir) {
			mains = append(mains, dir)
		}
	}
	if len(mains) != 1 {
		return "", false
	}
	return mains[0], true
}

// isMain tells whether a folder has a Go file of package main.
func isMain(dir string) bool {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return false
	}
	return slices.ContainsFunc(files, func(name string) bool {
		text, err := os.ReadFile(name)
		return err == nil && !strings.HasSuffix(name, "_test.go") && packageMain.Match(text)
	})
}

// service writes one service.
func (c *converter) service(s types.ServiceConfig, build string) (w writer) {
	at := []string{"services", s.Name}
	w.put("build", build)
	putSome(&w, "args", c.args(s))
	c.environment(&w, s)
	if s.WorkingDir != "" {
		w.put("working_dir", s.WorkingDir)
	}
	c.resources(&w, s)
	c.cards(&w, s)
	putSome(&w, "dns", s.DNS)
	putSome(&w, "ports", c.ports(s))
	c.mounts(&w, s)
	var needs writer
	for _, name := range sortedKeys(s.DependsOn) {
		d := s.DependsOn[name]
		if !d.Required {
			c.note(append(at, "depends_on", name), "%s always waits for %s", s.Name, name)
		}
		needs.put(label(name), yaml.MapSlice{{Key: "condition", Value: cmp.Or(d.Condition, types.ServiceConditionStarted)}})
	}
	putSome(&w, "depends_on", needs.MapSlice)
	c.health(&w, s)
	c.policies(&w, s)
	return w
}

// args are the program's arguments. The first word of a command is the program, unless
// there is an entry point.
func (c *converter) args(s types.ServiceConfig) []string {
	at := []string{"services", s.Name, "command"}
	words := slices.Concat([]string(s.Entrypoint), []string(s.Command))
	if len(s.Entrypoint) > 0 {
		at[2] = "entrypoint"
	}
	if len(words) == 0 {
		return nil
	}
	if shell := path.Base(words[0]); shell == "sh" || shell == "bash" || shell == "ash" {
		c.note(at, "%q is left out: there is no shell; write the program's own arguments under args", strings.Join(words, " "))
		return nil
	}
	if strings.HasPrefix(words[0], "-") {
		return words
	}
	c.note(at, "%q, the first word, is taken for the program's name and left out", words[0])
	return words[1:]
}

func (c *converter) environment(w *writer, s types.ServiceConfig) {
	var e writer
	for _, key := range sortedKeys(s.Environment) {
		value := s.Environment[key]
		switch {
		case value == nil:
			c.note([]string{"services", s.Name, "environment", key}, "%s is left out: it is to be passed on, and isn't set here", key)
		case !variable.MatchString(key):
			c.note([]string{"services", s.Name, "environment", key}, "%q is left out: it is no variable's name", key)
		default:
			e.put(key, *value)
		}
	}
	putSome(w, "env", e.MapSlice)
}

// resources are limits: a machine has whole CPUs, and MiB.
func (c *converter) resources(w *writer, s types.ServiceConfig) {
	cpus, memory := float64(s.CPUS), int64(s.MemLimit)
	where := []string{"services", s.Name, "cpus"}
	if s.Deploy != nil && s.Deploy.Resources.Limits != nil {
		l := s.Deploy.Resources.Limits
		if l.NanoCPUs > 0 {
			cpus, where = float64(l.NanoCPUs), []string{"services", s.Name, "deploy", "resources", "limits", "cpus"}
		}
		memory = cmp.Or(int64(l.MemoryBytes), memory)
	}
	if cpus > 0 {
		whole := int(math.Ceil(cpus))
		if float64(whole) != cpus {
			c.note(where, "%s has whole CPUs, %d for %g", s.Name, whole, cpus)
		}
		w.put("cpus", whole)
	}
	if memory > 0 {
		w.put("memory", fmt.Sprintf("%dM", (memory+1<<20-1)>>20))
	}
}

// policies are how many there are, and what follows an end.
func (c *converter) policies(w *writer, s types.ServiceConfig) {
	at := []string{"services", s.Name}
	if n := s.GetScale(); n != 1 {
		w.put("replicas", n)
	}
	if s.Deploy != nil && s.Deploy.Mode != "" && s.Deploy.Mode != "replicated" {
		c.note(append(at, "deploy", "mode"), "deploy.mode %s is left out: there is one host", s.Deploy.Mode)
	}
	restart := s.Restart
	if restart == "" && s.Deploy != nil && s.Deploy.RestartPolicy != nil {
		p := s.Deploy.RestartPolicy
		restart = map[string]string{"none": "no", "on-failure": "on-failure", "any": "always", "": "always"}[p.Condition]
		if restart == "on-failure" && p.MaxAttempts != nil && *p.MaxAttempts > 0 {
			restart += fmt.Sprintf(":%d", *p.MaxAttempts)
		}
	}
	if restart != "" {
		w.put("restart", restart)
	}
	if s.StopSignal != "" && s.StopSignal != "SIGTERM" && s.StopSignal != "15" {
		c.note(append(at, "stop_signal"), "stop_signal %s is left out: a program is ended by SIGTERM", s.StopSignal)
	}
	if s.Platform != "" && s.Platform != "linux/amd64" {
		c.note(append(at, "platform"), "platform %s is left out: machines are amd64", s.Platform)
	}
	for _, l := range s.Links {
		if from, alias, ok := strings.Cut(l, ":"); ok && alias != from {
			c.note(append(at, "links"), "%s has its own name only, not %s", from, alias)
		}
	}
}
