// Command router forwards packets between networks; see service/router/README.md.
package main

import (
	"os"

	"pith/service/router/daemon"
)

func main() {
	os.Exit(daemon.Main(daemon.Program{
		Name:  "router",
		Usage: "router forwards IPv4 and IPv6 between the interfaces of its configuration.\n\n  router -config router.yaml\n  router -config router.yaml -check",
	}, os.Args[1:]))
}
