package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/spf13/cobra"

	"pith"
	"pith/cache"
)

func (a *app) cacheCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "cache",
		Short: "Show and free what Pith keeps to be faster",
		Long: `Pith keeps what it can make again: linked programs, what debuggers read of images,
Go with the kernel in it, unpacked modules, Linux guests' RAM disks. They are in
PITH_CACHE, ~/.cache/pith by default. Builds look after it themselves: what was not
used for 7 days goes, and above 5 GB what was used least recently; PITH_CACHE_SIZE
(500M, 20G or off) is another bound. What a build or a machine uses stays.

Go's own cache of compiled packages is not among it: ` + "`go clean -cache`" + ` frees that.`,
		Example: `  pith cache ls
  pith cache prune
  pith cache prune --all
  PITH_CACHE_SIZE=20G pith build -o hello.img ./examples/hello`,
	}
	c.AddCommand(a.cacheList(), a.cachePrune())
	return c
}

// cacheState is what `pith cache ls -o json` shows.
type cacheState struct {
	Dir    string        `json:"dir"`
	Limit  *int64        `json:"limit"`  // bytes; null is none
	Unused string        `json:"unused"` // a Go duration
	Size   int64         `json:"size"`   // bytes
	Kinds  []cache.Usage `json:"kinds"`
}

func (a *app) cacheList() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"df"},
		Short:   "Show what the cache holds, and what room it takes",
		Example: `  pith cache ls
  pith cache ls -o json | jq .size`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			c, err := cache.Open(os.Environ())
			if err != nil {
				return err
			}
			kinds, err := c.Usage()
			if err != nil {
				return fmt.Errorf("look at the cache: %w", err)
			}
			s := cacheState{Dir: c.Dir(), Unused: c.Limits().Unused.String(), Kinds: kinds}
			if limit := c.Limits().Size; limit != math.MaxInt64 {
				s.Limit = &limit
			}
			for _, u := range kinds {
				s.Size += u.Size
			}
			if format == "json" {
				return a.out.json(s)
			}
			return a.showCache(s, time.Now())
		},
	}
	c.Flags().StringVarP(&format, "output", "o", "text", "text or json")
	return c
}

func (a *app) showCache(s cacheState, now time.Time) error {
	var rows [][]string
	for _, u := range s.Kinds {
		oldest := "-"
		if u.Entries > 0 {
			oldest = age(now.Sub(u.Oldest)) + " ago"
		}
		rows = append(rows, []string{u.Kind, fmt.Sprint(u.Entries), fmt.Sprint(u.InUse), cache.FormatSize(u.Size), oldest, u.What})
	}
	if err := a.out.table("KIND ENTRIES IN-USE SIZE OLDEST-USE WHAT", rows); err != nil {
		return err
	}
	bound := "no bound"
	if s.Limit != nil {
		bound = "of " + cache.FormatSize(*s.Limit)
	}
	_, err := fmt.Fprintf(a.out, "\n%s: %s, %s\n", s.Dir, cache.FormatSize(s.Size), bound)
	return err
}

func (a *app) cachePrune() *cobra.Command {
	var format, size string
	var all bool
	var unused time.Duration
	c := &cobra.Command{
		Use:   "prune",
		Short: "Remove what was not used for long, or all that is not in use",
		Long: `Prune does now what builds do by themselves, see pith cache --help. With --all it
removes everything that no build and no machine uses; the next build takes longer.`,
		Example: `  pith cache prune
  pith cache prune --unused 48h
  pith cache prune --size 1G
  pith cache prune --all -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			c, err := cache.Open(os.Environ())
			if err != nil {
				return err
			}
			limits := c.Limits()
			switch {
			case all && (size != "" || cmd.Flags().Changed("unused")):
				return pith.Errorf("--all leaves nothing to choose: leave out --unused and --size")
			case all:
				limits = cache.Everything
			case unused < 0:
				return pith.Errorf("--unused %s: write a time such as 48h", unused)
			}
			if cmd.Flags().Changed("unused") {
				limits.Unused = unused
			}
			if size != "" {
				if limits.Size, err = cache.ParseSize(size); err != nil {
					return pith.Errorf("--size: %w", err)
				}
			}
			return a.pruneCache(c, limits, format)
		},
	}
	c.Flags().BoolVarP(&all, "all", "a", false, "all that is not in use")
	c.Flags().DurationVar(&unused, "unused", cache.DefaultUnused, "what nobody used for so long goes")
	c.Flags().StringVar(&size, "size", "", "what was used least recently goes until no more is left: 500M, 5G or off (default PITH_CACHE_SIZE, or 5G)")
	c.Flags().StringVarP(&format, "output", "o", "text", "text or json")
	return c
}

func (a *app) pruneCache(c *cache.Cache, limits cache.Limits, format string) error {
	p, err := c.Prune(limits)
	if err != nil {
		err = fmt.Errorf("prune the cache: %w", err)
	}
	if format == "json" {
		return errors.Join(err, a.out.json(p))
	}
	fmt.Fprintf(a.out, "removed %d entries, freed %s; %s are left\n", p.Removed, cache.FormatSize(p.Freed), cache.FormatSize(p.Left))
	if p.InUse > 0 {
		fmt.Fprintf(a.out, "%d entries are in use and stay\n", p.InUse)
	}
	return err
}

// holdImage keeps in the cache what a machine's image, and a debugger, need for as
// long as this process supervises it.
func (a *app) holdImage(img *pith.Image) error {
	c, err := cache.Open(os.Environ())
	if err != nil {
		return err
	}
	for _, path := range []string{img.Path, img.Symbols} {
		if err := c.UseOf(&a.hold, path); err != nil {
			return fmt.Errorf("hold the image in the cache: %w", err)
		}
	}
	return nil
}
