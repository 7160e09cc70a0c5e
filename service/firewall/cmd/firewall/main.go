// Command firewall forwards what its rules let through; see service/firewall/README.md.
package main

import (
	"os"

	"pith/service/router/daemon"
)

func main() {
	os.Exit(daemon.Main(daemon.Program{
		Name:   "firewall",
		Closed: true,
		Usage:  "firewall forwards between the interfaces of its configuration what its rules accept.\nIt begins with nothing passing, and stays so if the rules do not load.\n\n  firewall -config firewall.yaml\n  firewall -config firewall.yaml -check",
	}, os.Args[1:]))
}
