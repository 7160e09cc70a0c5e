package container

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"

	"pith/machine"
	"pith/machine/cgroup"
	"pith/machine/loopmount"
	"pith/machine/stdio"
	"pith/machine/usernet"
)

// container is a machine that runs.
type container struct {
	runc     string
	dir      string
	id       string
	group    *cgroup.Group
	networks usernet.Networks
	volumes  loopmount.Mounts
	pipes    *stdio.Pipes
	cmd      *exec.Cmd // runc run, which stays until the program has ended
	process  machine.ProcessID
	killed   atomic.Bool
	ended    chan struct{} // closed when runc was waited for
	waitErr  error
}

// abandon takes back what a start that failed has made.
func (c *container) abandon() {
	c.remove() // the start's own error matters more
	if c.cmd != nil && c.cmd.Process != nil {
		c.cmd.Process.Kill()
		<-c.ended
	}
	c.networks.Close()
	c.volumes.Close()
	if c.pipes != nil {
		c.pipes.Close()
	}
}

// remove ends the container if it is there and takes its group away.
func (c *container) remove() error {
	if _, err := os.Stat(filepath.Join(c.dir, "runc", c.id)); err == nil {
		if out, err := c.command("delete", "--force", c.id).CombinedOutput(); err != nil {
			return fmt.Errorf("remove container %s: %w: %s", c.id, err, out)
		}
	}
	return c.group.Remove()
}

// Process identifies the program's process on the host.
func (c *container) Process() machine.ProcessID { return c.process }

// Signal hands a signal to the program.
func (c *container) Signal(number int) error {
	if !c.process.Alive() {
		return fmt.Errorf("signal %d: the container has ended", number)
	}
	if err := syscall.Kill(c.process.PID, syscall.Signal(number)); err != nil {
		return fmt.Errorf("signal %d: %w", number, err)
	}
	return nil
}

// Debug is not there: the host's own debuggers work.
func (c *container) Debug(string) error { return errDebug }

// Kill ends the program at once; runc ends with it.
func (c *container) Kill() error {
	c.killed.Store(true)
	return c.process.Kill()
}

// Wait returns when the container has ended, and takes away all that was made
// for it.
func (c *container) Wait() machine.Exit {
	<-c.ended
	c.pipes.Wait()
	c.networks.Close()
	exit := c.exit()
	if err := c.remove(); err != nil {
		exit.Err = errors.Join(exit.Err, err)
	}
	exit.Err = errors.Join(exit.Err, c.volumes.Close())
	return exit
}

// exit reads runc's exit code, which is the program's, or 128 and the number of
// the signal that ended it.
func (c *container) exit() machine.Exit {
	code := c.cmd.ProcessState.ExitCode()
	switch {
	case code < 0:
		return machine.Exit{Code: machine.ExitFailure, Err: fmt.Errorf("runc was ended from outside: %w", c.waitErr)}
	case c.killed.Load():
		return machine.Exit{Code: machine.ExitKilled}
	case code == machine.ExitKilled && c.group.OutOfMemory():
		return machine.Exit{Code: code, Err: machine.ErrMemory}
	default:
		return machine.Exit{Code: code}
	}
}
