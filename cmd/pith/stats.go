package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"pith"
	"pith/machine"
)

// measured is one machine as `pith stats --json` shows it. Scripts rely on these
// names.
type measured struct {
	Name       string         `json:"name"`
	Time       time.Time      `json:"time"`
	CPU        float64        `json:"cpu"`             // of one host CPU, in percent, over the last span
	HostMemory int64          `json:"hostMemory"`      // bytes that the machine's process holds
	Guest      *machine.Stats `json:"guest,omitempty"` // what the machine says itself
	Error      string         `json:"error,omitempty"` // why it says nothing
}

// statsSpan is how far apart two looks at a machine's CPU time are.
const statsSpan = time.Second

func (a *app) statsCommand() *cobra.Command {
	var watch, asJSON bool
	c := &cobra.Command{
		Use:   "stats [NAME...]",
		Short: "Show what machines use",
		Long: `Stats shows for each machine what it uses of the host (CPU in percent of one
core, memory), and what it says itself: memory used of what it was given,
goroutines, the collector's heap, cycles and longest pause, packets and bytes
in and out, packets lost. Without a name it shows all machines that run.`,
		Example: `  pith stats
  pith stats -w web
  pith stats --json | jq '.[] | {name, cpu}'`,
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := interruptible(c.Context())
			defer stop()
			return a.watchStats(ctx, args, watch, func(list []measured) error {
				if asJSON {
					return a.out.json(list)
				}
				return a.showStats(list)
			})
		},
	}
	c.Flags().BoolVarP(&watch, "watch", "w", false, "go on, once a second, until Ctrl-C or the last machine's end")
	c.Flags().BoolVar(&asJSON, "json", false, "a JSON array each time")
	return c
}

func (a *app) topCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "top [NAME...]",
		Short: "Show what machines use, live, the busiest first",
		Example: `  pith top
  pith top web dns`,
		RunE: func(c *cobra.Command, args []string) error {
			if !a.out.person {
				return pith.Errorf("top draws on a terminal: `pith stats -w` writes to a file or pipe")
			}
			ctx, stop := interruptible(c.Context())
			defer stop()
			return a.watchStats(ctx, args, true, func(list []measured) error {
				slices.SortStableFunc(list, func(x, y measured) int { return cmp.Compare(y.CPU, x.CPU) })
				fmt.Fprintf(a.out, "\x1b[H\x1b[2J%s  %d machines\n\n", time.Now().Format(time.TimeOnly), len(list))
				return a.showStats(list)
			})
		},
	}
}

// watchStats measures once, or with watch until ctx is done or none runs any more.
func (a *app) watchStats(ctx context.Context, names []string, watch bool, show func([]measured) error) error {
	store, err := openStore()
	if err != nil {
		return err
	}
	for {
		entries, err := runningEntries(store, names)
		if err != nil {
			return err
		}
		list := measureAll(ctx, entries)
		if ctx.Err() != nil {
			return nil
		}
		if err := show(list); err != nil || !watch || len(entries) == 0 {
			return err
		}
	}
}

// runningEntries are the named machines, or all that run.
func runningEntries(store *machine.Store, names []string) (entries []*machine.Entry, err error) {
	if len(names) == 0 {
		if entries, err = store.List(); err != nil {
			return nil, err
		}
	}
	for _, name := range names {
		e, err := store.Find(name)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return slices.DeleteFunc(entries, func(e *machine.Entry) bool {
		return e.State().Status != machine.StatusRunning
	}), nil
}

// measureAll looks at all machines at once; it takes statsSpan.
func measureAll(ctx context.Context, entries []*machine.Entry) []measured {
	list := make([]measured, len(entries))
	var all sync.WaitGroup
	for i, e := range entries {
		all.Go(func() { list[i] = measure(ctx, e) })
	}
	all.Wait()
	return list
}

func measure(ctx context.Context, e *machine.Entry) measured {
	m := measured{Name: e.Spec.Name}
	process := e.State().Process
	start := time.Now()
	before, _, err := process.Usage()
	select {
	case <-ctx.Done():
		return m
	case <-time.After(statsSpan):
	}
	m.Time = time.Now()
	after, memory, err2 := process.Usage()
	if err == nil && err2 == nil {
		m.CPU = 100 * float64(after-before) / float64(m.Time.Sub(start))
		m.HostMemory = memory
	}
	s, err := e.Remote().Stats(ctx)
	if err != nil {
		m.Error = err.Error()
		return m
	}
	m.Guest = &s
	return m
}

func (a *app) showStats(list []measured) error {
	var rows [][]string
	for _, m := range list {
		row := []string{m.Name, fmt.Sprintf("%.1f%%", m.CPU), mib(uint64(m.HostMemory))}
		if m.Guest == nil {
			rows = append(rows, append(row, m.Error))
			continue
		}
		g := m.Guest
		rows = append(rows, append(row,
			mib(g.MemoryUsed)+" of "+mib(g.MemoryGiven),
			fmt.Sprint(g.Goroutines), mib(g.Heap), fmt.Sprint(g.GCs), time.Duration(g.GCPause).Round(time.Microsecond).String(),
			fmt.Sprintf("%d (%s)", g.RxPackets, mib(g.RxBytes)), fmt.Sprintf("%d (%s)", g.TxPackets, mib(g.TxBytes)),
			fmt.Sprint(g.Drops)))
	}
	const header = "NAME CPU HOST-MEMORY MEMORY GOROUTINES HEAP GCS LONGEST-PAUSE PACKETS-IN PACKETS-OUT DROPS"
	return a.out.table(header, rows)
}

// mib writes bytes with one decimal: these are measures, not round settings.
func mib(n uint64) string { return fmt.Sprintf("%.1f MiB", float64(n)/machine.MiB) }
