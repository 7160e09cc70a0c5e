package forward

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"pith/bench/lab"
)

// Host is the host's own kernel in a network namespace, which is how a container
// or a process forwards.
type Host struct{ Service string }

// Prepare looks whether there is what it needs.
func (h Host) Prepare(context.Context) error {
	if _, err := exec.LookPath("nsenter"); err != nil {
		return fmt.Errorf("forward: %w (Debian and Ubuntu: apt-get install util-linux)", err)
	}
	if h.Service == Firewall {
		return needNFT()
	}
	return nil
}

// Start makes the namespace, which lives as long as a process that waits in it.
func (h Host) Start(ctx context.Context, _ Shape) (*Path, error) {
	holder := exec.Command("cat")
	holder.SysProcAttr = lab.OwnNetwork()
	in, err := holder.StdinPipe() // cat ends when it is closed
	if err != nil {
		return nil, err
	}
	if err := holder.Start(); err != nil {
		return nil, fmt.Errorf("forward: %w", err)
	}
	done := make(chan struct{})
	go func() {
		holder.Wait() // how it ended is of no interest
		close(done)
	}()
	p := &Path{Accelerator: "none", CPU: "host", console: &console{}, done: done}
	p.stop = func() error {
		err := in.Close()
		<-done
		return err
	}
	if err := h.configure(ctx, holder.Process.Pid); err != nil {
		return nil, errors.Join(err, p.Stop(context.WithoutCancel(ctx)))
	}
	return p, nil
}

// configure makes the interfaces, turns forwarding on and loads the rules.
func (h Host) configure(ctx context.Context, pid int) error {
	for _, s := range []side{left, right} {
		err := ip(ctx, fmt.Sprintf("link add %s type veth peer name %s address %s netns %d", s.link, s.peer, s.mac, pid))
		if err == nil {
			err = s.up(ctx)
		}
		if err == nil {
			err = lab.Within(ctx, pid, "addr add "+s.inner.String()+" dev "+s.peer, "link set "+s.peer+" up")
		}
		if err != nil {
			return err
		}
	}
	enter := fmt.Sprintf("--net=/proc/%d/ns/net", pid)
	if err := run(exec.CommandContext(ctx, "nsenter", enter, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")); err != nil {
		return err
	}
	if h.Service != Firewall {
		return nil
	}
	load := exec.CommandContext(ctx, "nsenter", enter, "nft", "-f", "-")
	load.Stdin = strings.NewReader(rules)
	return run(load)
}
