package deploy

import (
	"context"
	"slices"
	"time"

	"pith"
	"pith/machine"
)

// removeStrangers ends the deployment's machines that are no longer wanted.
func (k *Keeper) removeStrangers(ctx context.Context) error {
	machines, err := Machines(k.Store, k.wanted.Name)
	if err != nil {
		return err
	}
	for _, e := range machines {
		if k.wanted.Instance(e.Spec.Name) != nil {
			continue
		}
		if err := k.end(ctx, e); err != nil {
			return err
		}
		k.Log.Info("removed", "instance", e.Spec.Name)
	}
	return nil
}

// freeVolumes ends the machines that have volumes and are to be replaced: another
// instance may be waiting for one.
func (k *Keeper) freeVolumes(ctx context.Context) error {
	for _, i := range k.wanted.Instances {
		e, err := k.Store.Find(i.Name())
		owns := func(m pith.Mount) bool { return m.Volume != "" }
		if err != nil || !slices.ContainsFunc(e.Spec.Mounts, owns) || e.Spec.Revision == i.Spec.Revision {
			continue
		}
		k.set(i.Name(), func(x *InstanceState) { x.Status = Waiting })
		if err := k.retire(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// A machine that is to be replaced runs on after new connections are held back: for
// quiet, so that who has come by another way is served, and until all that its ports
// have let in is answered, at most for Grace.
const (
	quiet = 200 * time.Millisecond
	look  = 10 * time.Millisecond
)

// retire takes a machine away that another one takes over from. Once it is asked to
// end it is on its way, whatever becomes of the context.
func (k *Keeper) retire(ctx context.Context, e *machine.Entry) error {
	if e.State().Status == machine.StatusRunning {
		pause := quiet
		for end := time.Now().Add(Grace); pause == quiet || k.asking(e.Spec.Name) > 0 && time.Now().Before(end); pause = look {
			if !sleep(ctx, pause) {
				return ctx.Err()
			}
		}
	}
	if err := k.end(context.WithoutCancel(ctx), e); err != nil {
		return err
	}
	return ctx.Err()
}

// end takes a machine away.
func (k *Keeper) end(ctx context.Context, e *machine.Entry) error {
	if err := k.Settle(e); err != nil {
		return err
	}
	return EndMachine(ctx, e)
}

// Machines are a deployment's machines, whether they run or have ended.
func Machines(store *machine.Store, deployment string) ([]*machine.Entry, error) {
	all, err := store.List()
	if err != nil {
		return nil, err
	}
	var ours []*machine.Entry
	for _, e := range all {
		if e.Spec.Deployment == deployment {
			ours = append(ours, e)
		}
	}
	return ours, nil
}

// Grace is how long a program may take to end.
const Grace = 10 * time.Second

// EndMachine asks a machine to end, kills it if it doesn't, and forgets it.
func EndMachine(ctx context.Context, e *machine.Entry) error {
	if _, err := e.Remote().Stop(ctx, Grace); err != nil && e.State().Status != machine.StatusExited {
		return err
	}
	return e.Remove()
}
