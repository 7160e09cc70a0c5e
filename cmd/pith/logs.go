package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"pith"
	"pith/machine"
)

// logFlags say which lines of a log are shown, and how.
type logFlags struct {
	follow, times, json bool
	tail                int
	since               string
}

func (a *app) logsCommand() *cobra.Command {
	var flags logFlags
	c := &cobra.Command{
		Use:   "logs NAME",
		Short: "Show what a machine's program printed",
		Long: `Logs shows what the program printed, also after it has ended. With -f it goes
on until the machine ends or Ctrl-C. With --json each line is an object: time,
text, and partial where the program did not end the line.`,
		Example: `  pith logs web
  pith logs -f -n 20 web
  pith logs -t --since 10m web
  pith logs --json --since 2026-01-31T08:00:00Z web | jq -r .text`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			since, err := flags.check(time.Now())
			if err != nil {
				return err
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
			return a.showLog(ctx, entry, flags, since)
		},
	}
	f := c.Flags()
	f.BoolVarP(&flags.follow, "follow", "f", false, "go on with what is printed from now on")
	f.BoolVarP(&flags.times, "timestamps", "t", false, "show when each line was printed (UTC)")
	f.BoolVar(&flags.json, "json", false, "one JSON object a line")
	f.IntVarP(&flags.tail, "tail", "n", -1, "begin with the last lines, this many (-1: all)")
	f.StringVar(&flags.since, "since", "", "begin at a time (2026-01-31T08:00:00Z) or so long ago (10m, 2h30m)")
	return c
}

// check reads the flags that can be wrong; since is zero for all lines.
func (f logFlags) check(now time.Time) (since time.Time, err error) {
	if f.tail < -1 {
		return since, pith.Errorf("-n %d: a number of lines is 0 or more", f.tail)
	}
	if f.since == "" {
		return since, nil
	}
	if ago, err := time.ParseDuration(f.since); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	if since, err = time.Parse(time.RFC3339, f.since); err != nil {
		return since, pith.Errorf("--since %s is neither a span such as 10m nor a time such as 2026-01-31T08:00:00Z", f.since)
	}
	return since, nil
}

func (a *app) showLog(ctx context.Context, e *machine.Entry, f logFlags, since time.Time) error {
	show := func(l machine.LogLine) error { return a.showLine(l, f) }
	skip := 0
	if f.tail >= 0 {
		n, err := countLines(ctx, e, since)
		if err != nil {
			return err
		}
		skip = n - f.tail
	}
	return e.ReadLog(ctx, f.follow, func(l machine.LogLine) error {
		if l.Time.Before(since) {
			return nil
		}
		if skip > 0 {
			skip--
			return nil
		}
		return show(l)
	})
}

func countLines(ctx context.Context, e *machine.Entry, since time.Time) (n int, err error) {
	err = e.ReadLog(ctx, false, func(l machine.LogLine) error {
		if !l.Time.Before(since) {
			n++
		}
		return nil
	})
	return n, err
}

// logTime is RFC 3339 with a fixed width.
const logTime = "2006-01-02T15:04:05.000000Z"

// loggedLine is a line as `pith logs --json` shows it. Scripts rely on these names.
type loggedLine struct {
	Time    time.Time `json:"time"`
	Text    string    `json:"text"`
	Partial bool      `json:"partial,omitempty"` // no newline followed
}

func (a *app) showLine(l machine.LogLine, f logFlags) error {
	if f.json {
		return json.NewEncoder(a.out).Encode(loggedLine{l.Time, l.Text, l.Part})
	}
	end := "\n"
	if l.Part {
		end = ""
	}
	stamp := ""
	if f.times {
		stamp = l.Time.Format(logTime) + " "
	}
	_, err := fmt.Fprint(a.out, stamp, l.Text, end)
	return err
}
