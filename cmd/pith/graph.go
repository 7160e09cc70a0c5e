package main

import (
	"os"

	"github.com/spf13/cobra"

	"pith/deploy"
)

func (a *app) graphCommand() *cobra.Command {
	var flags deploymentFlags
	var output string
	c := &cobra.Command{
		Use:   "graph [FILE|FOLDER]",
		Short: "Draw a deployment as SVG, with the state that it is in",
		Example: `  pith graph ./examples/dmz >dmz.svg
  pith graph -o dmz.svg ./examples/dmz`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			m, err := flags.read(args)
			if err != nil {
				return err
			}
			d, err := openDeployment(m.Name)
			if err != nil {
				return err
			}
			states := d.state.Instances
			if !d.state.Keeper.Alive() {
				states = nil // nobody knows
			}
			svg := deploy.Graph(m.Topology, states)
			if output != "" {
				return os.WriteFile(output, svg, 0o644)
			}
			_, err = a.out.Write(svg)
			return err
		},
	}
	flags.add(c)
	flags.addName(c)
	c.Flags().StringVarP(&output, "output", "o", "", "the file to write (default: standard output)")
	return c
}
