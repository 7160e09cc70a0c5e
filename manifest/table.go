package manifest

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"pith"
	"pith/machine"
)

// refused are keys of compose files that have no meaning here.
var refused = map[string]string{
	"test":           "no command runs inside a machine; ask with http, tcp, dns or udp",
	"entrypoint":     "the program itself is the entry; its arguments are args",
	"privileged":     "a machine has nothing to be privileged over",
	"container_name": "the instance's name follows from the service's",
	"user":           "a machine has one user",
	"network_mode":   "name the networks under networks",
	"env_file":       "write the variables under env",
	"uid":            "a machine has one user",
	"gid":            "a machine has one user",
}

// Shapes of values.
var (
	anyText     = &shape{form: scalar}
	textList    = &shape{form: list, item: anyText}
	count       = &shape{form: scalar, number: true, most: 1000}
	cpus        = &shape{form: scalar, number: true, least: 1, most: machine.MaxCPUs}
	portNumber  = &shape{form: scalar, number: true, least: 1, most: math.MaxUint16}
	flag        = &shape{form: scalar, boolean: true}
	memory      = &shape{form: scalar, parse: parses(machine.ParseMemory)}
	size        = memory
	duration    = &shape{form: scalar, parse: checkDuration}
	address     = &shape{form: scalar, parse: parses(parseAddr)}
	addressList = orOne(address)
	subnet      = &shape{form: scalar, parse: parses(parseSubnet)}
	published   = &shape{form: scalar, parse: parses(machine.ParsePort)}
	absolute    = &shape{form: scalar, parse: checkAbsolute}
	mac         = &shape{form: scalar, parse: checkMAC}
	label       = &shape{form: scalar, parse: checkLabel}
	restart     = &shape{form: scalar, parse: parses(parseRestart)}
	// cardAddress is an address, with or without its prefix length.
	cardAddress = &shape{form: scalar, parse: checkCardAddress}
	routeText   = &shape{form: scalar, parse: parses(parseRoute)}
	variable    = &shape{form: scalar, parse: checkVariable}
)

// Names.
var (
	labelPattern    = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	variablePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)
	namePattern     = regexp.MustCompile(`^[a-z0-9]([a-z0-9_.-]{0,61}[a-z0-9])?$`)
	modePattern     = regexp.MustCompile(`^(user|(tap|bridge):[A-Za-z0-9][A-Za-z0-9._-]{0,14})$`)
)

const nameRule = "use 1 to 63 of a-z, 0-9, -, _ and ."

// named is a mapping whose keys are names.
func named(item *shape) *shape {
	return &shape{form: mapping, keys: namePattern, doc: nameRule, item: item}
}

// orOne is a list, or its only item.
func orOne(item *shape) *shape {
	return &shape{form: list, item: item, or: []*shape{item}}
}

func fields(f map[string]field) *shape { return &shape{form: mapping, fields: f} }

var environment = &shape{
	form: mapping, keys: variablePattern, doc: "a variable begins with a letter or _", item: anyText,
	or: []*shape{{form: list, item: variable}},
}

var file = &shape{
	form: scalar, parse: checkFile,
	or: []*shape{fields(map[string]field{
		"source": {"a file or folder, from the manifest's folder", anyText},
		"target": {"where it is in the machine; without it, its own path under /", absolute},
	})},
}

var given = &shape{
	form: scalar,
	or: []*shape{fields(map[string]field{
		"source": {"the name under configs or secrets, or a file", anyText},
		"target": {"where it is in the machine", absolute},
		"mode":   {"its permissions, 0444 or of a secret 0400", &shape{form: scalar, parse: parses(parseMode)}},
	})},
}

var mount = &shape{
	form: scalar, parse: checkMount,
	or: []*shape{fields(map[string]field{
		"type":      {"volume or bind; it follows from the source", &shape{form: scalar, enum: []string{"volume", "bind"}}},
		"source":    {"a volume's name, or a folder that begins with . or /", anyText},
		"target":    {"where it is in the machine", absolute},
		"read_only": {"nothing can be written there", flag},
	})},
}

var port = &shape{
	form: scalar, parse: published.parse,
	or: []*shape{fields(map[string]field{
		"target":    {"the machine's port", portNumber},
		"published": {"the host's port; a free one without it", portNumber},
		"host_ip":   {"the host's address, 127.0.0.1 without it", address},
		"protocol":  {"tcp or udp", &shape{form: scalar, enum: []string{"tcp", "udp"}}},
	})},
}

var route = &shape{
	form: scalar, parse: routeText.parse,
	or: []*shape{fields(map[string]field{
		"to":  {"the destination, as in 10.1.0.0/16, or default", &shape{form: scalar, parse: parses(parseDestination)}},
		"via": {"the router's address in one of the service's networks", address},
	})},
}

var card = fields(map[string]field{
	"addresses":    {"addresses in the network; its prefix length can be left out", orOne(cardAddress)},
	"ipv4_address": {"the IPv4 address", cardAddress},
	"ipv6_address": {"the IPv6 address", cardAddress},
	"mac_address":  {"as in 52:54:00:12:34:56", mac},
	"gateway":      {"the way out, at most one a family", addressList},
})

// cards are a service's networks: their names, or what it has in each.
var cards = &shape{
	form: list, item: anyText,
	or: []*shape{{form: mapping, keys: regexp.MustCompile(`^[A-Za-z0-9:._-]{1,63}$`), doc: nameRule, item: optional(card)}},
}

func optional(s *shape) *shape {
	c := *s
	c.optional = true
	return &c
}

var needs = &shape{
	form: list, item: anyText,
	or: []*shape{named(optional(fields(map[string]field{
		"condition": {"what it must have reached", &shape{form: scalar, enum: []string{string(pith.Started), string(pith.Healthy), string(pith.Completed)}}},
	})))},
}

var health = fields(map[string]field{
	"http":         {"ask by GET for this path, as in /healthz", &shape{form: scalar, parse: checkPath}},
	"tcp":          {"connect to this port", portNumber},
	"udp":          {"send an empty datagram to this port; only a refusal is a failure", portNumber},
	"dns":          {"ask for this name", anyText},
	"port":         {"of http (80) and dns (53)", portNumber},
	"interval":     {"between questions, 10s", duration},
	"timeout":      {"of one question, 3s", duration},
	"retries":      {"failures in a row that make it unhealthy, 3", &shape{form: scalar, number: true, least: 1, most: 1000}},
	"start_period": {"failures in this time after the start don't count, 0s", duration},
	"disable":      {"true is no check", flag},
})

var deploy = fields(map[string]field{
	"replicas": {"how many instances", count},
	"resources": {"limits", fields(map[string]field{
		"limits": {"of an instance", fields(map[string]field{"cpus": {"CPUs", cpus}, "memory": {"memory", memory}})},
	})},
	"restart_policy": {"see restart", fields(map[string]field{
		"condition":    {"none, on-failure or any", &shape{form: scalar, enum: []string{"none", "on-failure", "any"}}},
		"max_attempts": {"times in a row", count},
	})},
})

// programFields are the keys of a program, at the top level or of a service.
var programFields = map[string]field{
	"build":       {"what is built: a directory, a package path or module@version", anyText},
	"stack":       {"the network stack", &shape{form: scalar, enum: []string{pith.StackInet, pith.StackGvisor}}},
	"memory":      {"a machine's memory: MiB, or with a unit as in 64M or 1G", memory},
	"cpus":        {"a machine's CPUs", cpus},
	"args":        {"the program's arguments, without its name", textList},
	"command":     {"the same as args, as compose has it", textList},
	"env":         {"environment variables, as a mapping or a list of KEY=VALUE", environment},
	"environment": {"the same as env, as compose has it", environment},
	"working_dir": {"the program's working directory", absolute},
	"files":       {"files and folders packed read-only into the image: SOURCE:TARGET", &shape{form: list, item: file}},
	"volumes":     {"disks and host folders: NAME:TARGET[:ro] or ./FOLDER:TARGET[:ro]", &shape{form: list, item: mount}},
	"networks":    {"the networks that it has a card in", cards},
	"addresses":   {"addresses in its networks, each in the network whose subnet has it", orOne(cardAddress)},
	"routes":      {"further routes: DESTINATION@ROUTER", &shape{form: list, item: route}},
	"dns":         {"DNS servers", addressList},
	"ports":       {"ports on the host: [ADDRESS:]HOST:PORT[/udp]", &shape{form: list, item: port}},
	"override":    {"what an instance may set otherwise than the image; all of it without this", &shape{form: list, item: &shape{form: scalar, enum: pith.OverrideNames}}},
	"machine":     {"what an instance is", &shape{form: scalar, enum: kinds()}},
	"forward":     {"true for a router or firewall: its cards are the program's own", flag},
	"restart":     {"no, always, on-failure[:TIMES] or unless-stopped", restart},
}

func kinds() (names []string) {
	for _, k := range pith.MachineKinds {
		names = append(names, string(k))
	}
	return names
}

// serviceFields are those of a service beside the program's.
var serviceFields = map[string]field{
	"image":       {"an image file, in place of build", anyText},
	"configs":     {"files given to each instance when it starts", &shape{form: list, item: given}},
	"secrets":     {"files given to each instance that are never shown", &shape{form: list, item: given}},
	"depends_on":  {"services that must be there before", needs},
	"healthcheck": {"how to ask whether it works", health},
	"replicas":    {"how many instances, 1", count},
	"deploy":      {"replicas and limits, as compose has them", deploy},
}

var network = fields(map[string]field{
	"driver":  {"bridge, or user: without root", &shape{form: scalar, enum: []string{string(pith.NetworkBridge), string(pith.NetworkUser)}}},
	"bridge":  {"a bridge of the host that is there already", &shape{form: scalar, parse: checkInterface}},
	"subnet":  {"as in 10.0.0.0/24, at most one a family", orOne(subnet)},
	"gateway": {"the host's own address in the network; it has none without it", addressList},
	"parent":  {"the network that carries its frames, with the tag vlan", anyText},
	"vlan":    {"802.1Q tag", &shape{form: scalar, number: true, least: 1, most: 4094}},
	"mtu":     {"bytes", &shape{form: scalar, number: true, least: 576, most: 65535}},
	"ipam": {"subnets as compose has them", fields(map[string]field{
		"config": {"subnets", &shape{form: list, item: fields(map[string]field{
			"subnet": {"as in 10.0.0.0/24", subnet}, "gateway": {"the host's own address", address},
		})}},
	})},
})

var volume = fields(map[string]field{
	"size": {"as in 512M or 10G", size},
	"path": {"the file that keeps it; without it, Pith does", anyText},
})

// Where a config comes from: one of these. A secret is not written into a file that
// others read.
var (
	configOrigin = fields(join(secretOrigin.fields, map[string]field{"content": {"what is in it", anyText}}))
	secretOrigin = fields(map[string]field{
		"file":        {"the file, from the manifest's folder", anyText},
		"environment": {"the variable of whoever runs pith up that has it", &shape{form: scalar, parse: checkVariableName}},
	})
)

func originsOf(key string) *shape {
	if key == "secrets" {
		return secretOrigin
	}
	return configOrigin
}

// The two forms of a manifest.
var (
	singleTable  = fields(join(map[string]field{"name": {"the program's name", label}}, programFields))
	severalTable = fields(map[string]field{
		"name":     {"the deployment's name; without it, its folder's", label},
		"version":  {"of the compose file; it means nothing", anyText},
		"networks": {"networks by their names", named(optional(network))},
		"volumes":  {"disks by their names", named(optional(volume))},
		"configs":  {"files by their names", named(configOrigin)},
		"secrets":  {"files by their names", named(secretOrigin)},
		"services": {"services by their names", &shape{form: mapping, keys: labelPattern, doc: "use 1 to 63 of a-z, 0-9 and -, not beginning or ending with -", item: fields(join(programFields, serviceFields))}},
	})
)

func join(a, b map[string]field) map[string]field {
	c := maps.Clone(a)
	maps.Copy(c, b)
	return c
}

// parses makes a check of a parser.
func parses[T any](parse func(string) (T, error)) func(string) error {
	return func(s string) error {
		_, err := parse(s)
		return err
	}
}

func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || a.Is4In6() {
		return a, fmt.Errorf("%q is no IP address", s)
	}
	return a, nil
}

func parseSubnet(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return p, fmt.Errorf("%q is no subnet: write it as in 10.0.0.0/24", s)
	}
	if p != p.Masked() {
		return p, fmt.Errorf("%s is an address in a subnet: the subnet is %s", s, p.Masked())
	}
	return p, nil
}

func checkCardAddress(s string) error {
	if strings.Contains(s, "/") {
		if p, err := netip.ParsePrefix(s); err != nil || p.Addr().Is4In6() {
			return fmt.Errorf("%q is no address with its prefix length: write it as in 10.0.0.5/24", s)
		}
		return nil
	}
	_, err := parseAddr(s)
	return err
}

// parseDestination reads a subnet; "default" is an invalid Prefix, because its
// family is the router's.
func parseDestination(s string) (netip.Prefix, error) {
	if s == "default" {
		return netip.Prefix{}, nil
	}
	return parseSubnet(s)
}

func parseRoute(s string) (pith.Route, error) {
	to, via, ok := strings.Cut(s, "@")
	if !ok {
		return pith.Route{}, fmt.Errorf("%q is no route: write DESTINATION@ROUTER, as in 10.1.0.0/16@10.0.0.9", s)
	}
	destination, err := parseDestination(to)
	if err != nil {
		return pith.Route{}, err
	}
	router, err := parseAddr(via)
	return newRoute(destination, router), err
}

// newRoute fills in the destination "default".
func newRoute(to netip.Prefix, via netip.Addr) pith.Route {
	if !to.IsValid() && via.IsValid() {
		zero := netip.IPv6Unspecified()
		if via.Is4() {
			zero = netip.IPv4Unspecified()
		}
		to = netip.PrefixFrom(zero, 0)
	}
	return pith.Route{To: to, Via: via}
}

func checkDuration(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > 24*time.Hour {
		return fmt.Errorf("%q is no duration up to a day: write it as in 5s or 1m30s", s)
	}
	return nil
}

func checkAbsolute(s string) error {
	if !path.IsAbs(s) || strings.ContainsRune(s, 0) {
		return fmt.Errorf("%q is no path in the machine: it begins with /", s)
	}
	return nil
}

func checkPath(s string) error {
	if !strings.HasPrefix(s, "/") || strings.ContainsAny(s, " \r\n") {
		return fmt.Errorf("%q is no path to ask for: write it as in /healthz, and the port under port", s)
	}
	return nil
}

func checkMAC(s string) error {
	if !regexp.MustCompile(`^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$`).MatchString(s) {
		return fmt.Errorf("%q is no MAC address: write it as in 52:54:00:12:34:56", s)
	}
	if strings.ContainsAny(s[1:2], "13579bdfBDF") {
		return fmt.Errorf("%s is the MAC address of a group, not of a card", s)
	}
	return nil
}

func checkLabel(s string) error {
	if !labelPattern.MatchString(s) {
		return fmt.Errorf("%q can't be a name: use 1 to 63 of a-z, 0-9 and -, not beginning or ending with -", s)
	}
	return nil
}

func checkInterface(s string) error {
	if !modePattern.MatchString("bridge:" + s) {
		return fmt.Errorf("%q can't be an interface of this host", s)
	}
	return nil
}

func checkVariable(s string) error {
	key, _, ok := strings.Cut(s, "=")
	if !ok || !variablePattern.MatchString(key) {
		return fmt.Errorf("%q is no environment variable: write KEY=VALUE", s)
	}
	return nil
}

func checkVariableName(s string) error {
	if !variablePattern.MatchString(s) {
		return fmt.Errorf("%q is no environment variable's name", s)
	}
	return nil
}

// parseMode reads permissions in octal, as in 0440.
func parseMode(s string) (uint32, error) {
	mode, err := strconv.ParseUint(strings.TrimPrefix(s, "0o"), 8, 32)
	if err != nil || mode == 0 || mode > 0o777 {
		return 0, fmt.Errorf("%q are no permissions: write them in octal, as in 0440", s)
	}
	return uint32(mode), nil
}

// cutFile splits SOURCE[:TARGET].
func cutFile(s string) (source, target string) {
	source, target, ok := strings.Cut(s, ":")
	if !ok {
		target = path.Clean("/" + source)
	}
	return source, target
}

func checkFile(s string) error {
	source, target := cutFile(s)
	if source == "" || !path.IsAbs(target) {
		return fmt.Errorf("%q is no file to pack: write SOURCE:TARGET, as in ./Corefile:/etc/Corefile", s)
	}
	return nil
}

func checkMount(s string) error {
	words := strings.Split(s, ":")
	if len(words) < 2 || len(words) > 3 || words[0] == "" || !path.IsAbs(words[1]) || len(words) == 3 && words[2] != "ro" && words[2] != "rw" {
		return fmt.Errorf("%q is no volume: write NAME:TARGET or ./FOLDER:TARGET, and :ro behind it to only read", s)
	}
	return nil
}

func parseRestart(s string) (pith.RestartPolicy, error) {
	when, times, counted := strings.Cut(s, ":")
	p := pith.RestartPolicy{When: pith.RestartWhen(when)}
	switch p.When {
	case pith.RestartNo, pith.RestartAlways, pith.RestartUnlessStopped:
		if !counted {
			return p, nil
		}
	case pith.RestartOnFailure:
		if !counted {
			return p, nil
		}
		if _, err := fmt.Sscanf(times, "%d", &p.Max); err == nil && p.Max > 0 && fmt.Sprint(p.Max) == times {
			return p, nil
		}
	}
	return p, fmt.Errorf("%q is no restart policy: use no, always, on-failure, on-failure:TIMES or unless-stopped", s)
}
