package main

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// TestPlanMistakes: one report has all that is wrong with a deployment, each with its
// place, and neither plan nor up begins anything.
func TestPlanMistakes(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	c := newKeeperProgram(t)
	c.save("bad.zone", "@ 60 SOA ns h 1 1 1 1 1\n@ 60 NS ns\nns 60 A 10.0.0.300\n")
	c.save("firewall.yaml", "rules: bad.nft\n")
	c.save("bad.nft", "table inet f {\n\tchain c {\n\t\ttcp dport lots accept\n\t}\n}\n")
	service := repository(t) + "/service"
	c.save("pith.yaml", fmt.Sprintf(`
name: wrong
networks:
  a: {subnet: 10.0.0.0/24}
  b: {subnet: 10.0.0.128/25}
  c: {subnet: 10.2.0.0/24, vlan: 7}
  a: {subnet: 10.4.0.0/24}
volumes: {data: }
services:
  one: {build: ., networks: {a: {ipv4_address: 10.9.9.9}}}
  two: {build: ., networks: {c: {ipv4_address: 10.2.0.5}}, depends_on: [three]}
  three: {build: ., networks: {c: {ipv4_address: 10.2.0.5}}, depends_on: [two, fuor]}
  four: {build: ., networks: [d]}
  five: {build: ., networks: [c], addresses: [10.2.0.6], routes: [10.7.0.0/16@10.2.0.99]}
  six: {build: ., networks: [c], ports: ["%d:80"]}
  dns: {build: %s/dns/cmd/dns, networks: [c], args: [-zone, example.org=/etc/zone], files: ["bad.zone:/etc/zone"]}
  six: {build: ., networks: [c]}
  lost: {build: %[2]s/dns/cmd/dns, networks: [c], args: [-zone=example.org=/etc/zone]}
  firewall: {build: %[2]s/firewall/cmd/firewall, networks: [c], args: [-config, /etc/firewall.yaml], files: ["firewall.yaml:/etc/firewall.yaml", "bad.nft:/etc/bad.nft"]}
`, taken.Addr().(*net.TCPAddr).Port, service))
	for _, verb := range []string{"plan", "up"} {
		r := c.pith(verb)
		if r.code != 2 || r.out != "" {
			t.Errorf("%s: exit code %d, output %q", verb, r.code, r.out)
		}
		for _, want := range []string{
			"pith.yaml:5:", "10.0.0.128/25 of network b overlaps 10.0.0.0/24 of network a",
			"pith.yaml:10:", "10.9.9.9 is not in network a",
			"pith.yaml:11:", "these depend on one another in a circle: two → three → two",
			"pith.yaml:12:", "two has address 10.2.0.5 of network c already",
			`there is no service "fuor": do you mean four?`,
			"pith.yaml:13:", `there is no network "d"`,
			"pith.yaml:14:", "nobody in network c has the address 10.2.0.99",
			"pith.yaml:15:", "another program on this host uses it",
			"network c: a VLAN is carried by another network",
			`pith.yaml:7:3: "a" stands here for the second time: the first is in line 4`,
			`pith.yaml:17:3: "six" stands here for the second time: the first is in line 15`,
			"bad.zone:3: ", "10.0.0.300",
			"lost: zone example.org is to be in /etc/zone, where no file is put",
			"bad.nft:3:", "lots",
		} {
			if !strings.Contains(r.err, want) {
				t.Errorf("%s: no %q in:\n%s", verb, want, r.err)
			}
		}
	}
	if len(c.instances()) > 0 {
		t.Errorf("there are machines: %v", c.instances())
	}
}
