package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"pith"
	"pith/deploy"
	"pith/machine"
	"pith/network"
)

func (a *app) keepCommand() *cobra.Command {
	var reports bool
	c := &cobra.Command{
		Use:    "keep NAME",
		Short:  "Keep a deployment as it is wanted (for pith up)",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if !reports {
				return pith.Errorf("keep is for pith's own use: `pith up` starts a deployment")
			}
			syscall.CloseOnExec(reportFD)
			parent := os.NewFile(reportFD, "report")
			err := a.keep(args[0], func() { report(parent, nil); parent.Close() })
			if err != nil {
				report(parent, err)
			}
			return err
		},
	}
	c.Flags().BoolVar(&reports, reportFlag, false, "descriptor 3 is where to report to")
	return c
}

// keep is the deployment's keeper until SIGTERM; SIGHUP tells it to look at what
// is wanted.
func (a *app) keep(name string, ready func()) error {
	state, err := machine.DefaultDir(os.Getenv)
	if err != nil {
		return err
	}
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	k := &deploy.Keeper{
		Folder: deploy.OpenFolder(state, name),
		Store:  machine.OpenStore(state),
		Start:  startSupervisor,
		Settle: settleMachine,
		Dial:   dialIn(name),
		Listen: listenIn(name),
		Log:    slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	return k.Run(ctx, reload, ready)
}

// dialIn connects from inside a deployment's networks.
func dialIn(name string) deploy.Dial {
	return func(ctx context.Context, protocol, address string) (net.Conn, error) {
		lab := network.FindLab(name)
		if lab == nil {
			return nil, fmt.Errorf("the networks of %s are gone: `pith up` makes them again", name)
		}
		return lab.Dial(ctx, protocol, address)
	}
}

// listenIn listens inside a deployment's networks.
func listenIn(name string) deploy.Listen {
	in := func(f func() error) error {
		lab := network.FindLab(name)
		if lab == nil {
			return fmt.Errorf("the networks of %s are gone: `pith up` makes them again", name)
		}
		return lab.Do(f)
	}
	return deploy.Listen{
		Stream: func(address string) (l net.Listener, err error) {
			err = in(func() (err error) { l, err = net.Listen("tcp", address); return err })
			return l, err
		},
		Packet: func(address string) (c net.PacketConn, err error) {
			err = in(func() (err error) { c, err = net.ListenPacket("udp", address); return err })
			return c, err
		},
	}
}
