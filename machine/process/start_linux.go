package process

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"pith/machine"
	"pith/machine/cgroup"
	"pith/machine/netns"
	"pith/machine/stdio"
	"pith/machine/usernet"
)

// Start starts the process and returns when the program has begun.
func (d *Driver) Start(l machine.Launch) (_ machine.Running, err error) {
	if l.Spec.Image == nil {
		return nil, errors.New("BUG: a machine without an image")
	}
	p := &process{ended: make(chan struct{})}
	defer func() {
		if err != nil {
			p.abandon()
		}
	}()
	if d.host.Root && cgroup.Writable() {
		p.group = Group(l.Dir, l.Spec.Name)
		if err := p.group.Create(cgroup.Limits{Memory: l.Spec.Memory, CPUs: l.Spec.CPUs}); err != nil {
			return nil, err
		}
	}
	program, err := os.Open(l.Spec.Image.Path)
	if err != nil {
		return nil, fmt.Errorf("open the program: %w", err)
	}
	defer program.Close()
	if p.pipes, err = stdio.Open(l.Input != nil); err != nil {
		return nil, err
	}
	control, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer control.Close()
	shares := folders(l, d.host.Root)
	mounts, err := p.handOver(shares, l.Disks)
	if err != nil {
		return nil, errors.Join(err, theirs.Close())
	}
	p.cmd = stageCommand(d.host.Root, p.pipes, append([]*os.File{theirs, program}, mounts...))
	err = p.exec()
	theirs.Close()
	closeAll(mounts)
	if err != nil {
		return nil, fmt.Errorf("start the process: %w", explain(err))
	}
	if err := p.enter(l, shares, control); err != nil {
		return nil, err
	}
	p.pipes.Begin(l.Input, l.Console)
	go netns.WatchPorts(p.id.PID, l.Spec.Ports, p.ended, func(protocol string, port uint16) {
		l.Notify(machine.ListenMessage(protocol, port))
	})
	return p, nil
}

// Group is the control group of the machine in a driver's folder.
func Group(dir, name string) *cgroup.Group {
	sum := sha256.Sum256([]byte(dir))
	return cgroup.At(fmt.Sprintf("%s-%x", name, sum[:4]))
}

// Clean takes away what a machine whose supervisor was killed left behind.
func (d *Driver) Clean(dir string, s machine.Spec) error {
	if !d.host.Root {
		return nil
	}
	return Group(dir, s.Name).Remove()
}

// stageCommand is this program itself, in new namespaces in which it is root and
// outside of which it is nobody. The files are its descriptors from controlFD on.
func stageCommand(root bool, pipes *stdio.Pipes, files []*os.File) *exec.Cmd {
	user, group := os.Getuid(), os.Getgid()
	if root {
		user, group = Nobody, Nobody
	}
	c := exec.Command("/proc/self/exe")
	c.Args = []string{stageName}
	c.Env = []string{}
	c.Dir = "/"
	c.Stdin, c.Stdout, c.Stderr = pipes.Input, pipes.Output, pipes.Output
	c.ExtraFiles = files
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC |
			syscall.CLONE_NEWUTS | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: user, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: group, Size: 1}},
		Credential:  &syscall.Credential{NoSetGroups: true},
		Setsid:      true,            // no terminal
		Pdeathsig:   syscall.SIGKILL, // it ends with its supervisor
	}
	return c
}

func explain(err error) error {
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EUSERS) {
		return fmt.Errorf("this host does not let this user make namespaces (%w): run pith as root, or use --machine unikernel", err)
	}
	return err
}

// exec starts the stage on a thread of its own: the kernel takes the death of
// the thread that started a child for the death of its parent.
func (p *process) exec() error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		if err == nil {
			p.id, err = machine.Identify(p.cmd.Process.Pid)
		}
		started <- err
		if p.cmd.Process != nil {
			p.waitErr = p.cmd.Wait()
		}
		close(p.ended)
	}()
	return <-started
}

// enter puts the stage into its group and networks, and has it become the
// program.
func (p *process) enter(l machine.Launch, shares []folder, control *net.UnixConn) error {
	if p.group != nil {
		if err := p.group.Join(p.id.PID); err != nil {
			return err
		}
	}
	j, err := newJob(l, shares, p.group != nil)
	if err != nil {
		return err
	}
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", p.id.PID))
	if err != nil {
		return fmt.Errorf("start the process: %w", err)
	}
	defer ns.Close()
	if err := netns.Connect(j.Plans, ns, l.Spec.Name); err != nil {
		return err
	}
	taps, err := j.give(control)
	if err != nil {
		return err
	}
	defer closeAll(taps)
	p.networks, err = usernet.Serve(taps, l.Cards)
	return err
}

// socketPair is a connection and the file of its other end.
func socketPair() (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	ours := os.NewFile(uintptr(fds[0]), "control")
	defer ours.Close() // FileConn makes its own copy
	theirs := os.NewFile(uintptr(fds[1]), "control")
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return conn.(*net.UnixConn), theirs, nil
}
