package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"pith"
	"pith/bench/suite"
)

func (a *app) benchReport() *cobra.Command {
	return &cobra.Command{
		Use:     "report DIR",
		Short:   "Write the report and CSV files of a run again",
		Example: `  pith bench report bench-20261124-120000`,
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			book, err := suite.Read(args[0])
			if err != nil {
				return err
			}
			return a.writeReport(book)
		},
	}
}

func (a *app) benchCompare() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "compare BEFORE AFTER",
		Short: "Tell real changes between two runs from noise",
		Long: `Compare tests each quantity of each machine by the Mann-Whitney test, corrected for
the number of quantities (Holm), at 5 %. The ratio is that of the medians, with a 95 %
interval. Each repeat is one value, of several starts their median: runs with few
repeats can't tell a change from noise, and compare says so. Five repeats each are
enough for up to six quantities, seven for eighty.`,
		Example: `  pith bench compare before after`,
		Args:    cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			before, err := suite.Read(args[0])
			if err != nil {
				return err
			}
			after, err := suite.Read(args[1])
			if err != nil {
				return err
			}
			changes, err := suite.Compare(before, after)
			if err != nil {
				return err
			}
			if format == "json" {
				return a.out.json(changes)
			}
			return a.printChanges(changes)
		},
	}
	c.Flags().StringVarP(&format, "output", "o", "text", "text or json")
	return c
}

func (a *app) printChanges(changes []suite.Change) error {
	if len(changes) == 0 {
		return pith.Errorf("the runs have nothing in common to compare")
	}
	short := func(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }
	var rows [][]string
	for _, c := range changes {
		ratio := "–"
		if c.Before != 0 {
			ratio = fmt.Sprintf("%s (%s–%s)", short(c.Ratio), short(c.From), short(c.To))
		}
		rows = append(rows, []string{
			c.Machine, c.Name + ", " + c.Unit, short(c.Before), short(c.After),
			ratio, fmt.Sprintf("%.3f", c.P), c.Verdict(),
		})
	}
	return a.out.table("MACHINE QUANTITY BEFORE AFTER RATIO P VERDICT", rows)
}
