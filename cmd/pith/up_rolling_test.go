package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"pith/deploy"
	"pith/machine"
	"pith/network"
)

// TestUpRolling: replicas are replaced one after another; one of them does its work all
// the time, and the service's name leads there.
func TestUpRolling(t *testing.T) {
	kindOrSkip(t, machine.KindProcess)
	if os.Getuid() != 0 {
		t.Skip("networks of driver bridge take root")
	}
	c := newKeeperProgram(t)
	name := fmt.Sprintf("rolling-%d", os.Getpid())
	defer c.pith("down", name)
	write := func(env string) {
		c.save("pith.yaml", fmt.Sprintf("name: %s\nservices:\n  web: {build: ., replicas: 2, env: {A: %q}, healthcheck: {http: /.health, timeout: 10s}}\n", name, env))
	}
	up := []string{"up", "--machine", "process", "--timeout", (2 * deploymentTime).String()}
	write("1")
	c.works(up...)
	first := c.instances()
	write("2")
	folder := deploy.OpenFolder(c.stateFolder(), name)
	stopAsking := c.askByName(name, folder)
	done := make(chan result, 1)
	go func() { done <- c.pith(up...) }()
	replacing := 0
	for running := true; running; time.Sleep(2 * time.Millisecond) {
		select {
		case r := <-done:
			if running = false; r.code != 0 {
				t.Fatalf("up: %s%s", r.out, r.err)
			}
		default:
		}
		s, err := folder.State()
		if err != nil {
			t.Fatal(err)
		}
		works := 0
		for _, i := range s.Instances {
			if i.Status == deploy.Healthy || i.Status == deploy.Running {
				works++
			}
		}
		if works == 0 {
			t.Fatalf("no replica does its work: %+v", s.Instances)
		}
		if works == 1 {
			replacing++
		}
	}
	stopAsking()
	if replacing == 0 {
		t.Error("no replica was seen to be replaced")
	}
	for instance, l := range c.instances() {
		if l.PID == first[instance].PID {
			t.Errorf("%s was not replaced", instance)
		}
	}
}

// askByName asks the service web for a page again and again until it is stopped, from
// within the deployment's network: by the name, and at the next of its addresses where
// one refuses or hangs up. Each question must be answered.
func (c *cli) askByName(name string, folder deploy.Folder) (stop func()) {
	c.Helper()
	lab, wanted := network.FindLab(name), c.wanted(folder)
	if lab == nil || len(wanted.Networks) != 1 || len(wanted.Networks[0].Gateway) == 0 {
		c.Fatalf("the networks are %+v", wanted.Networks)
	}
	server := netip.AddrPortFrom(wanted.Networks[0].Gateway[0], 53).String()
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, protocol, _ string) (net.Conn, error) {
		return lab.Dial(ctx, protocol, server)
	}}
	ask := func() (err error) {
		addrs, err := resolver.LookupHost(c.Context(), "web.")
		if err != nil {
			return err
		}
		for _, a := range addrs {
			client := http.Client{Timeout: deploymentTime, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, protocol, _ string) (net.Conn, error) {
				return lab.Dial(ctx, protocol, a+":80")
			}}}
			var r *http.Response
			if r, err = client.Get("http://web/.health"); err != nil {
				continue
			}
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(r.Status)
		}
		return fmt.Errorf("at %v: %w", addrs, err)
	}
	end := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		for asked := 0; ; asked++ {
			select {
			case <-end:
				if asked == 0 {
					c.Error("nothing was asked meanwhile")
				}
				return
			case <-time.After(5 * time.Millisecond):
			}
			err := ask()
			if err != nil {
				err = ask() // on a busy host the name was looked up too long ago
			}
			if err != nil {
				c.Errorf("request %d is lost: %v", asked, err)
				return
			}
		}
	})
	return func() { close(end); work.Wait() }
}

// wanted is what is wanted of a deployment now.
func (c *cli) wanted(folder deploy.Folder) *deploy.Wanted {
	c.Helper()
	w, err := folder.Wanted()
	if err != nil || w == nil {
		c.Fatalf("what is wanted: %v, %v", w, err)
	}
	return w
}
