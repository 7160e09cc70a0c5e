package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pith"
	"pith/machine"
	"pith/machine/host"
)

// listed is one machine as `pith ps -o json` shows it. Scripts rely on these
// names.
type listed struct {
	Name     string    `json:"name"`
	What     string    `json:"what"`
	Machine  string    `json:"machine"`         // its kind
	Image    string    `json:"image,omitempty"` // the image's file
	Type     string    `json:"type"`            // the board
	Args     []string  `json:"args"`            // the program's, its name first
	Env      []string  `json:"env"`
	Dir      string    `json:"dir,omitempty"` // the working directory
	Networks []string  `json:"networks"`      // of each card, with its addresses
	Remove   bool      `json:"remove"`        // forgotten at its end
	Status   string    `json:"status"`
	ExitCode *int      `json:"exitCode,omitempty"` // only of one that has ended
	Error    string    `json:"error,omitempty"`
	PID      int       `json:"pid,omitempty"`
	CPUs     int       `json:"cpus"`
	Memory   int64     `json:"memory"` // bytes
	Ports    []string  `json:"ports"`
	Created  time.Time `json:"created"`
	Started  time.Time `json:"started,omitzero"`
	Ended    time.Time `json:"ended,omitzero"`

	Deployment string `json:"deployment,omitempty"` // that it is an instance of
	Service    string `json:"service,omitempty"`
	Health     string `json:"health,omitempty"` // as the deployment's keeper knows it
	Restarts   int    `json:"restarts,omitempty"`
}

func (a *app) psCommand() *cobra.Command {
	var all bool
	var format string
	c := &cobra.Command{
		Use:   "ps",
		Short: "List machines",
		Long:  `Ps lists the machines that run; with -a also those that have ended.`,
		Example: `  pith ps
  pith ps -a
  pith ps -o json | jq -r '.[].name'`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			list, err := listMachines(all)
			if err != nil {
				return err
			}
			if format == "json" {
				return a.out.json(list)
			}
			return a.showMachines(list, time.Now())
		},
	}
	c.Flags().BoolVarP(&all, "all", "a", false, "also those that have ended")
	c.Flags().StringVarP(&format, "output", "o", "text", "text or json")
	return c
}

func listMachines(all bool) ([]listed, error) {
	store, err := openStore()
	if err != nil {
		return nil, err
	}
	settle(store, host.This())
	entries, err := store.List()
	if err != nil {
		return nil, err
	}
	list := []listed{}
	for _, e := range entries {
		if l := describe(e); all || l.Status != machine.StatusExited {
			list = append(list, l)
		}
	}
	addHealth(store.Dir(), list)
	return list, nil
}

func describe(e *machine.Entry) listed {
	s := e.State()
	l := listed{
		Name: e.Spec.Name, What: e.Spec.What, Machine: cmp.Or(e.Spec.Kind, machine.KindUnikernel), Status: s.Status, Error: s.Error,
		Type: e.Spec.Type, Args: e.Spec.Argv(), Env: append([]string{}, e.Spec.Environ()...), Dir: e.Spec.Dir,
		CPUs: e.Spec.CPUs, Memory: e.Spec.Memory, Ports: []string{}, Networks: []string{}, Remove: e.Spec.Remove,
		Created: e.Spec.Created, Started: s.Started, Ended: s.Ended, Deployment: e.Spec.Deployment,
	}
	for _, p := range e.Spec.Ports {
		l.Ports = append(l.Ports, machine.FormatPort(p))
	}
	for _, link := range e.Spec.Links {
		l.Networks = append(l.Networks, describeLink(link))
	}
	if e.Spec.Image != nil {
		l.Image = e.Spec.Image.Path
	}
	if s.Status == machine.StatusExited {
		l.ExitCode = &s.ExitCode
	} else {
		l.PID = s.Process.PID
	}
	return l
}

// describeLink writes a card's network and addresses: "user 10.0.2.15/24".
func describeLink(l pith.Link) string {
	words := []string{l.Network}
	for _, addr := range l.Addrs {
		words = append(words, addr.String())
	}
	return strings.Join(words, " ")
}

func (a *app) showMachines(list []listed, now time.Time) error {
	var rows [][]string
	for _, l := range list {
		rows = append(rows, []string{
			l.Name, l.What, l.Machine, status(l, now), fmt.Sprint(l.CPUs), machine.FormatMemory(l.Memory), strings.Join(l.Ports, ", "),
		})
	}
	return a.out.table("NAME WHAT MACHINE STATUS CPUS MEMORY PORTS", rows)
}

func status(l listed, now time.Time) string {
	switch l.Status {
	case machine.StatusRunning:
		up := "up " + age(now.Sub(l.Started))
		if l.Health != "" {
			up += ", " + l.Health
		}
		return up
	case machine.StatusExited:
		if l.Ended.IsZero() {
			return fmt.Sprintf("exited (%d)", *l.ExitCode)
		}
		return fmt.Sprintf("exited (%d) %s ago", *l.ExitCode, age(now.Sub(l.Ended)))
	default:
		return l.Status
	}
}

// age rounds a span as a person would.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	default:
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	}
}
