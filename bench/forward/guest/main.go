// Command guest makes a Linux guest a router with a filter: it configures the second
// card, turns forwarding on and loads the rules, by the tools that it was given.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"time"
)

func main() {
	for _, args := range [][]string{
		{"/sbin/ip", "addr", "add", os.Getenv("SECOND"), "dev", "eth1"},
		{"/sbin/ip", "link", "set", "eth1", "up"},
		{"/usr/sbin/nft", "-f", "/rules.nft"},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			fmt.Printf("%v: %v\n%s", args, err, out)
			os.Exit(1)
		}
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("forwarding")
	for { // a program that only waited for nothing would be a deadlock to Go
		time.Sleep(time.Hour)
	}
}
