package deploy

import (
	"path/filepath"
	"slices"
	"strings"

	"pith"
)

// differences names what of a machine another revision changes: "image, env,
// /etc/app.conf".
func differences(from, to Instance) string {
	a, b := from.Spec, to.Spec
	var words []string
	differ := func(word string, x, y any) {
		if asJSON(x) != asJSON(y) {
			words = append(words, word)
		}
	}
	if filepath.Base(a.Image.Path) != filepath.Base(b.Image.Path) {
		words = append(words, "image")
	}
	differ("machine", a.Kind, b.Kind)
	differ("args", a.Args, b.Args)
	differ("env", a.Env, b.Env)
	differ("memory", a.Memory, b.Memory)
	differ("cpus", a.CPUs, b.CPUs)
	differ("working_dir", a.Dir, b.Dir)
	differ("forward", a.Forward, b.Forward)
	differ("networks", a.Links, b.Links)
	differ("volumes", a.Mounts, b.Mounts)
	differ("ports", a.Ports, b.Ports)
	return strings.Join(append(words, changedFiles(a.Files, b.Files)...), ", ")
}

// changedFiles are the paths in the machine of what is given otherwise, or no
// longer. A copy's name says what is in it.
func changedFiles(a, b []pith.File) (targets []string) {
	holds := func(list []pith.File, f pith.File) bool {
		return slices.ContainsFunc(list, func(x pith.File) bool {
			return x.Target == f.Target && filepath.Base(x.Source) == filepath.Base(f.Source)
		})
	}
	for _, f := range b {
		if !holds(a, f) {
			targets = append(targets, f.Target)
		}
	}
	for _, f := range a {
		if !holds(b, f) && !slices.Contains(targets, f.Target) {
			targets = append(targets, f.Target)
		}
	}
	return targets
}
