package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pith"
	"pith/machine"
)

// care is what a keeper does for one instance.
type care struct {
	Instance
	keeper *Keeper
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{} // closed when run has returned
	turn   func()        // gives back the turn to be replaced; nil: it has none
}

func newCare(ctx context.Context, k *Keeper, i Instance) *care {
	ctx, cancel := context.WithCancel(ctx)
	return &care{Instance: i, keeper: k, ctx: ctx, cancel: cancel, done: make(chan struct{})}
}

// end stops to care. The machine runs on.
func (c *care) end() {
	c.cancel()
	<-c.done
}

// busy tells whether there is still something to care for.
func (c *care) busy() bool {
	select {
	case <-c.done:
		return c.keeper.status(c.Name()) == Completed
	default:
		return true
	}
}

func (c *care) set(s Status, err error) {
	if s != Waiting && s != Starting {
		c.giveTurn()
	}
	c.keeper.set(c.Name(), func(x *InstanceState) {
		x.Status = s
		x.Error = ""
		if err != nil {
			x.Error = err.Error()
		}
	})
}

// run cares until the context ends, or the instance has ended for good.
func (c *care) run() {
	defer close(c.done)
	defer c.giveTurn()
	ports, err := c.keeper.open(c.Instance)
	if err != nil {
		c.set(Failed, err)
		return
	}
	c.keeper.set(c.Name(), func(x *InstanceState) { x.Ports = ports })
	if err := c.keeper.await(c.ctx, c.Needs); err != nil {
		return
	}
	var wait backoff
	for c.ctx.Err() == nil {
		began := time.Now()
		exit := c.live(wait.row)
		if c.ctx.Err() != nil {
			return
		}
		if exit.sick {
			wait.lived(exit.healthy)
		} else {
			wait.lived(time.Since(began))
		}
		if !again(c.Restart, exit, wait.row) {
			c.rest(exit)
			return
		}
		c.set(Restarts, exit.why())
		if !sleep(c.ctx, wait.next()) {
			return
		}
		c.keeper.set(c.Name(), func(x *InstanceState) { x.Restarts++ })
	}
}

// rest notes an end that nothing follows.
func (c *care) rest(e exit) {
	if e.code == 0 && e.err == nil {
		c.set(Completed, nil)
		return
	}
	c.set(Failed, e.why())
}

// exit is how an instance ended: by itself, because it couldn't be started, or
// because it was sick and so was ended.
type exit struct {
	code    int
	err     error
	sick    bool
	healthy time.Duration // of a sick one: for how long it was healthy
}

func (e exit) why() error {
	if e.err != nil {
		return e.err
	}
	return fmt.Errorf("it ended with exit code %d", e.code)
}

// live starts the machine, or finds it running, and returns when it has ended. It
// ends one that is unhealthy if its policy then starts another, after row in a row.
func (c *care) live(row int) exit {
	if err := c.takeTurn(); err != nil {
		return exit{code: machine.ExitFailure, err: err}
	}
	c.set(Starting, nil)
	e, err := c.machine()
	if err != nil {
		return exit{code: machine.ExitFailure, err: err}
	}
	ended := make(chan exit, 1)
	go func() { ended <- c.wait(e) }()
	health := newWatch(c, e.State().Started)
	defer health.stop()
	for {
		select {
		case x := <-ended:
			return x
		case <-health.due():
			why := health.ask()
			x := exit{code: machine.ExitFailure, err: why, sick: true, healthy: health.wasHealthy()}
			if health.status != Unhealthy || c.ctx.Err() != nil || !again(c.Restart, x, row) {
				continue
			}
			c.keeper.Log.Info("ended because it is unhealthy", "instance", c.Name(), "error", why)
			if _, err := e.Remote().Stop(context.WithoutCancel(c.ctx), Grace); err != nil {
				c.keeper.Log.Error("can't be ended", "instance", c.Name(), "error", err)
			}
			<-ended
			return x
		}
	}
}

// wait returns when the machine has ended or the context has.
func (c *care) wait(e *machine.Entry) exit {
	for {
		code, err := e.Remote().Wait(c.ctx)
		if err == nil || c.ctx.Err() != nil {
			return exit{code: code, err: why(e)}
		}
		if !sleep(c.ctx, 100*time.Millisecond) { // its supervisor listens in a moment
			return exit{}
		}
	}
}

// why is what its supervisor says of a machine's end.
func why(e *machine.Entry) error {
	if s := e.State(); s.Error != "" {
		return errors.New(s.Error)
	}
	return nil
}

// machine is the instance's machine, which runs or has completed. One of another
// revision makes place for it, and so does one that has ended otherwise.
func (c *care) machine() (*machine.Entry, error) {
	e, err := c.keeper.Store.Find(c.Name())
	if err == nil {
		s := e.State()
		if e.Spec.Revision == c.Spec.Revision && (s.Status == machine.StatusRunning || c.completed(s)) {
			return e, nil
		}
		if err := c.keeper.retire(c.ctx, e); err != nil {
			return nil, err
		}
	}
	spec := c.Spec
	spec.Created = time.Now()
	if spec.Ports, err = machine.FreePorts(spec.Ports); err != nil {
		return nil, err
	}
	if e, err = c.keeper.Store.Create(spec); err != nil {
		return nil, err
	}
	if err := c.keeper.Start(e); err != nil {
		return nil, errors.Join(err, e.Discard())
	}
	c.keeper.Log.Info("started", "instance", c.Name())
	return e, nil
}

// completed tells whether a machine has ended well and is not to run again.
func (c *care) completed(s machine.State) bool {
	return s.Status == machine.StatusExited && s.ExitCode == 0 && s.Error == "" && !again(c.Restart, exit{}, 0)
}

// again tells whether a policy starts an instance that has ended, after it was
// started again row times in a row.
func again(p pith.RestartPolicy, e exit, row int) bool {
	switch p.When {
	case pith.RestartAlways, pith.RestartUnlessStopped:
		return true
	case pith.RestartOnFailure:
		return (e.code != 0 || e.err != nil) && (p.Max == 0 || row < p.Max)
	}
	return false
}
