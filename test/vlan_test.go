package test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pith/machine"
)

// vlanManifest is a router on a stick: its only card carries two VLANs.
const vlanManifest = `
name: vlans
networks:
  trunk: {}
  office: {parent: trunk, vlan: 10, subnet: [10.1.0.0/24, "fd01::/64"]}
  servers: {parent: trunk, vlan: 20, subnet: [10.2.0.0/24, "fd02::/64"]}
services:
  router:
    build: %[1]s/service/router/cmd/router
    args: [-config, /etc/router.yaml]
    files: ["router.yaml:/etc/router.yaml"]
    forward: true
    memory: 128M
    networks: {trunk: {addresses: [10.1.0.254/24, 10.2.0.254/24, "fd01::fe/64", "fd02::fe/64"]}}
    healthcheck: {http: /healthz, port: 9100}
  web:
    build: %[1]s/service/web/cmd/web
    memory: 128M
    networks: {servers: {addresses: [10.2.0.5, "fd02::5"], gateway: [10.2.0.254, "fd02::fe"]}}
    healthcheck: {http: /healthz}
`

const vlanRouter = `
interfaces:
  - {name: office, port: eth0, vlan: 10, addresses: [10.1.0.254/24, "fd01::fe/64"]}
  - {name: servers, port: eth0, vlan: 20, addresses: [10.2.0.254/24, "fd02::fe/64"]}
metrics: ":9100"
`

// TestVLANs: machines in two VLANs of one network reach each other by the router whose
// card carries both, and in no other way.
func TestVLANs(t *testing.T) {
	for _, kind := range machine.Kinds {
		t.Run(kind, func(t *testing.T) { checkVLANs(newDeployment(t, "vlan", kind), kind) })
	}
}

func checkVLANs(d deployment, kind string) {
	source, err := filepath.Abs("..")
	if err != nil {
		d.Fatal(err)
	}
	folder := d.TempDir()
	for name, text := range map[string]string{"pith.yaml": fmt.Sprintf(vlanManifest, source), "router.yaml": vlanRouter} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			d.Fatal(err)
		}
	}
	before := d.hostTraces()
	d.up(kind, folder)
	office := d.newClient("office", "10.1.0.10/24", "10.1.0.254")
	in := "pith-" + d.name + "-office"
	runIP(d.T, "-n", in, "addr", "add", "fd01::10/64", "dev", "eth0", "nodad")
	runIP(d.T, "-n", in, "-6", "route", "add", "default", "via", "fd01::fe")
	for _, host := range []string{"10.2.0.5", "[fd02::5]"} {
		if text := d.page(office, "http://"+host+"/openapi.json"); len(text) < 8000 {
			d.Errorf("from %s comes %.100q by the router", host, text)
		}
	}
	servers := d.newClient("servers", "10.2.0.10/24", "10.2.0.254")
	if !d.reaches(servers, "10.2.0.5:80") {
		d.Error("a host in the web server's own VLAN doesn't reach it")
	}
	// Hosts that pretend to be in that VLAN, but have their cards elsewhere.
	for network, address := range map[string]string{"office": "10.2.0.11/24", "trunk": "10.2.0.12/24"} {
		c := office
		if network == "office" {
			runIP(d.T, "-n", in, "addr", "add", address, "dev", "eth0")
		} else {
			c = d.newClient(network, address, "10.2.0.254")
		}
		if d.reaches(c, "10.2.0.5:80") {
			d.Errorf("a host in %s reaches into VLAN 20 without the router", network)
		}
		c.Remove()
	}
	servers.Remove()
	d.must("down", d.name)
	if after := d.hostTraces(); after != before {
		d.Errorf("left on the host:\n%s\nbefore:\n%s", after, before)
	}
}

// page fetches a page, patiently until it comes.
func (d deployment) page(c client, url string) string {
	d.Helper()
	get := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		return c.Dial(ctx, network, address)
	}}}
	for end := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		answer, err := get.Get(url)
		if err == nil {
			text, readErr := io.ReadAll(answer.Body)
			answer.Body.Close()
			if err = readErr; err == nil && answer.StatusCode == http.StatusOK {
				return strings.TrimSpace(string(text))
			}
		}
		if time.Now().After(end) {
			d.Fatalf("%s doesn't come: %v\n%s", url, err, d.keeperLog())
		}
	}
}
