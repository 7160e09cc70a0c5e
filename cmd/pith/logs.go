package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"pith"
	"pith/machine"
)

func (a *app) logsCommand() *cobra.Command {
	var follow, times bool
	var tail int
	c := &cobra.Command{
		Use:   "logs NAME",
		Short: "Show what a machine's program printed",
		Long: `Logs shows what the program printed, also after it has ended. With -f it goes
on until the machine ends or Ctrl-C.`,
		Example: `  pith logs web
  pith logs -f -n 20 web
  pith logs -t web`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if tail < -1 {
				return pith.Errorf("-n %d: a number of lines is 0 or more", tail)
			}
			store, err := openStore()
			if err != nil {
				return err
			}
			entry, err := store.Find(args[0])
			if err != nil {
				return err
			}
			ctx, stop := interruptible(c.Context())
			defer stop()
			show := func(l machine.LogLine) error { return a.showLine(l, times) }
			if tail < 0 {
				return entry.ReadLog(ctx, follow, show)
			}
			skip, err := countLines(entry)
			if err != nil {
				return err
			}
			skip -= tail
			return entry.ReadLog(ctx, follow, func(l machine.LogLine) error {
				if skip > 0 {
					skip--
					return nil
				}
				return show(l)
			})
		},
	}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is printed from now on")
	c.Flags().BoolVarP(&times, "timestamps", "t", false, "show when each line was printed (UTC)")
	c.Flags().IntVarP(&tail, "tail", "n", -1, "begin with the last lines, this many (-1: all)")
	return c
}

func countLines(e *machine.Entry) (n int, err error) {
	err = e.ReadLog(nil, false, func(machine.LogLine) error {
		n++
		return nil
	})
	return n, err
}

// logTime is RFC 3339 with a fixed width.
const logTime = "2006-01-02T15:04:05.000000Z"

func (a *app) showLine(l machine.LogLine, times bool) error {
	end := "\n"
	if l.Part {
		end = ""
	}
	if times {
		_, err := fmt.Fprintf(a.out, "%s %s%s", l.Time.Format(logTime), l.Text, end)
		return err
	}
	_, err := fmt.Fprint(a.out, l.Text, end)
	return err
}
