package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pith/machine"
	"pith/network"
)

// tells asks a service which addresses a name has, until it is what is wanted.
func (c *cli) tells(port int, name, want string) {
	c.Helper()
	got := ""
	for end := time.Now().Add(deploymentTime); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if got = c.file(port, "/?host="+name); strings.HasPrefix(got, want) {
			return
		}
	}
	c.Errorf("%s is %q, want %q", name, got, want)
}

// TestUpNames: machines, of different kinds, know the services of their deployment by
// name, those that they share a network with, and only the replicas that do their work.
func TestUpNames(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("networks of driver bridge take root")
	}
	kindOrSkip(t, machine.KindUnikernel)
	c := newKeeperProgram(t)
	name := fmt.Sprintf("names-%d", os.Getpid())
	ports := freePorts(t, 2)
	defer c.pith("down", name)
	write := func(replicas int) {
		c.save("pith.yaml", fmt.Sprintf(`
name: %s
networks: {inner: , other: {subnet: 10.88.0.0/24}}
services:
  front:
    build: .
    networks: [inner]
    ports: ["%d:80"]
  back:
    build: .
    machine: process
    networks: [inner]
    healthcheck: {http: /.health, retries: 3, interval: 1s, timeout: 10s}
    replicas: %d
  alone:
    build: .
    machine: process
    networks: {other: {ipv4_address: 10.88.0.7}}
    ports: ["%d:80"]
`, name, ports[0], replicas, ports[1]))
	}
	up := []string{"up", "--timeout", (2 * deploymentTime).String()}
	write(2)
	c.works(up...)
	two := c.addresses(name, "back")
	if len(two) != 2 {
		t.Fatalf("the replicas have %v", two)
	}
	c.tells(ports[0], "back", strings.Join(two, " ")+" <nil>")
	c.tells(ports[0], name+"-back-2", two[1]+" <nil>")
	c.tells(ports[0], "alone", " lookup alone") // in no network of front's
	c.tells(ports[1], "back", " lookup back")
	c.tells(ports[1], "alone", "10.88.0.7 <nil>")

	front := c.instances()[name+"-front-1"].PID
	write(3)
	c.works(up...)
	three := c.addresses(name, "back")
	if len(three) != 3 || !slices.Equal(three[:2], two) || c.instances()[name+"-front-1"].PID != front {
		t.Errorf("a third replica changes the others: %v, then %v", two, three)
	}
	c.tells(ports[0], "back", strings.Join(three, " ")+" <nil>")

	// One that is sick is not among them.
	if err := c.sicken(name, three[0]); err != nil {
		t.Fatal(err)
	}
	c.tells(ports[0], "back", strings.Join(three[1:], " ")+" <nil>")
}

// TestUpPlain: two services, and nothing else, find one another, as in compose.
func TestUpPlain(t *testing.T) {
	kindOrSkip(t, machine.KindProcess)
	if os.Getuid() != 0 {
		t.Skip("networks of driver bridge take root")
	}
	c := newKeeperProgram(t)
	name := fmt.Sprintf("plain-%d", os.Getpid())
	port := freePorts(t, 1)[0]
	defer c.pith("down", name)
	c.save("pith.yaml", fmt.Sprintf(`
name: %s
services:
  web: {build: ., ports: ["%d:80"], depends_on: [store]}
  store: {build: .}
`, name, port))
	c.works("up", "--machine", "process", "--timeout", (2 * deploymentTime).String())
	c.tells(port, "store", c.addresses(name, "store")[0]+" <nil>")
	c.tells(port, "STORE", c.addresses(name, "store")[0]+" <nil>")
}

// addresses are those of a service's instances, as the plan of one says, in order.
func (c *cli) addresses(deployment, service string) (all []string) {
	c.Helper()
	store := machine.OpenStore(c.stateFolder())
	for i := 1; ; i++ {
		e, err := store.Find(fmt.Sprintf("%s-%s-%d", deployment, service, i))
		if err != nil {
			return all
		}
		all = append(all, e.Spec.Links[0].Addrs[0].Addr().String())
	}
}

// sicken makes an instance of the program fail its health check from now on.
func (c *cli) sicken(deployment, address string) error {
	lab := network.FindLab(deployment)
	if lab == nil {
		return fmt.Errorf("%s has no networks", deployment)
	}
	ctx, cancel := context.WithTimeout(c.Context(), deploymentTime)
	defer cancel()
	conn, err := lab.Dial(ctx, "tcp", net.JoinHostPort(address, "80"))
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("POST /.sick HTTP/1.0\r\n\r\n")); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 100))
	return err
}

// TestUpDNS: the name server of the same deployment serves the services' names, follows
// replicas that come and go, and loses no question meanwhile.
func TestUpDNS(t *testing.T) {
	kindOrSkip(t, machine.KindProcess)
	if os.Getuid() != 0 {
		t.Skip("networks of driver bridge take root")
	}
	c := newKeeperProgram(t)
	name := fmt.Sprintf("names-dns-%d", os.Getpid())
	defer c.pith("down", name)
	write := func(replicas int) {
		c.save("pith.yaml", fmt.Sprintf(`
name: %s
networks: {inner: {subnet: 10.89.0.0/24}}
configs:
  dns: {content: '{"services": {"zone": "internal", "source": "http://pith.internal/names", "seconds": 1}}'}
services:
  dns:
    build: %s/service/dns/cmd/dns
    machine: process
    args: [-config, /etc/dns.json]
    configs: ["dns:/etc/dns.json"]
    networks: {inner: {ipv4_address: 10.89.0.53}}
    healthcheck: {tcp: 53, timeout: 10s}
  web:
    build: .
    machine: process
    networks: {inner: {ipv4_address: 10.89.0.10}}
    healthcheck: {http: /.health, timeout: 10s}
    replicas: %d
`, name, repository(t), replicas))
	}
	up := []string{"up", "--timeout", (2 * deploymentTime).String()}
	write(1)
	c.works(up...)
	lab := network.FindLab(name)
	if lab == nil {
		t.Fatal("there are no networks")
	}
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, protocol, _ string) (net.Conn, error) {
		return lab.Dial(ctx, protocol, "10.89.0.53:53")
	}}
	becomes := func(want ...string) {
		t.Helper()
		var got []string
		var err error
		for end := time.Now().Add(deploymentTime); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if got, err = resolver.LookupHost(c.Context(), "web.internal."); err == nil {
				if slices.Sort(got); slices.Equal(got, want) {
					return
				}
			}
		}
		t.Errorf("web.internal is %v, %v, want %v", got, err, want)
	}
	becomes("10.89.0.10")

	end := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		for asked := 0; ; asked++ {
			if _, err := resolver.LookupHost(c.Context(), "web.internal."); err != nil {
				t.Errorf("question %d is lost: %v", asked, err)
				return
			}
			select {
			case <-end:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	write(3)
	c.works(up...)
	becomes("10.89.0.10", "10.89.0.11", "10.89.0.12")
	write(2)
	c.works(up...)
	becomes("10.89.0.10", "10.89.0.11")
	close(end)
	work.Wait()
}
