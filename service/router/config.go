package router

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"pith/service/firewall/nft"
	"pith/service/packet"
)

// Config is a configuration file.
type Config struct {
	Interfaces  []InterfaceConfig `yaml:"interfaces"`
	Routes      []RouteConfig     `yaml:"routes"`
	NAT         NATConfig         `yaml:"nat"`
	Rules       string            `yaml:"rules"`       // file of nftables rules
	Metrics     string            `yaml:"metrics"`     // address and port of the HTTP server, e.g. ":9100"
	Connections int               `yaml:"connections"` // at most; 0 is 65536
}

// InterfaceConfig is an interface: a port, or a VLAN of one.
type InterfaceConfig struct {
	Name      string           `yaml:"name"`
	Port      string           `yaml:"port"` // "": as Name
	VLAN      uint16           `yaml:"vlan"`
	MTU       int              `yaml:"mtu"`
	Addresses []netip.Prefix   `yaml:"addresses"`
	ClampMSS  bool             `yaml:"clampMSS"` // lower the MSS of TCP to what fits
	DHCP      *DHCPConfig      `yaml:"dhcp"`
	Advertise *AdvertiseConfig `yaml:"advertise"`
}

// DHCPConfig is a DHCP server for IPv4 on an interface.
type DHCPConfig struct {
	First  netip.Addr   `yaml:"first"`
	Last   netip.Addr   `yaml:"last"`
	Lease  Duration     `yaml:"lease"` // 0 is an hour
	DNS    []netip.Addr `yaml:"dns"`
	Domain string       `yaml:"domain"`
	// Fixed gives hardware addresses their own.
	Fixed map[string]netip.Addr `yaml:"fixed"`
}

// AdvertiseConfig makes an interface advertise its IPv6 prefixes.
type AdvertiseConfig struct {
	DNS      []netip.Addr `yaml:"dns"`
	Lifetime Duration     `yaml:"lifetime"` // as a default router; 0 is 30 minutes
}

// RouteConfig is a static route: by a gateway, or to nowhere.
type RouteConfig struct {
	To        netip.Prefix `yaml:"to"`
	Via       netip.Addr   `yaml:"via"`
	Interface string       `yaml:"interface"` // for a gateway with a link-local address
	Refuse    bool         `yaml:"refuse"`
}

// NATConfig is address translation without a rule file.
type NATConfig struct {
	Masquerade []string        `yaml:"masquerade"` // interfaces to the outside
	Forward    []ForwardConfig `yaml:"forward"`
}

// ForwardConfig sends what comes to a port of an interface to a machine behind it.
type ForwardConfig struct {
	Interface string         `yaml:"interface"`
	Protocol  string         `yaml:"protocol"` // tcp or udp; "" is tcp
	Port      uint16         `yaml:"port"`
	To        netip.AddrPort `yaml:"to"`
}

// Duration is a time as "1h30m".
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = Duration(v)
	return err
}

// ParseConfig reads a configuration file. An error says the line and what is wrong.
func ParseConfig(file string, text []byte) (*Config, error) {
	c := &Config{}
	d := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict())
	if err := d.Decode(c); err != nil {
		return nil, fmt.Errorf("%s: %s", file, strings.TrimSpace(yaml.FormatError(err, false, true)))
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return c, nil
}

// check finds all that is wrong with a configuration by itself.
func (c *Config) check() error {
	var errs []error
	note := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(c.Interfaces) == 0 {
		note("there are no interfaces")
	}
	seen := map[string]bool{}
	places := map[string]string{}
	var nets []netip.Prefix
	var owners []string
	for i := range c.Interfaces {
		f := &c.Interfaces[i]
		if f.Port == "" {
			f.Port = f.Name
		}
		if f.Name == "" || len(f.Name) > 15 {
			note("interface %d has no name of 1 to 15 characters", i+1)
		}
		if seen[f.Name] {
			note("there are two interfaces %s", f.Name)
		}
		seen[f.Name] = true
		place := fmt.Sprintf("%s, VLAN %d", f.Port, f.VLAN)
		if other := places[place]; other != "" {
			note("interfaces %s and %s are both on port %s", other, f.Name, place)
		}
		places[place] = f.Name
		if f.VLAN > 4094 {
			note("interface %s: a VLAN is 1 to 4094, or 0 for none", f.Name)
		}
		if f.MTU != 0 && (f.MTU < 576 || f.MTU > 9216) {
			note("interface %s: an MTU is 576 to 9216", f.Name)
		}
		for _, a := range f.Addresses {
			for j, n := range nets {
				if n.Overlaps(a) {
					note("interface %s: network %s overlaps %s of interface %s", f.Name, a.Masked(), n.Masked(), owners[j])
				}
			}
			nets, owners = append(nets, a), append(owners, f.Name)
		}
		errs = append(errs, f.checkDHCP())
	}
	for _, r := range c.Routes {
		switch {
		case !r.To.IsValid():
			note("a route has no network (to)")
		case r.Refuse == r.Via.IsValid():
			note("route to %s: it needs either a gateway (via) or refuse: true", r.To)
		case r.Via.IsValid() && r.Via.Is4() != r.To.Addr().Is4():
			note("route to %s: gateway %s is of another IP version", r.To, r.Via)
		}
		if r.Interface != "" && !seen[r.Interface] {
			note("route to %s: there is no interface %s", r.To, r.Interface)
		}
	}
	for _, m := range c.NAT.Masquerade {
		if !seen[m] {
			note("nat: there is no interface %s to masquerade", m)
		}
	}
	for _, f := range c.NAT.Forward {
		switch {
		case !seen[f.Interface]:
			note("nat: there is no interface %q to forward port %d from", f.Interface, f.Port)
		case f.Protocol != "" && f.Protocol != "tcp" && f.Protocol != "udp":
			note("nat: protocol %q of port %d is neither tcp nor udp", f.Protocol, f.Port)
		case f.Port == 0 || !f.To.IsValid() || f.To.Port() == 0:
			note("nat: a forwarded port needs port: and to: ADDRESS:PORT")
		}
	}
	return errors.Join(errs...)
}

func (f *InterfaceConfig) checkDHCP() error {
	if f.DHCP == nil {
		return nil
	}
	for _, p := range f.Addresses {
		if p.Contains(f.DHCP.First) && p.Contains(f.DHCP.Last) && f.DHCP.First.Compare(f.DHCP.Last) <= 0 {
			return nil
		}
	}
	return fmt.Errorf("interface %s: dhcp needs first and last, addresses of a network of the interface", f.Name)
}

// natRules are the NAT settings as nftables rules.
func (c *Config) natRules() string {
	if len(c.NAT.Masquerade)+len(c.NAT.Forward) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("table inet router {\n\tchain masquerade {\n\t\ttype nat hook postrouting priority srcnat\n")
	for _, m := range c.NAT.Masquerade {
		fmt.Fprintf(&b, "\t\toifname %q masquerade\n", m)
	}
	b.WriteString("\t}\n\tchain forwarded {\n\t\ttype nat hook prerouting priority dstnat\n")
	for _, f := range c.NAT.Forward {
		protocol, family := f.Protocol, "ip"
		if protocol == "" {
			protocol = "tcp"
		}
		if f.To.Addr().Is6() {
			family = "ip6"
		}
		fmt.Fprintf(&b, "\t\tiifname %q %s dport %d dnat %s to %s\n", f.Interface, protocol, f.Port, family, f.To)
	}
	b.WriteString("\t}\n}\n")
	return b.String()
}

// LoadRules reads the configuration's rules: those of its file, which read reads, and
// those of its NAT settings. Without a file it is these alone.
func (c *Config) LoadRules(read func(string) ([]byte, error)) (*nft.Ruleset, error) {
	text, file := []byte(nil), "nat"
	if c.Rules != "" {
		var err error
		if text, err = read(c.Rules); err != nil {
			return nil, fmt.Errorf("rules: %w", err)
		}
		file = c.Rules
	}
	text = append(append(text, '\n'), c.natRules()...)
	return nft.Load(file, text, nft.Options{ReadFile: read})
}

// Ports are the names of the ports that the interfaces need.
func (c *Config) Ports() []string {
	var list []string
	for _, f := range c.Interfaces {
		if !slices.Contains(list, f.Port) {
			list = append(list, f.Port)
		}
	}
	return list
}

// build makes a state of a configuration.
func (r *Router) build(c *Config) (*state, error) {
	s := &state{config: c, byPort: make([][]*Interface, len(r.ports)), local: map[netip.Addr]*Interface{}}
	byName := map[string]*Interface{}
	for i := range c.Interfaces {
		f, err := r.face(&c.Interfaces[i], i)
		if err != nil {
			return nil, err
		}
		byName[f.Name] = f
		s.faces = append(s.faces, f)
		s.byPort[f.port.index] = append(s.byPort[f.port.index], f)
		for _, a := range f.Addresses {
			s.local[a.Addr()] = f
			if !s.routes.add(&route{Prefix: a.Masked(), Face: f}) {
				return nil, fmt.Errorf("interface %s: there is a second way to %s", f.Name, a.Masked())
			}
		}
	}
	for _, rc := range c.Routes {
		way := &route{Prefix: rc.To.Masked(), Gateway: rc.Via}
		if !rc.Refuse {
			if way.Face = s.gatewayFace(rc, byName); way.Face == nil {
				return nil, fmt.Errorf("route to %s: gateway %s is in no interface's network", rc.To, rc.Via)
			}
		}
		if !s.routes.add(way) {
			return nil, fmt.Errorf("route to %s: there is a second way to the same network", rc.To)
		}
	}
	return s, nil
}

func (s *state) gatewayFace(rc RouteConfig, byName map[string]*Interface) *Interface {
	if rc.Interface != "" {
		return byName[rc.Interface]
	}
	for _, f := range s.faces {
		for _, a := range f.Addresses {
			if a.Contains(rc.Via) {
				return f
			}
		}
	}
	return nil
}

// face makes an interface.
func (r *Router) face(c *InterfaceConfig, index int) (*Interface, error) {
	i := slices.IndexFunc(r.ports, func(p *port) bool { return p.Name() == c.Port })
	if i < 0 {
		return nil, fmt.Errorf("interface %s: there is no port %s", c.Name, c.Port)
	}
	p := r.ports[i]
	f := &Interface{Name: c.Name, Addresses: c.Addresses, MTU: c.MTU, VLAN: c.VLAN, index: index,
		value: nft.NameValue(c.Name), port: p, linkLocal: packet.LinkLocal(p.mac), clampMSS: c.ClampMSS}
	if f.MTU == 0 {
		f.MTU = p.MTU()
	}
	if f.MTU > p.MTU() {
		return nil, fmt.Errorf("interface %s: MTU %d is more than port %s takes, %d", c.Name, f.MTU, c.Port, p.MTU())
	}
	var err error
	if c.DHCP != nil {
		f.dhcp, err = newDHCP(f, c.DHCP)
	}
	if c.Advertise != nil {
		f.advert = newAdvertiser(c.Advertise)
	}
	return f, err
}
