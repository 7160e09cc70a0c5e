//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// nameLinks calls the cards eth0, eth1, ... in the order of the specification, which
// the kernel may have found in another one.
func (s *spec) nameLinks() {
	for i, l := range s.Links { // first out of one another's way
		rename(linkOf(l.MAC), fmt.Sprint("card", i))
	}
	for i := range s.Links {
		rename(fmt.Sprint("card", i), fmt.Sprint("eth", i))
	}
}

// bringUp configures a card. One that is the program's own gets no address of the
// kernel's, not even a link-local one.
func (s *spec) bringUp(i int) {
	name, l := fmt.Sprint("eth", i), s.Links[i]
	if s.Forward {
		silence(name)
		awaitCarrier(name)
		return
	}
	for _, a := range l.Addrs {
		configure(name, a, "")
	}
	for _, g := range l.Gateway {
		addRoute("", g)
	}
	for _, r := range l.Routes {
		addRoute(r.To, r.Via)
	}
	awaitCarrier(name)
}

// linkOf is the name of the interface with a MAC address.
func linkOf(mac string) string {
	files, _ := filepath.Glob("/sys/class/net/*/address")
	for _, f := range files {
		if text, err := os.ReadFile(f); err == nil && strings.TrimSpace(string(text)) == mac {
			return filepath.Base(filepath.Dir(f))
		}
	}
	die("network card "+mac, os.ErrNotExist)
	return ""
}

// carrierPatience bounds how long a card may take to be ready; the program
// starts without it then.
const carrierPatience = 5 * time.Second

// awaitCarrier waits until the kernel has noticed that the card is connected: it
// drops what is sent before.
func awaitCarrier(link string) {
	for begin := time.Now(); time.Since(begin) < carrierPatience; time.Sleep(5 * time.Millisecond) {
		state, err := os.ReadFile("/sys/class/net/" + link + "/operstate")
		if err != nil || strings.TrimSpace(string(state)) == "up" {
			return
		}
	}
}
