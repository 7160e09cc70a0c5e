package deploy

import (
	"context"
	"sync"

	"pith/machine"
)

// turns lets the instances of a service that run be replaced one after another, each
// when the one before is healthy, so that the others do the work meanwhile.
type turns struct {
	mu sync.Mutex
	of map[string]chan struct{} // by service: holds one token while a replica has the turn
}

// take waits for a service's turn; give hands it on.
func (t *turns) take(ctx context.Context, service string) (give func(), err error) {
	t.mu.Lock()
	if t.of == nil {
		t.of = map[string]chan struct{}{}
	}
	turn, ok := t.of[service]
	if !ok {
		turn = make(chan struct{}, 1)
		t.of[service] = turn
	}
	t.mu.Unlock()
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// takeTurn waits until the instance may be replaced, if it runs and has to be.
func (c *care) takeTurn() (err error) {
	e, err := c.keeper.Store.Find(c.Name())
	if err != nil || e.Spec.Revision == c.Spec.Revision || e.State().Status != machine.StatusRunning {
		return nil
	}
	c.turn, err = c.keeper.turns.take(c.ctx, c.Service)
	return err
}

func (c *care) giveTurn() {
	if c.turn != nil {
		c.turn()
		c.turn = nil
	}
}
