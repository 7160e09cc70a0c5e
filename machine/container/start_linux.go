package container

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pith"
	"pith/machine"
	"pith/machine/cgroup"
	"pith/machine/netns"
	"pith/machine/process"
	"pith/machine/stdio"
	"pith/machine/usernet"
)

// Check refuses what runc, or this host, can't do.
func (d *Driver) Check(s machine.Spec) error {
	if _, err := d.Find(); err != nil {
		return err
	}
	switch {
	case !d.host.Root:
		return pith.Errorf("a container needs root: use sudo, or --machine process, which needs no rights")
	case cgroup.Version() == 0:
		return pith.Errorf("this host has no control groups mounted at /sys/fs/cgroup, which a container needs")
	case s.Paused:
		return errDebug
	}
	return process.CheckShared(d.host, s, "container")
}

// startTime bounds how long runc may take to start a container.
const startTime = time.Minute

// Start starts the container and returns when its program has begun.
func (d *Driver) Start(l machine.Launch) (_ machine.Running, err error) {
	path, err := d.Find()
	if err != nil {
		return nil, err
	}
	if l.Spec.Image == nil {
		return nil, errors.New("BUG: a machine without an image")
	}
	id := identity(l.Dir, l.Spec.Name)
	c := &container{
		runc: path, dir: l.Dir, id: id, group: cgroup.At(id), ended: make(chan struct{}),
	}
	defer func() {
		if err != nil {
			c.abandon()
		}
	}()
	ns, err := c.network(l)
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	// runc opens the namespace by its path before this process lets go of it.
	place := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.Fd())
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return nil, err
	}
	if err := writeBundle(l.Dir, l, files.Max, place, "/pith/"+id); err != nil {
		return nil, err
	}
	if c.pipes, err = stdio.Open(l.Input != nil); err != nil {
		return nil, err
	}
	if err := c.mount(l); err != nil {
		return nil, err
	}
	if err := c.run(); err != nil {
		return nil, err
	}
	c.pipes.Begin(l.Input, l.Console)
	go netns.WatchPorts(c.process.PID, l.Spec.Ports, c.ended, func(protocol string, port uint16) {
		l.Notify(machine.ListenMessage(protocol, port))
	})
	return c, nil
}

// network makes the container's network namespace and joins it to its
// networks.
func (c *container) network(l machine.Launch) (*os.File, error) {
	ns, err := netns.New()
	if err != nil {
		return nil, err
	}
	plans := netns.Plans(l.Cards, l.Spec.Forward)
	if err := netns.Connect(plans, ns, l.Spec.Name); err != nil {
		ns.Close()
		return nil, err
	}
	var taps []*os.File
	err = netns.Do(ns, func() error {
		taps, err = netns.Configure(plans)
		return err
	})
	if err == nil {
		c.networks, err = usernet.Serve(taps, l.Cards)
	}
	for _, t := range taps {
		t.Close()
	}
	if err != nil {
		ns.Close()
		return nil, err
	}
	return ns, nil
}

// mount mounts the volumes, and makes the folders where only runc will find them.
func (c *container) mount(l machine.Launch) (err error) {
	for i, m := range l.Spec.Mounts {
		if m.Volume == "" {
			continue
		}
		if err := os.MkdirAll(volumePlace(c.dir, i), 0o700); err != nil {
			return err
		}
	}
	c.volumes, err = process.MountVolumes(l.Disks)
	return err
}

// run starts runc (1.1 or newer, for --keep: the group tells whether memory ran
// out) and waits until the program runs, or has failed to.
func (c *container) run() error {
	log := filepath.Join(c.dir, "runc.log")
	pidFile := filepath.Join(c.dir, "pid")
	c.cmd = c.command("--log", log, "--log-format", "text", "run", "--keep", "--bundle", c.dir, "--pid-file", pidFile, c.id)
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = c.pipes.Input, c.pipes.Output, c.pipes.Output
	place := func(i int) string { return volumePlace(c.dir, i) }
	if err := c.volumes.Private(place, c.cmd.Start); err != nil {
		return fmt.Errorf("start runc: %w", err)
	}
	c.volumes.Handed()
	go func() {
		c.waitErr = c.cmd.Wait()
		close(c.ended)
	}()
	for begin := time.Now(); time.Since(begin) < startTime; time.Sleep(5 * time.Millisecond) {
		ended := isClosed(c.ended) // asked before the file is looked at
		if text, err := os.ReadFile(pidFile); err == nil && len(text) > 0 {
			return c.found(string(text))
		}
		if ended {
			return fmt.Errorf("start the container: %s", reason(log, c.waitErr))
		}
	}
	return errors.New("start the container: runc takes longer than a minute")
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// found identifies the program's process; one that has ended already needs
// no identity.
func (c *container) found(text string) error {
	pid, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		return fmt.Errorf("start the container: runc says %q for a process", text)
	}
	if c.process, err = machine.Identify(pid); err != nil {
		c.process = machine.ProcessID{}
	}
	return nil
}

// reason is what runc wrote into its log last.
func reason(log string, err error) string {
	text, readErr := os.ReadFile(log)
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	if readErr != nil || len(lines[len(lines)-1]) == 0 {
		return fmt.Sprintf("runc failed: %v", err)
	}
	return string(lines[len(lines)-1])
}

// command calls runc; its state is in the machine's folder.
func (c *container) command(args ...string) *exec.Cmd {
	cmd := exec.Command(c.runc, append([]string{"--root", filepath.Join(c.dir, "runc")}, args...)...)
	cmd.Dir = c.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal
	return cmd
}

// Clean takes away what a container whose supervisor was killed left behind.
func (d *Driver) Clean(dir string, s machine.Spec) error {
	path, err := d.Find()
	if err != nil {
		return err
	}
	id := identity(dir, s.Name)
	c := &container{runc: path, dir: dir, id: id, group: cgroup.At(id)}
	return c.remove()
}
