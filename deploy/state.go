package deploy

import (
	"fmt"
	"time"

	"pith"
	"pith/machine"
)

// More statuses than those of health.
const (
	Waiting   Status = "waiting"   // for what it needs
	Running   Status = "running"   // since before: it is looked at, or replaced, in its turn
	Completed Status = "completed" // ended with code 0 and stays so
	Failed    Status = "failed"    // ended, or couldn't be started, and stays so
	Restarts  Status = "restarts"  // ended, and will be started again
)

// State is a deployment as its keeper knows it.
type State struct {
	Keeper     machine.ProcessID        `json:"keeper"`
	Generation int                      `json:"generation"` // of what it works towards
	Instances  map[string]InstanceState `json:"instances"`
}

// InstanceState is one instance as its keeper knows it.
type InstanceState struct {
	Service  string      `json:"service"`
	Status   Status      `json:"status"`
	Since    time.Time   `json:"since"`
	Restarts int         `json:"restarts"`
	Ports    []pith.Port `json:"ports,omitempty"` // with the host ports that were found
	Error    string      `json:"error,omitempty"` // the last thing that was wrong
}

// hopeless is how many restarts an instance may need to become what is wanted.
const hopeless = 3

// Settled tells whether all of a deployment is as it should be, or why it won't.
func (s State) Settled(w *Wanted) (bool, error) {
	if s.Generation != w.Generation {
		return false, nil
	}
	all := true
	for _, i := range w.Instances {
		switch x := s.Instances[i.Name()]; {
		case x.Status == Failed, x.Status == Unhealthy, x.Status == Restarts && x.Restarts >= hopeless:
			return false, &InstanceError{i.Name(), x}
		case x.Status != Healthy && x.Status != Completed:
			all = false
		}
	}
	return all, nil
}

// InstanceError says that an instance is not as it should be.
type InstanceError struct {
	Name  string
	State InstanceState
}

// Error is one sentence.
func (e *InstanceError) Error() string {
	s := e.Name + " is " + string(e.State.Status)
	if e.State.Status == Restarts {
		s = fmt.Sprintf("%s ended %d times", e.Name, e.State.Restarts+1)
	}
	if e.State.Error != "" {
		s += ": " + e.State.Error
	}
	return s
}
