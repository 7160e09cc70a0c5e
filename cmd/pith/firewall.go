package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"pith"
	"pith/service/firewall"
	"pith/service/firewall/nft"
)

// firewallCommand checks rule files, and explains what they do.
func (a *app) firewallCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "firewall",
		Short: "Check rules in nftables' syntax, and explain what they do to a packet",
		Example: `  pith firewall check rules.nft
  pith firewall explain rules.nft iif eth0 ip saddr 192.0.2.1 ip daddr 10.0.0.5 tcp dport 80`,
	}
	cmd.AddCommand(a.firewallCheck(), a.firewallExplain())
	return cmd
}

func (a *app) firewallCheck() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "check RULES",
		Short:   "Say what is wrong with a rule file",
		Example: "  pith firewall check firewall.nft",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			rules, err := loadRules(args[0])
			if format == "json" {
				return a.checkJSON(err)
			}
			if err != nil {
				return err
			}
			chains, n := 0, 0
			for _, t := range rules.Tables {
				chains += len(t.Chains)
				for _, c := range t.Chains {
					n += len(c.Rules)
				}
			}
			fmt.Fprintf(a.out, "%s: %d rules in %d chains\n", args[0], n, chains)
			return nil
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "text", "text or json")
	return cmd
}

// checkJSON writes all mistakes as a list.
func (a *app) checkJSON(err error) error {
	mistakes := []*nft.Error{}
	for _, e := range split(err) {
		var mistake *nft.Error
		if !errors.As(e, &mistake) {
			return e
		}
		mistakes = append(mistakes, mistake)
	}
	if out := json.NewEncoder(a.out).Encode(mistakes); out != nil {
		return out
	}
	if len(mistakes) > 0 {
		return exitCode(2)
	}
	return nil
}

// split takes joined errors apart.
func split(err error) []error {
	var user *pith.Error
	if errors.As(err, &user) {
		err = errors.Unwrap(user)
	}
	if list, ok := err.(interface{ Unwrap() []error }); ok {
		return list.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

func loadRules(file string) (*nft.Ruleset, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, pith.Errorf("%w", err)
	}
	rules, err := nft.Load(file, text, nft.Options{ReadFile: func(name string) ([]byte, error) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(file), name)
		}
		return os.ReadFile(name)
	}})
	if err != nil {
		return nil, pith.Errorf("%w", err)
	}
	return rules, nil
}

func (a *app) firewallExplain() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "explain RULES PACKET...",
		Short: "Tell which rule decides about a packet, and why",
		Long: `Explain follows a packet through the rules. The packet is described in words:
iif, oif (without: it is for the firewall itself), saddr, daddr, tcp, udp, icmp,
icmpv6, sport, dport, flags, type, code, ct (new, established, related, invalid),
ttl, dscp, length, mark.`,
		Example: `  pith firewall explain firewall.nft iif out oif dmz ip saddr 192.0.2.1 daddr 10.0.0.5 tcp dport 80 flags syn ct new
  pith firewall explain -o json firewall.nft iif out saddr 192.0.2.1 daddr 192.168.100.254 icmp type echo-request`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			rules, err := loadRules(args[0])
			if err != nil {
				return err
			}
			e, err := firewall.Explain(rules, args[1:])
			if err != nil {
				return pith.Errorf("%w", err)
			}
			if format == "json" {
				return json.NewEncoder(a.out).Encode(e)
			}
			a.explain(e)
			return nil
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "text", "text or json")
	return cmd
}

// explain writes an explanation for a person.
func (a *app) explain(e *firewall.Explanation) {
	for _, s := range e.Steps {
		mark := " "
		if s.Matched {
			mark = ">"
		}
		where := s.Chain
		if s.Pos != "" {
			where += " " + s.Pos
		}
		if s.Rule != "" {
			fmt.Fprintf(a.out, "%s %-32s %s\n      %s\n", mark, where, s.Rule, s.Why)
		} else {
			fmt.Fprintf(a.out, "%s %-32s %s\n", mark, where, s.Why)
		}
	}
	for _, n := range e.NAT {
		fmt.Fprintf(a.out, "translated by: %s\n", n)
	}
	switch {
	case e.Rule != "":
		fmt.Fprintf(a.out, "%s, by %s: %s\n", e.Verdict, e.Position, e.Rule)
	case e.Chain != "":
		fmt.Fprintf(a.out, "%s, by the policy of chain %s\n", e.Verdict, e.Chain)
	default:
		fmt.Fprintf(a.out, "%s: no chain is asked\n", e.Verdict)
	}
}
