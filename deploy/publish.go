package deploy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"pith"
	"pith/machine"
)

// holdTime is how long a client waits for an instance that is being replaced or
// started again; then it is refused.
const holdTime = time.Minute

// publication is an instance's ports on the host. It outlives the machine behind it:
// who connects while that is replaced waits for the next one.
type publication struct {
	of     string // what it was made for
	opened []pith.Port
	stop   func()
	asking atomic.Int64 // what was passed on and is not answered
}

func publicationOf(i Instance) string { return asJSON(i.Ports) + i.Address.String() }

// open publishes an instance's ports, unless they are already.
func (k *Keeper) open(i Instance) ([]pith.Port, error) {
	k.portsMu.Lock()
	defer k.portsMu.Unlock()
	if p := k.ports[i.Name()]; p != nil {
		return p.opened, nil // follow has closed those of another kind
	}
	p := &publication{of: publicationOf(i)}
	hold := func(ctx context.Context, begin func()) (int, error) { return k.hold(ctx, i.Name(), begin) }
	var err error
	if p.opened, p.stop, err = Forward(i.Ports, i.Address, k.reach(i), hold, &p.asking); err != nil {
		return nil, err
	}
	k.ports[i.Name()] = p
	return p.opened, nil
}

// closePorts closes the ports of instances that are gone from what is wanted, or
// are to have others.
func (k *Keeper) closePorts(wanted *Wanted) {
	k.portsMu.Lock()
	defer k.portsMu.Unlock()
	for name, p := range k.ports {
		if i := wanted.Instance(name); i == nil || publicationOf(*i) != p.of {
			p.stop()
			delete(k.ports, name)
		}
	}
}

// hold waits while an instance is between two machines. Begin is called under the lock
// under which the next one's turn would begin.
func (k *Keeper) hold(ctx context.Context, name string, begin func()) (machine int, err error) {
	ctx, cancel := context.WithTimeout(ctx, holdTime)
	defer cancel()
	for {
		k.mu.Lock()
		s, changed, machine := k.state.Instances[name].Status, k.changed, k.machines[name]
		if s != Waiting && s != Starting && s != Restarts {
			begin()
			k.mu.Unlock()
			return machine, nil
		}
		k.mu.Unlock()
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-changed:
		}
	}
}

// asking is how much of what came to an instance's ports waits for an answer.
func (k *Keeper) asking(name string) int64 {
	k.portsMu.Lock()
	defer k.portsMu.Unlock()
	if p := k.ports[name]; p != nil {
		return p.asking.Load()
	}
	return 0
}

// reach connects to an instance: at its address, or where that is the host's own
// because the driver's user network hides the machine, by the port that its machine
// has got there.
func (k *Keeper) reach(i Instance) Dial {
	switch {
	case i.Lab():
		return k.Dial
	case !i.Address.IsLoopback():
		return new(net.Dialer).DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return nil, err
		}
		e, err := k.Store.Find(i.Name())
		if err != nil {
			return nil, err
		}
		if ok, err := e.Remote().Listens(ctx, network, to.Port()); err != nil || !ok {
			return nil, errors.Join(fmt.Errorf("%s doesn't listen at %s/%d yet", i.Name(), network, to.Port()), err)
		}
		for _, p := range e.Spec.Ports {
			if p.Guest == to.Port() && p.Protocol == network {
				return new(net.Dialer).DialContext(ctx, network, p.Host.String())
			}
		}
		return nil, fmt.Errorf("port %d/%s of %s is not reachable from the host", to.Port(), network, i.Name())
	}
}

// hidden are the ports that a machine in the driver's user network has on the host,
// for those that are published and for its health check: free ones.
func hidden(ports []pith.Port, h *pith.HealthCheck) (all []pith.Port) {
	loopback := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)
	seen := map[pith.Port]bool{}
	add := func(protocol string, guest uint16) {
		p := pith.Port{Protocol: protocol, Host: loopback, Guest: guest}
		if !seen[p] {
			seen[p] = true
			all = append(all, p)
		}
	}
	for _, p := range ports {
		add(p.Protocol, p.Guest)
	}
	switch {
	case h == nil:
	case h.Kind == pith.ProbeUDP, h.Kind == pith.ProbeDNS:
		add(machine.UDP, h.Port)
	default:
		add(machine.TCP, h.Port)
	}
	return all
}
