//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"pith"
	"pith/machine"
	"pith/machine/container"
	"pith/machine/host"
	"pith/machine/netns"
	"pith/machine/process"
)

// TestBridge runs two machines of different kinds on a bridge, in a network
// namespace that stands for the host: both answer at their static addresses.
func TestBridge(t *testing.T) {
	if testing.Short() {
		t.Skip("runs machines")
	}
	if os.Getuid() != 0 {
		t.Skip("bridges need root")
	}
	kindOrSkip(t, machine.KindProcess)
	kindOrSkip(t, machine.KindContainer)
	img := hostedGuest(t)
	ns, err := netns.New()
	if err != nil {
		t.Skip("this host has no network namespaces: ", err)
	}
	defer ns.Close()
	inside(t, ns, func() error {
		for _, args := range []string{"link add br0 type bridge", "addr add 10.9.0.1/24 dev br0", "link set br0 up", "link set lo up"} {
			if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
				return fmt.Errorf("ip %s: %w: %s", args, err, out)
			}
		}
		return nil
	})
	drivers := []machine.Driver{process.New(host.This()), container.New(host.This())}
	var addresses []string
	for i, d := range drivers {
		address := fmt.Sprintf("10.9.0.%d", i+2)
		addresses = append(addresses, address)
		startOnBridge(t, ns, d, img, fmt.Sprintf("bridged-%s", d.Name()), address)
	}
	for _, address := range addresses {
		inside(t, ns, func() error { return answersAt(address) })
	}
}

// inside calls f in the namespace. What f starts must not leave its thread.
func inside(t *testing.T, ns *os.File, f func() error) {
	t.Helper()
	if err := netns.Do(ns, f); err != nil {
		t.Fatal(err)
	}
}

func startOnBridge(t *testing.T, ns *os.File, d machine.Driver, img *pith.Image, name, address string) {
	t.Helper()
	spec := machine.Spec{Type: machine.TypeMicroVM, What: "guest", Created: time.Now()}
	spec.Name, spec.Image, spec.CPUs, spec.Memory, spec.Args = name, img, 1, machine.DefaultMemory, []string{"serve"}
	spec.Links = []pith.Link{{
		Network: "bridge:br0", MAC: machine.MAC(name, 0), Addrs: []netip.Prefix{netip.MustParsePrefix(address + "/24")},
		Gateway: []netip.Addr{netip.MustParseAddr("10.9.0.1")},
	}}
	launch := machine.Launch{
		Spec: spec, Cards: []machine.Card{{Link: spec.Links[0], Wire: machine.Wire{Bridge: "br0"}}},
		Dir: t.TempDir(), Console: io.Discard, Notify: func(machine.Message) {},
	}
	var running machine.Running
	inside(t, ns, func() (err error) {
		running, err = d.Start(launch)
		return err
	})
	t.Cleanup(func() {
		running.Kill()
		if exit := running.Wait(); exit.Code != machine.ExitKilled || exit.Err != nil {
			t.Errorf("%s ended with %+v", name, exit)
		}
	})
}

// answersAt fetches a page by a socket of the calling thread's namespace.
func answersAt(address string) error {
	var last error
	for begin := time.Now(); time.Since(begin) < 30*time.Second; time.Sleep(50 * time.Millisecond) {
		conn, err := net.DialTimeout("tcp", address+":80", 2*time.Second)
		if err != nil {
			last = err
			continue
		}
		client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext:       func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		}}
		response, err := client.Get("http://" + address + "/bridge")
		if err != nil {
			last = err
			continue
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err == nil && string(body) != "hello /bridge\n" {
			err = fmt.Errorf("the answer is %q", body)
		}
		return err
	}
	return last
}
