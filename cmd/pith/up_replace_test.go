package main

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"pith/machine"
)

// TestUpReplace: the DNS server of a deployment is replaced, as each kind of machine,
// while it is asked at its published port. Each datagram is answered, by the server of
// before or the one of after: none is sent twice.
func TestUpReplace(t *testing.T) {
	for _, kind := range machine.Kinds {
		t.Run(kind, func(t *testing.T) {
			kindOrSkip(t, kind)
			c := newCLI(t)
			c.replace(kind, fmt.Sprintf("replace-%s-%d", kind, os.Getpid()))
		})
	}
}

func (c *cli) replace(kind, name string) {
	port := freePorts(c.T, 1)[0]
	defer c.pith("down", name)
	zone := func(address string) {
		c.save("zone", "$TTL 60\n@ SOA ns h 1 2h 30m 2w 10m\n@ NS ns\nns A 10.0.0.100\nweb A "+address+"\n")
	}
	c.save("pith.yaml", fmt.Sprintf(`
name: %s
networks: {outer: {driver: user}}
configs:
  zone: {file: ./zone}
services:
  dns:
    build: %s/service/dns/cmd/dns
    machine: %s
    args: [-zone, dmz.test=/etc/zone]
    configs: ["zone:/etc/zone"]
    memory: 128M
    networks: [outer]
    ports: ["%d:53/udp", "%[4]d:53/tcp"]
    healthcheck: {dns: web.dmz.test, timeout: 30s}
`, name, repository(c.T), kind, port))
	up := []string{"up", "--timeout", (3 * deploymentTime).String()}
	zone("10.0.0.5")
	c.works(up...)
	if got, err := askDNS("udp", port); err != nil || got != "[10.0.0.5]" {
		c.Fatalf("before: %s, %v", got, err)
	}

	end := make(chan struct{})
	var work sync.WaitGroup
	for _, protocol := range []string{"udp", "udp", "tcp"} {
		work.Go(func() {
			for asked := 0; ; asked++ {
				got, err := askDNS(protocol, port)
				if err != nil || got != "[10.0.0.5]" && got != "[10.0.0.6]" {
					c.Errorf("question %d by %s: %s, %v", asked, protocol, got, err)
					return
				}
				select {
				case <-end:
					return
				case <-time.After(5 * time.Millisecond):
				}
			}
		})
	}
	zone("10.0.0.6")
	c.works(up...)
	close(end)
	work.Wait()
	if got, err := askDNS("udp", port); err != nil || got != "[10.0.0.6]" {
		c.Errorf("after: %s, %v", got, err)
	}
	c.works("down")
}

// askDNS asks once for the web server's address, and waits patiently.
func askDNS(protocol string, port int) (string, error) {
	client := dns.Client{Net: protocol, Timeout: 3 * deploymentTime}
	answer, _, err := client.Exchange(new(dns.Msg).SetQuestion("web.dmz.test.", dns.TypeA), fmt.Sprint("127.0.0.1:", port))
	if err != nil {
		return "", err
	}
	var addrs []string
	for _, rr := range answer.Answer {
		if a, ok := rr.(*dns.A); ok {
			addrs = append(addrs, a.A.String())
		}
	}
	return fmt.Sprint(addrs), nil
}
