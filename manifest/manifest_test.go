package manifest

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"pith"
)

// folder makes a folder with empty files in it, and folders where a name ends
// with "/".
func folder(t testing.TB, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		path := filepath.Join(dir, name)
		parent := filepath.Dir(path)
		if strings.HasSuffix(name, "/") {
			parent = path
		}
		if err := os.MkdirAll(parent, 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			continue
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestSingle(t *testing.T) {
	dir := folder(t, "Corefile", "zones/example.org", "cmd/dns/")
	m, err := Parse(filepath.Join(dir, FileName), []byte(`
name: dns
build: ./cmd/dns
memory: 64M
cpus: 2
args: [-conf, /etc/Corefile]
env: {UPSTREAM: 9.9.9.9, DEBUG: 1}
files:
  - Corefile:/etc/Corefile
  - zones
networks: [user, "bridge:br0"]
ports: ["5353:53/udp"]
routes: [10.1.0.0/16@10.0.0.9]
override: [env]
`))
	if pith.ExitCode(err) != 2 || !strings.Contains(err.Error(), ":13:10: 10.0.0.9 can't be reached by dns") {
		t.Fatalf("a route without an address: %v", err)
	}
	m, err = Parse(filepath.Join(dir, FileName), []byte(`
name: dns
build: ./cmd/dns
memory: 64M
cpus: 2
args: [-conf, /etc/Corefile]
env: {UPSTREAM: 9.9.9.9, DEBUG: 1}
files:
  - Corefile:/etc/Corefile
  - zones
volumes: ["cache:/var/cache", "./zones:/srv:ro"]
networks:
  bridge:br0: {addresses: [10.0.0.5/24], gateway: 10.0.0.1}
routes: [10.1.0.0/16@10.0.0.9]
override: [env]
`))
	if err != nil {
		t.Fatal(err)
	}
	want := pith.Service{
		Name: "dns", Kind: pith.Unikernel, Build: filepath.Join(dir, "cmd/dns"),
		Memory: 64 << 20, CPUs: 2, Args: []string{"-conf", "/etc/Corefile"},
		Env: []string{"DEBUG=1", "UPSTREAM=9.9.9.9"},
		Files: []pith.File{
			{Source: filepath.Join(dir, "Corefile"), Target: "/etc/Corefile"},
			{Source: filepath.Join(dir, "zones"), Target: "/zones"},
		},
		Mounts: []pith.Mount{{Volume: "cache", Target: "/var/cache"}, {Source: filepath.Join(dir, "zones"), Target: "/srv", ReadOnly: true}},
		Links: []pith.ServiceLink{{
			Network: "bridge:br0",
			Addrs:   []netip.Prefix{netip.MustParsePrefix("10.0.0.5/24")},
			Gateway: []netip.Addr{netip.MustParseAddr("10.0.0.1")},
		}},
		Routes:   []pith.Route{{To: netip.MustParsePrefix("10.1.0.0/16"), Via: netip.MustParseAddr("10.0.0.9")}},
		Replicas: 1, Restart: pith.RestartPolicy{When: pith.RestartNo}, Override: []string{"env"},
	}
	if !reflect.DeepEqual(m.Services[0], want) {
		t.Errorf("got  %+v\nwant %+v", m.Services[0], want)
	}
}

// dmz is the system of the example, with every key in it that a service has.
const dmz = `
name: dmz
networks:
  external: {subnet: 192.168.100.0/24, gateway: 192.168.100.1}
  firewall: {subnet: 192.168.101.0/29}
  dmz: {ipam: {config: [{subnet: 10.0.0.0/24}]}}
volumes: {data: {size: 64M}}
configs: {zone: {file: ./zone}}
secrets: {key: {file: ./key}}
x: &small {memory: 32M, restart: on-failure:3}
services:
  firewall:
    build: ./firewall
    networks:
      external: {ipv4_address: 192.168.100.254}
      firewall: {ipv4_address: 192.168.101.3}
    routes: [10.0.0.0/24@192.168.101.2]
  router:
    build: ./router
    networks: [firewall, dmz]
    addresses: [192.168.101.2, 10.0.0.254]
    routes: [default@192.168.101.3]
  dns:
    <<: *small
    build: ./dns
    networks: {dmz: {ipv4_address: 10.0.0.100, gateway: 10.0.0.254}}
    configs: [zone, {source: zone, target: /etc/zone}]
    secrets: [key]
    healthcheck: {dns: web.example.org, interval: 2s}
  web:
    <<: *small
    build: ./web
    machine: container
    networks: {dmz: {ipv4_address: 10.0.0.5, gateway: 10.0.0.254}}
    volumes: ["data:/data"]
    depends_on: {dns: {condition: service_healthy}, router: }
    healthcheck: {http: /healthz, port: 8080}
    restart: always
    deploy: {resources: {limits: {cpus: 2}}}
`

func parseDMZ(t testing.TB, text string) (*Manifest, error) {
	dir := folder(t, "zone", "key", "firewall/", "router/", "dns/", "web/")
	return Parse(filepath.Join(dir, FileName), []byte(text))
}

func TestSeveral(t *testing.T) {
	if _, err := parseDMZ(t, dmz); err == nil || !strings.Contains(err.Error(), `:10:1: there is no key "x"`) {
		t.Fatalf("an unknown key at the top: %v", err)
	}
	// Anchors stand where they are first used.
	text := strings.Replace(dmz, "x: &small {memory: 32M, restart: on-failure:3}\n", "", 1)
	text = strings.Replace(text, "    <<: *small\n    build: ./dns\n", "    &small\n    memory: 32M\n    build: ./dns\n", 1)
	text = strings.Replace(text, "  dns:\n    &small\n", "  dns:\n", 1)
	text = strings.Replace(text, "    <<: *small\n", "    memory: 32M\n", 1)
	m, err := parseDMZ(t, text)
	if err != nil {
		t.Fatal(err)
	}
	web := m.Service("web")
	if web.Kind != pith.Container || web.CPUs != 2 || web.Memory != 32<<20 || web.Restart.When != pith.RestartAlways {
		t.Errorf("web is %+v", web)
	}
	if h := web.Health; h == nil || h.Kind != pith.ProbeHTTP || h.Path != "/healthz" || h.Port != 8080 || h.Interval != 10*time.Second {
		t.Errorf("web's check is %+v", web.Health)
	}
	if h := m.Service("dns").Health; h.Port != 53 || h.Query != "web.example.org" || h.Interval != 2*time.Second {
		t.Errorf("the check of dns is %+v", h)
	}
	router := m.Service("router")
	if got := router.Links[1].Addrs; len(got) != 1 || got[0] != netip.MustParsePrefix("10.0.0.254/24") {
		t.Errorf("the router's second card has %v", got)
	}
	if got := m.Service("dns").Configs; len(got) != 2 || got[0].Target != "/zone" || got[1].Target != "/etc/zone" {
		t.Errorf("dns is given %v", got)
	}
	if got := m.Service("dns").Secrets; len(got) != 1 || got[0].Target != "/run/secrets/key" {
		t.Errorf("dns is given %v", got)
	}
	var order []string
	for _, s := range m.Order() {
		order = append(order, s.Name)
	}
	if got := strings.Join(order, " "); got != "firewall router dns web" {
		t.Errorf("the order is %s", got)
	}
}

func TestAnchors(t *testing.T) {
	dir := folder(t, "a/")
	m, err := Parse(filepath.Join(dir, FileName), []byte(`
services:
  a: &a {build: ./a, memory: 32M, cpus: 2}
  b:
    <<: *a
    memory: 64M
  c: *a
`))
	if err != nil {
		t.Fatal(err)
	}
	if b, c := m.Service("b"), m.Service("c"); b.Memory != 64<<20 || b.CPUs != 2 || c.Memory != 32<<20 {
		t.Errorf("b is %+v\nc is %+v", b, c)
	}
	bomb := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for _, c := range "bcdefgh" {
		bomb += strings.ReplaceAll("N: &N [*P, *P, *P, *P, *P, *P, *P, *P, *P, *P]\n", "N", string(c))
		bomb = strings.ReplaceAll(bomb, "*P", "*"+string(c-1))
	}
	if _, err := Parse("pith.yaml", []byte(bomb)); pith.ExitCode(err) != 2 || !strings.Contains(err.Error(), "more than a manifest can hold") {
		t.Errorf("a file that stands for ten million values: %v", err)
	}
}

// TestDeep: a file of nothing but brackets or dashes is refused before the parser
// sees it, however long it is.
func TestDeep(t *testing.T) {
	for _, unit := range []string{"[", "{a: ", "- "} {
		_, err := Parse("pith.yaml", []byte("name: a\nargs:\n  "+strings.Repeat(unit, maxSize/len(unit))))
		if pith.ExitCode(err) != 2 || !strings.Contains(err.Error(), "pith.yaml:3:") || !strings.Contains(err.Error(), "deep") {
			t.Errorf("%q: %v", unit, err)
		}
	}
}

// TestDefaultNetwork: services that name no network are joined as in compose; one alone
// needs no rights.
func TestDefaultNetwork(t *testing.T) {
	dir := folder(t, "a/")
	for text, want := range map[string]pith.NetworkKind{
		"services: {a: {build: ./a}}":                                                   pith.NetworkUser,
		"services: {a: {build: ./a}, b: {build: ./a}}":                                  pith.NetworkBridge,
		"services: {a: {build: ./a, replicas: 2}}":                                      pith.NetworkBridge,
		"networks: {default: {driver: user}}\nservices: {a: {build: ./a, replicas: 2}}": pith.NetworkUser,
	} {
		m, err := Parse(filepath.Join(dir, FileName), []byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if n := m.Network("default"); n == nil || n.Kind != want {
			t.Errorf("%s: the network is %+v, want one of driver %s", text, n, want)
		}
	}
}

// TestMistakes: each file has the mistakes that it lists, and no others.
func TestMistakes(t *testing.T) {
	dir := folder(t, "a/", "Corefile")
	service := func(lines ...string) string {
		return "services:\n  a:\n    build: ./a\n    " + strings.Join(lines, "\n    ") + "\n"
	}
	nets := "networks:\n  x: {subnet: 10.0.0.0/24}\n  y: {subnet: 10.0.1.0/24}\n"
	for _, c := range []struct{ text, want string }{
		{"memroy: 64\ncpu: 2\nargs: 7\ncpus: 99", "1:1: there is no key \"memroy\": do you mean \"memory\"?|2:1: there is no key \"cpu\": do you mean \"cpus\"?|3:7: a list is expected here, not a value|4:7: \"99\" is no whole number from 1 to 64"},
		{"name: Web!", "1:7: \"Web!\" can't be a name"},
		{"a: b: c", "this is no YAML"},
		{"name: a\nname: b", "2:1: "},
		{"[1, 2]", "1:1: a manifest is a mapping"},
		{"name: a\n---\nname: b", "3:5: a manifest is one document"},
		{"name: *x", "1:7: there is no anchor &x before this alias"},
		{"memory: lots", "1:9: \"lots\" is no amount of memory"},
		{"memory: 1", "1:9: 1 MiB is too little memory"},
		{"files: [Corefile, missing:/x]", "1:19: there is no file missing"},
		{"volumes: ['./missing:/x']", "1:11: there is no folder ./missing"},
		{"volumes: ['./Corefile:/x']", "1:11: ./Corefile is no folder"},
		{"files: ['Corefile:x']", "1:9: \"Corefile:x\" is no file to pack"},
		{"name: a\nfiles: ['Corefile:/x', 'a:/x']", "2:24: a gives two things the path /x"},
		{"override: [files]", "1:12: \"files\" is not one of args, cpus, env, memory"},
		{"env: [A=1, A=2, B]", "1:17: \"B\" is no environment variable"},
		{"env: [A=1, A=2]", "1:12: A is set twice"},
		{"ports: ['80:80', '80:81', 'x:1']", "1:27: port \"x:1\""},
		{"ports: ['80:80', '0.0.0.0:80:81']", "1:18: "},
		{"networks: ['bridge:b']\nports: ['80:80']", "2:9: ports are published on the user network only"},
		{"networks: [lan]", "1:12: there is no network \"lan\": use user, tap:NAME or bridge:NAME"},
		{"networks: ['bridge:br0']\naddresses: [10.0.0.1]", "2:13: 10.0.0.1 needs its prefix length"},
		{"networks: ['bridge:br0']\naddresses: [10.0.0.255/24]", "2:13: 10.0.0.255 can't be a machine's address: it is the subnet's broadcast"},
		{"services: {}", "1:"},
		{"services: {a: {image: ./a, build: ./a}, b: {}}", "1:23: a has both build and image|1:41: b has nothing to run"},
		{service("healthcheck: {test: [CMD, x]}"), "4:19: \"test\" can't be had"},
		{service("healthcheck: {http: /, tcp: 80}"), "a health check asks in one way"},
		{service("healthcheck: {http: x}"), "4:25: \"x\" is no path to ask for"},
		{service("healthcheck: {dns: a..b}"), "\"a..b\" is no name to ask"},
		{service("healthcheck: {tcp: 80, timeout: 0s}"), "4:18: interval and timeout of a health check are longer than 0s"},
		{service("depends_on: [b]"), "4:18: there is no service \"b\": there are a"},
		{service("depends_on: [a]"), "in a circle: a → a"},
		{service("depends_on: [b]") + "  b: {build: ./a, depends_on: {c: {condition: service_started}}}\n  c: {build: ./a, depends_on: [a]}\n", "2:3: these depend on one another in a circle: a → b → c → a"},
		{service("networks: [z]") + nets, "4:16: there is no network \"z\": there are x, y"},
		{service("volumes: ['d:/d']"), "4:15: there is no volume \"d\": it names none"},
		{service("configs: [zone]"), "4:15: there is no \"zone\" under configs: it names none"},
		{service("networks: {x: {ipv4_address: 10.0.1.9}}") + nets, "4:34: 10.0.1.9 is not in network x, whose subnet is 10.0.0.0/24"},
		{service("networks: [x]", "addresses: [10.0.0.5]") + "  b: {build: ./a, networks: [x], addresses: [10.0.0.5]}\n" + nets, "6:46: a has address 10.0.0.5 of network x already"},
		{service("networks: {x: {mac_address: '52:54:00:00:00:01'}}") + "  b: {build: ./a, networks: {x: {mac_address: '52:54:00:00:00:01'}}}\n" + nets, "5:47: a and b have the same MAC address"},
		{service("networks: [x]", "addresses: [10.0.0.253]", "replicas: 3") + nets, "5:17: "},
		{service("networks: [x]", "addresses: [10.0.0.5]", "routes: [10.9.0.0/16@10.0.1.1]") + nets, "6:14: 10.0.1.1 can't be reached by a"},
		{service("networks: [x]", "addresses: [10.0.0.5]", "routes: [10.9.0.0/16@10.0.0.1]") + nets, "6:14: nobody in network x has the address 10.0.0.1"},
		{service("networks: [x]", "addresses: [10.0.0.5]", "routes: [10.0.1.0/24@10.0.0.6]") + "  b: {build: ./a, networks: [x], addresses: [10.0.0.6]}\n" + nets, "there is no way to 10.0.1.0/24: b is not in it and has no route to it"},
		{service("networks: [x]", "addresses: [10.0.0.5]", "routes: [10.0.1.0/24@10.0.0.6]") + "  b: {build: ./a, networks: [x], addresses: [10.0.0.6], routes: [10.0.1.0/24@10.0.0.5]}\n" + nets, "goes in a circle: a → b → a|goes in a circle: b → a → b"},
		{"networks: {x: {subnet: 10.0.0.0/8}, y: {subnet: 10.1.0.0/16}}\n" + service(), "1:49: 10.1.0.0/16 of network y overlaps 10.0.0.0/8 of network x"},
		{"networks: {x: {subnet: 10.0.0.1/8}}\n" + service(), "the subnet is 10.0.0.0/8"},
		{"networks: {x: {subnet: 10.0.0.0/8, gateway: 11.0.0.1}}\n" + service(), "11.0.0.1 is not in network x"},
		{"networks: {x: {}, y: {parent: z, vlan: 5}}\n" + service(), "1:31: there is no network \"z\""},
		{"networks: {x: {}, y: {parent: x}}\n" + service(), "1:31: network y is carried by x: write by which tag"},
		{"networks: {x: {driver: user}, y: {parent: x, vlan: 5}}\n" + service(), "network x can't carry y"},
		{"networks: {x: {}, y: {parent: x, vlan: 5, bridge: br0}}\n" + service(), "network y is carried by x: it has no bridge"},
		{"networks: {x: {}, y: {parent: x, vlan: 5}, z: {parent: x, vlan: 5}}\n" + service(), "networks y and z are the same: VLAN 5 of x"},
		{"networks: {x: {}, y: {parent: x, vlan: 5, mtu: 1501}}\n" + service(), "network y has MTU 1501, and x, which carries it, 1500"},
		{"networks: {x: {}, y: {parent: x, vlan: 5, subnet: 10.0.0.0/24}}\n" + service("networks: [x]", "addresses: [10.0.0.5/24]"), "6:17: 10.0.0.5 is in network y, a VLAN of x: it takes a service with forward: true"},
		{"networks: {x: {}, y: {parent: x, vlan: 5, subnet: 10.0.0.0/24}}\n" + service("networks: [x]", "addresses: [10.0.0.5/24]", "forward: true") + "  b: {build: ./a, networks: [y], addresses: [10.0.0.5]}\n", "a has address 10.0.0.5 of network y already"},
		{service("restart: sometimes"), "4:14: \"sometimes\" is no restart policy"},
		{service("replicas: 2", "ports: ['80:80']"), "5:13: 2 replicas can't share port"},
		{service() + "  A: {build: ./a}\n", "\"A\" can't be a name here"},
		{"services:\n  a:\n", "2:"},
	} {
		_, err := Parse(filepath.Join(dir, FileName), []byte(c.text))
		var report Report
		if pith.ExitCode(err) != 2 || !errors.As(err, &report) {
			t.Errorf("%s\nis taken, or refused without a report: %v", c.text, err)
			continue
		}
		wants := strings.Split(c.want, "|")
		if len(wants) != len(report) {
			t.Errorf("%s\nhas %d mistakes, not %d:\n%v", c.text, len(report), len(wants), err)
			continue
		}
		for i, want := range wants {
			if !strings.Contains(report[i].Error(), want) {
				t.Errorf("%s\ngot  %v\nwant  %s", c.text, report[i], want)
			}
		}
	}
}

func TestSchemaFile(t *testing.T) {
	path := filepath.Join("..", "docs", "pith.schema.json")
	if os.Getenv("PITH_UPDATE") != "" {
		if err := os.WriteFile(path, Schema(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(committed, Schema()) {
		t.Error("docs/pith.schema.json is not what the table says: PITH_UPDATE=1 go test ./manifest writes it anew")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(dmz))
	f.Add([]byte("name: a\nmemory: 64M\nfiles: [x:/y]\nnetworks: {bridge:br0: {addresses: 10.0.0.1/24}}\n"))
	f.Add([]byte("a: &a [*a]\n<<: *a\n"))
	f.Add([]byte("services: {a: {build: x, healthcheck: {tcp: 1}, routes: [default@::1]}}"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Parse(filepath.Join(dir, FileName), data)
		if err == nil && len(m.Services) == 0 {
			t.Error("a manifest without a service is taken")
		}
		if err != nil && pith.ExitCode(err) != 2 {
			t.Errorf("not a user's mistake: %v", err)
		}
	})
}
