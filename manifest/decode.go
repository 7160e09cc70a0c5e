package manifest

import (
	"fmt"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"pith"
	"pith/machine"
)

// decoder makes a topology of a tree that has the right shape.
type decoder struct {
	*report
	dir string // of the manifest
	m   *Manifest
}

// mark remembers where something stands, by words such as "web/port/0".
func (d *decoder) mark(n *node, words ...any) {
	d.m.spots[join2(words)] = n.spot
}

func join2(words []any) string {
	var s []string
	for _, w := range words {
		s = append(s, fmt.Sprint(w))
	}
	return strings.Join(s, "/")
}

func (d *decoder) decode(root *node) {
	d.m.Name = folderName(d.dir)
	if n := root.get("name"); n != nil {
		d.m.Name = n.text
	}
	if d.m.Single {
		d.single(root)
		return
	}
	for _, p := range pairs(root.get("networks")) {
		d.network(p)
	}
	for _, p := range pairs(root.get("volumes")) {
		d.volume(p)
	}
	for _, p := range pairs(root.get("services")) {
		d.service(root, p)
	}
	if len(d.m.Services) == 0 {
		d.add(root.get("services").spot, "there is no service: name at least one")
	}
	if root.get("networks").get(defaultNetwork) == nil {
		d.join()
	}
}

// join makes a bridge of the network that nobody had to write down, if there are
// machines to join: the user network has room for one.
func (d *decoder) join() {
	members := 0
	for _, s := range d.m.Services {
		if slices.ContainsFunc(s.Links, func(l pith.ServiceLink) bool { return l.Network == defaultNetwork }) {
			members += max(s.Replicas, 1)
		}
	}
	if n := d.m.Network(defaultNetwork); n != nil && members > 1 {
		n.Kind = pith.NetworkBridge
	}
}

func pairs(n *node) []pair {
	if n == nil {
		return nil
	}
	return n.pairs
}

func items(n *node) []*node {
	switch {
	case n == nil:
		return nil
	case n.form == list:
		return n.items
	default:
		return []*node{n}
	}
}

// single reads the form of one program.
func (d *decoder) single(root *node) {
	s := newService(d.m.Name)
	s.Build = d.dir
	d.m.spots[s.Name] = root.spot
	d.program(&s, root)
	d.m.Services = []pith.Service{s}
}

func newService(name string) pith.Service {
	return pith.Service{
		Name:     name,
		Kind:     pith.Unikernel,
		CPUs:     1,
		Replicas: 1,
		Restart:  pith.RestartPolicy{When: pith.RestartNo},
	}
}

// folderName makes a name of a folder's.
func folderName(dir string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, filepath.Base(dir))
	name = strings.Trim(name[:min(len(name), 63)], "-")
	if name == "" {
		return "pith"
	}
	return name
}

func (d *decoder) network(p pair) {
	n := pith.Network{Name: p.key, Kind: pith.NetworkBridge}
	d.mark(&node{spot: p.spot}, "networks", p.key)
	if v := p.value.get("driver"); v != nil {
		n.Kind = pith.NetworkKind(v.text)
	}
	if v := p.value.get("bridge"); v != nil {
		n.Bridge = v.text
		d.mark(v, "networks", p.key, "bridge")
	}
	subnets, gateways := items(p.value.get("subnet")), items(p.value.get("gateway"))
	for _, c := range items(p.value.get("ipam").get("config")) {
		if v := c.get("subnet"); v != nil {
			subnets = append(subnets, v)
		}
		if v := c.get("gateway"); v != nil {
			gateways = append(gateways, v)
		}
	}
	for i, v := range subnets {
		n.Subnet = append(n.Subnet, netip.MustParsePrefix(v.text))
		d.mark(v, "networks", p.key, "subnet", i)
	}
	for i, v := range gateways {
		n.Gateway = append(n.Gateway, netip.MustParseAddr(v.text))
		d.mark(v, "networks", p.key, "gateway", i)
	}
	if v := p.value.get("parent"); v != nil {
		n.Parent = v.text
		d.mark(v, "networks", p.key, "parent")
	}
	n.VLAN, n.MTU = uint16(number(p.value.get("vlan"), 0)), number(p.value.get("mtu"), 0)
	d.m.Networks = append(d.m.Networks, n)
}

func (d *decoder) volume(p pair) {
	v := pith.Disk{Name: p.key}
	if n := p.value.get("size"); n != nil {
		v.Size = byteCount(n)
	}
	if n := p.value.get("path"); n != nil {
		v.Path = d.path(n.text)
	}
	d.mark(&node{spot: p.spot}, "volumes", p.key)
	d.m.Volumes = append(d.m.Volumes, v)
}

// number is a whole number that the table has checked.
func number(n *node, otherwise int) int {
	if n == nil {
		return otherwise
	}
	v, err := strconv.Atoi(n.text)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return v
}

func byteCount(n *node) int64 {
	v, err := machine.ParseMemory(n.text)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return v
}

// path is a path of the host, from the manifest's folder.
func (d *decoder) path(s string) string {
	if filepath.IsAbs(s) {
		return filepath.Clean(s)
	}
	return filepath.Join(d.dir, s)
}

// source is a file of the host that must be there.
func (d *decoder) source(n *node, s string) string {
	p := d.path(s)
	if _, err := os.Stat(p); err != nil {
		d.add(n.spot, "there is no file %s: it is looked for from the manifest's folder", s)
	}
	return p
}

// folder is a folder of the host that must be there.
func (d *decoder) folder(n *node, s string) string {
	p := d.path(s)
	info, err := os.Stat(p)
	switch {
	case err != nil:
		d.add(n.spot, "there is no folder %s: it is looked for from the manifest's folder", s)
	case !info.IsDir():
		d.add(n.spot, "%s is no folder: only a folder can be shared with a machine", s)
	}
	return p
}

// either is the value of a key or of its other name; both are a mistake.
func (d *decoder) either(n *node, a, b string) *node {
	first, second := n.get(a), n.get(b)
	if first != nil && second != nil {
		d.add(second.spot, "%s and %s mean the same: write one of them", a, b)
	}
	if first == nil {
		return second
	}
	return first
}

// program reads what both forms have.
func (d *decoder) program(s *pith.Service, n *node) {
	if v := n.get("build"); v != nil {
		s.Build = d.build(v)
		d.mark(v, s.Name, "build")
	}
	if v := n.get("machine"); v != nil {
		s.Kind = pith.MachineKind(v.text)
	}
	if v := n.get("forward"); v != nil {
		s.Forward = v.text == "true"
	}
	if v := n.get("stack"); v != nil {
		s.Stack = v.text
	}
	if v := n.get("memory"); v != nil {
		s.Memory = byteCount(v)
		d.mark(v, s.Name, "memory")
	}
	s.CPUs = number(n.get("cpus"), s.CPUs)
	for _, v := range items(d.either(n, "args", "command")) {
		s.Args = append(s.Args, v.text)
	}
	d.environment(s, d.either(n, "env", "environment"))
	if v := n.get("working_dir"); v != nil {
		s.Dir = path.Clean(v.text)
	}
	for _, v := range items(n.get("files")) {
		d.mark(v, s.Name, "files", len(s.Files))
		s.Files = append(s.Files, d.file(v))
	}
	for i, v := range items(n.get("volumes")) {
		s.Mounts = append(s.Mounts, d.mount(v))
		d.mark(v, s.Name, "volume", i)
	}
	for i, v := range items(n.get("ports")) {
		s.Ports = append(s.Ports, publishedPort(v))
		d.mark(v, s.Name, "port", i)
	}
	if v := n.get("restart"); v != nil {
		s.Restart, _ = parseRestart(v.text) // checked by the table
	}
	if v := n.get("override"); v != nil {
		s.Override = []string{}
		for _, o := range v.items {
			s.Override = append(s.Override, o.text)
		}
	}
	for _, v := range items(n.get("dns")) {
		s.DNS = append(s.DNS, netip.MustParseAddr(v.text))
	}
	d.links(s, n)
	d.routes(s, n)
}

// build is a folder where it begins like one or is there, else the words.
func (d *decoder) build(n *node) string {
	if strings.HasPrefix(n.text, ".") || filepath.IsAbs(n.text) {
		return d.source(n, n.text)
	}
	if info, err := os.Stat(d.path(n.text)); err == nil && info.IsDir() {
		return d.path(n.text)
	}
	return n.text
}

func (d *decoder) environment(s *pith.Service, n *node) {
	if n == nil {
		return
	}
	seen := map[string]bool{}
	add := func(at spot, key, value string) {
		if seen[key] {
			d.add(at, "%s is set twice", key)
		}
		seen[key] = true
		if strings.ContainsRune(value, 0) {
			d.add(at, "%s has a zero byte, which no variable can hold", key)
		}
		s.Env = append(s.Env, key+"="+value)
	}
	for _, p := range n.pairs {
		add(p.value.spot, p.key, p.value.text)
	}
	for _, v := range n.items {
		key, value, _ := strings.Cut(v.text, "=")
		add(v.spot, key, value)
	}
	slices.Sort(s.Env)
}

func (d *decoder) file(n *node) pith.File {
	from, to := cutFile(n.text)
	if n.form == mapping {
		v := n.get("source")
		if v == nil {
			d.add(n.spot, "a file to pack needs a source")
			return pith.File{}
		}
		from, to = v.text, path.Clean("/"+v.text)
		if t := n.get("target"); t != nil {
			to = t.text
		}
	}
	return pith.File{Source: d.source(n, from), Target: path.Clean(to)}
}

func (d *decoder) mount(n *node) pith.Mount {
	var from, to string
	var readOnly bool
	if n.form == mapping {
		if n.get("source") == nil || n.get("target") == nil {
			d.add(n.spot, "a volume needs a source and a target")
			return pith.Mount{}
		}
		from, to = n.get("source").text, n.get("target").text
		readOnly = n.get("read_only") != nil && n.get("read_only").text == "true"
	} else {
		words := strings.Split(n.text, ":")
		from, to, readOnly = words[0], words[1], len(words) == 3 && words[2] == "ro"
	}
	m := pith.Mount{Target: path.Clean(to), ReadOnly: readOnly}
	if strings.HasPrefix(from, ".") || filepath.IsAbs(from) {
		m.Source = d.folder(n, from)
	} else {
		m.Volume = from
	}
	return m
}

func publishedPort(n *node) pith.Port {
	if n.form != mapping {
		p, err := machine.ParsePort(n.text)
		if err != nil {
			panic("BUG: " + err.Error())
		}
		return p
	}
	host := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if v := n.get("host_ip"); v != nil {
		host = netip.MustParseAddr(v.text)
	}
	p := pith.Port{Protocol: machine.TCP, Host: netip.AddrPortFrom(host, uint16(number(n.get("published"), 0)))}
	if v := n.get("protocol"); v != nil {
		p.Protocol = v.text
	}
	p.Guest = uint16(number(n.get("target"), 0)) // 0: the checker refuses it
	return p
}
