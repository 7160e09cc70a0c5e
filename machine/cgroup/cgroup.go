// Package cgroup limits what a process of the host may use.
//
// It relies on Linux's control groups as the host has mounted them: version 2
// (Documentation/admin-guide/cgroup-v2.rst) or version 1
// (Documentation/admin-guide/cgroup-v1). It must not touch a group that is not
// below "pith", nor the mounts.
package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// root is where hosts mount control groups.
const root = "/sys/fs/cgroup"

// parent is the group that all of ours are in.
const parent = "pith"

// maxTasks bounds a machine's threads.
const maxTasks = 4096

// Limits are a machine's.
type Limits struct {
	Memory int64 // bytes
	CPUs   int
}

// Group is one machine's group.
type Group struct {
	root string
	name string
	v2   bool
}

// At describes the group of a name, which need not exist.
func At(name string) *Group { return at(root, name) }

func at(root, name string) *Group {
	_, err := os.Stat(filepath.Join(root, "cgroup.controllers"))
	return &Group{root: root, name: name, v2: err == nil}
}

// Version is 1 or 2, as this host has it; 0 where it has none.
func Version() int {
	switch {
	case exists(filepath.Join(root, "cgroup.controllers")):
		return 2
	case exists(filepath.Join(root, "memory", "memory.usage_in_bytes")):
		return 1
	default:
		return 0
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Writable reports whether this user may make groups.
func Writable() bool {
	dir := root
	if Version() == 1 {
		dir = filepath.Join(root, "memory")
	}
	return Version() > 0 && syscall.Access(dir, 2) == nil
}

// controllers are those that a machine's limits need.
var controllers = []string{"memory", "cpu", "pids"}

// dir is the group's folder for a controller.
func (g *Group) dir(controller string) string {
	if g.v2 {
		return filepath.Join(g.root, parent, g.name)
	}
	return filepath.Join(g.root, controller, parent, g.name)
}

// Create makes the group with its limits.
func (g *Group) Create(l Limits) error {
	for _, c := range controllers {
		if err := os.MkdirAll(g.dir(c), 0o755); err != nil {
			return fmt.Errorf("control group: %w", err)
		}
	}
	if g.v2 {
		if err := g.delegate(); err != nil {
			return err
		}
	}
	for _, s := range g.settings(l) {
		if err := os.WriteFile(filepath.Join(g.dir(s.controller), s.file), []byte(s.value), 0o644); err != nil {
			return fmt.Errorf("control group: %w", err)
		}
	}
	return nil
}

// delegate hands the controllers down to the group's level.
func (g *Group) delegate() error {
	for _, dir := range []string{g.root, filepath.Join(g.root, parent)} {
		text := "+" + strings.Join(controllers, " +")
		if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte(text), 0o644); err != nil {
			return fmt.Errorf("control group: %w", err)
		}
	}
	return nil
}

type setting struct{ controller, file, value string }

// period is what a share of CPU time is counted over, in microseconds.
const period = 100_000

func (g *Group) settings(l Limits) []setting {
	if g.v2 {
		return []setting{
			{"memory", "memory.max", fmt.Sprint(l.Memory)},
			{"cpu", "cpu.max", fmt.Sprintf("%d %d", l.CPUs*period, period)},
			{"pids", "pids.max", fmt.Sprint(maxTasks)},
		}
	}
	return []setting{
		{"memory", "memory.limit_in_bytes", fmt.Sprint(l.Memory)},
		{"cpu", "cpu.cfs_period_us", fmt.Sprint(period)},
		{"cpu", "cpu.cfs_quota_us", fmt.Sprint(l.CPUs * period)},
		{"pids", "pids.max", fmt.Sprint(maxTasks)},
	}
}

// Join moves a process into the group.
func (g *Group) Join(pid int) error {
	for _, c := range controllers {
		if err := os.WriteFile(filepath.Join(g.dir(c), "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644); err != nil {
			return fmt.Errorf("control group: %w", err)
		}
		if g.v2 {
			break
		}
	}
	return nil
}

// OutOfMemory reports whether the kernel has killed in this group because its
// memory ran out.
func (g *Group) OutOfMemory() bool {
	file := "memory.oom_control"
	if g.v2 {
		file = "memory.events"
	}
	text, err := os.ReadFile(filepath.Join(g.dir("memory"), file))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if count, ok := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); ok {
			return count != "0"
		}
	}
	return false
}

// removeTime bounds how long the kernel may take to let go of a group whose
// processes have ended.
const removeTime = 5 * time.Second

// Remove takes the group away; one that is not there is no error. The group
// above goes with the last one in it.
func (g *Group) Remove() error {
	var errs []error
	for _, dir := range g.folders() {
		errs = append(errs, removeFolder(dir))
		os.Remove(filepath.Dir(dir)) // fails while another machine has its group there
	}
	return errors.Join(errs...)
}

// folders are all in which the group may be: an OCI runtime makes it for
// controllers that we have no use for, too.
func (g *Group) folders() []string {
	if g.v2 {
		return []string{g.dir("")}
	}
	found, err := filepath.Glob(filepath.Join(g.root, "*", parent))
	if err != nil {
		return nil
	}
	for i, dir := range found {
		found[i] = filepath.Join(dir, g.name)
	}
	return found
}

func removeFolder(dir string) error {
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		err := syscall.Rmdir(dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != syscall.EBUSY || time.Since(begin) > removeTime {
			return fmt.Errorf("remove control group %s: %w", dir, err)
		}
	}
}
