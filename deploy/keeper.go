package deploy

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"sync"
	"time"

	"pith"
	"pith/machine"
)

// Keeper keeps a deployment as it is wanted: it starts instances when what they
// need is there, asks them for their health, starts them again by their policy,
// and forwards ports. It leaves the machines running when it ends, and finds them
// when it comes back.
type Keeper struct {
	Folder Folder
	Store  *machine.Store
	Start  func(*machine.Entry) error // starts a machine that was made
	Settle func(*machine.Entry) error // takes away what a machine left whose supervisor was killed
	Dial   Dial                       // from inside the deployment's networks
	Listen Listen                     // inside them; the zero one where there are none
	Log    *slog.Logger

	wanted *Wanted
	cares  map[string]*care
	turns  turns
	names  map[netip.AddrPort]*nameServer

	portsMu sync.Mutex
	ports   map[string]*publication // by instance

	mu    sync.Mutex
	state State
	// machines counts, by instance, the machines that it has had.
	machines map[string]int
	follows  *Wanted       // what state is about
	changed  chan struct{} // closed when the state changes
}

// Run works until the context ends. A word on reload makes it read what is
// wanted. Ready is called once it keeps what was wanted at first.
func (k *Keeper) Run(ctx context.Context, reload <-chan os.Signal, ready func()) error {
	self, err := machine.Self()
	if err != nil {
		return err
	}
	k.state = State{Keeper: self, Instances: map[string]InstanceState{}}
	k.changed, k.machines = make(chan struct{}), map[string]int{}
	k.cares, k.ports, k.names = map[string]*care{}, map[string]*publication{}, map[netip.AddrPort]*nameServer{}
	defer k.closeNames()
	defer k.closePorts(nil)
	if err := k.follow(ctx); err != nil {
		return err
	}
	ready()
	for {
		select {
		case <-ctx.Done():
			for _, c := range k.cares {
				c.end()
			}
			return nil
		case <-reload:
			if err := k.follow(ctx); err != nil {
				k.Log.Error("what is wanted can't be read: all stays as it is", "error", err)
			}
		}
	}
}

// follow reads what is wanted and works towards it from now on.
func (k *Keeper) follow(ctx context.Context) error {
	w, err := k.Folder.Wanted()
	if err != nil {
		return err
	}
	if w == nil {
		return fmt.Errorf("nothing is wanted")
	}
	k.wanted = w
	for name, c := range k.cares {
		i := w.Instance(name)
		if i != nil && asJSON(*i) == asJSON(c.Instance) && c.busy() {
			continue
		}
		c.end()
		delete(k.cares, name)
	}
	k.closePorts(w)
	if err := k.removeStrangers(ctx); err != nil {
		return err
	}
	if err := k.freeVolumes(ctx); err != nil {
		return err
	}
	k.begin(ctx)
	return nil
}

// begin takes care of all instances that nobody takes care of.
func (k *Keeper) begin(ctx context.Context) {
	k.mu.Lock()
	old := k.state.Instances
	k.state.Instances, k.state.Generation, k.follows = map[string]InstanceState{}, k.wanted.Generation, k.wanted
	var fresh []*care
	for _, i := range k.wanted.Instances {
		if k.cares[i.Name()] != nil {
			k.state.Instances[i.Name()] = old[i.Name()]
			continue
		}
		status := Waiting
		if e, err := k.Store.Find(i.Name()); err == nil && e.State().Status == machine.StatusRunning {
			status = Running
		}
		k.state.Instances[i.Name()] = InstanceState{Service: i.Service, Status: status, Since: time.Now()}
		c := newCare(ctx, k, i)
		k.cares[i.Name()] = c
		fresh = append(fresh, c)
	}
	k.publish()
	k.mu.Unlock()
	k.serveNames()
	for _, c := range fresh {
		go c.run()
	}
}

// known is what is wanted, and the states of its instances.
func (k *Keeper) known() (*Wanted, map[string]InstanceState) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.follows, maps.Clone(k.state.Instances)
}

func (k *Keeper) status(name string) Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state.Instances[name].Status
}

// set changes an instance's state.
func (k *Keeper) set(name string, change func(*InstanceState)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, ok := k.state.Instances[name]
	if !ok {
		return // it is wanted no longer
	}
	before := s.Status
	change(&s)
	if s.Status != before {
		if s.Since = time.Now(); s.Status == Starting {
			k.machines[name]++
		}
		k.Log.Info("is", "instance", name, "status", s.Status, "error", s.Error)
	}
	k.state.Instances[name] = s
	k.publish()
}

// publish writes the state down and wakes who waits for it; mu is held.
func (k *Keeper) publish() {
	if err := k.Folder.setState(k.state); err != nil {
		k.Log.Error("the state can't be written", "error", err)
	}
	close(k.changed)
	k.changed = make(chan struct{})
}

// await waits until an instance's needs are there.
func (k *Keeper) await(ctx context.Context, needs []pith.Dependency) error {
	for {
		k.mu.Lock()
		met, changed := k.met(needs), k.changed
		k.mu.Unlock()
		if met {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// met tells whether all instances of the needed services have got so far.
func (k *Keeper) met(needs []pith.Dependency) bool {
	for _, n := range needs {
		for _, s := range k.state.Instances {
			if s.Service == n.Service && !reached(s.Status, n.Condition) {
				return false
			}
		}
	}
	return true
}

func reached(s Status, c pith.Condition) bool {
	switch c {
	case pith.Healthy:
		return s == Healthy
	case pith.Completed:
		return s == Completed
	default:
		return s != Waiting && s != Failed
	}
}
