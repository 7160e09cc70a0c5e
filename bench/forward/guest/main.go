// Command guest makes a Linux guest a router, with a filter if it was given rules: it
// configures the second card and turns forwarding on, by the tools that it was given.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"time"
)

const rules = "/rules.nft"

func main() {
	commands := [][]string{
		{"/bin/ip", "addr", "add", os.Getenv("SECOND"), "dev", "eth1"},
		{"/bin/ip", "link", "set", "eth1", "up"},
	}
	if _, err := os.Stat(rules); err == nil {
		commands = append(commands, []string{"/bin/nft", "-f", rules})
	}
	for _, args := range commands {
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
