package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"pith/deploy"
	"pith/network"
)

func (a *app) downCommand() *cobra.Command {
	var flags deploymentFlags
	var volumes bool
	c := &cobra.Command{
		Use:   "down [FILE|FOLDER|NAME]",
		Short: "End a deployment and take all of it away",
		Long: `Down ends the instances, those that others need last, and leaves nothing of the
deployment but its volumes: no machine, process, network, port or file. With --volumes
they go too, and all that is on them. NAME is the deployment's, for when its manifest
is gone.`,
		Example: `  pith down
  pith down ./examples/dmz
  pith down dmz
  pith down --volumes dmz`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			name, err := flags.name(args)
			if err != nil {
				return err
			}
			d, err := openDeployment(name)
			if err != nil {
				return err
			}
			unlock, err := d.folder.Lock()
			if err != nil {
				return err
			}
			defer unlock()
			if there, err := d.exists(); err != nil || !there {
				return errors.Join(a.notUp(d, err), d.downVolumes(volumes))
			}
			ctx, stop := interruptible(c.Context())
			defer stop()
			if err := d.remove(ctx); err != nil {
				return err
			}
			if err := d.downVolumes(volumes); err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.out, "%s is gone\n", d.name)
			return err
		},
	}
	flags.add(c)
	c.Flags().BoolVar(&volumes, "volumes", false, "remove its volumes, too")
	return c
}

// notUp tells that there is nothing to end, which is no failure.
func (a *app) notUp(d *deployment, err error) error {
	if err == nil {
		_, err = fmt.Fprintf(a.out, "%s is not up\n", d.name)
	}
	return err
}

// exists tells whether anything of the deployment is there.
func (d *deployment) exists() (bool, error) {
	machines, err := deploy.Machines(d.store, d.name)
	return d.wanted != nil || network.FindLab(d.name) != nil || len(machines) > 0, err
}

// name is the deployment's name: that of one that is up, or a manifest's.
func (f *deploymentFlags) name(args []string) (string, error) {
	if len(args) > 0 && f.file == "" {
		store, err := openStore()
		if err != nil {
			return "", err
		}
		if slices.Contains(deploy.Names(store.Dir()), args[0]) {
			return args[0], nil
		}
	}
	m, err := f.read(args)
	if err != nil {
		return "", err
	}
	return m.Name, nil
}
