package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"

	"pith/machine"
	"pith/machine/cgroup"
	"pith/machine/loopmount"
	"pith/machine/stdio"
	"pith/machine/usernet"
)

// process is a machine that runs.
type process struct {
	cmd      *exec.Cmd
	id       machine.ProcessID
	pipes    *stdio.Pipes
	group    *cgroup.Group // nil where none could be made
	networks usernet.Networks
	volumes  loopmount.Mounts
	killed   atomic.Bool
	ended    chan struct{} // closed when the process was waited for
	waitErr  error
}

// abandon takes back what a start that failed has made.
func (p *process) abandon() {
	if p.cmd != nil && p.cmd.Process != nil {
		p.cmd.Process.Kill()
		<-p.ended
	}
	p.networks.Close()
	p.volumes.Close() // the start's own error matters more, here and below
	if p.pipes != nil {
		p.pipes.Close()
	}
	if p.group != nil {
		p.group.Remove()
	}
}

// Process identifies the program's process.
func (p *process) Process() machine.ProcessID { return p.id }

// Signal hands a signal to the program.
func (p *process) Signal(number int) error {
	if err := p.cmd.Process.Signal(syscall.Signal(number)); err != nil {
		return fmt.Errorf("signal %d: %w", number, err)
	}
	return nil
}

// Debug is not there: the host's own debuggers work.
func (p *process) Debug(string) error { return errDebug }

// Kill ends the process at once.
func (p *process) Kill() error {
	p.killed.Store(true)
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill the process: %w", err)
	}
	return nil
}

// Wait returns when the process has ended, and takes away all that was made for
// it.
func (p *process) Wait() machine.Exit {
	<-p.ended
	p.pipes.Wait()
	p.networks.Close()
	exit := p.exit()
	exit.Err = errors.Join(exit.Err, p.volumes.Close())
	if p.group != nil {
		exit.Err = errors.Join(exit.Err, p.group.Remove())
	}
	return exit
}

func (p *process) exit() machine.Exit {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case !ok:
		return machine.Exit{Code: machine.ExitFailure, Err: p.waitErr}
	case status.Exited():
		return machine.Exit{Code: status.ExitStatus()}
	case p.killed.Load():
		return machine.Exit{Code: machine.ExitKilled}
	case p.group != nil && p.group.OutOfMemory():
		return machine.Exit{Code: machine.ExitKilled, Err: machine.ErrMemory}
	default:
		return machine.Exit{Code: 128 + int(status.Signal()), Err: fmt.Errorf("the process was ended from outside: %v", status.Signal())}
	}
}
