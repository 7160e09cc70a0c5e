package main

import (
	"fmt"
	"os"
	"testing"
	"time"

	"pith/deploy"
	"pith/machine"
)

// TestUpRolling: replicas are replaced one after another; one of them does its work all
// the time.
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
	done := make(chan result, 1)
	go func() { done <- c.pith(up...) }()
	folder := deploy.OpenFolder(c.stateFolder(), name)
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
	if replacing == 0 {
		t.Error("no replica was seen to be replaced")
	}
	for instance, l := range c.instances() {
		if l.PID == first[instance].PID {
			t.Errorf("%s was not replaced", instance)
		}
	}
}
