package deploy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"pith"
	"pith/machine"
)

// labPrefix begins a link's network where it is one of the deployment's own.
const labPrefix = "lab:"

// LabNetwork is the deployment's network that a link is in; ok is false where it
// is in another one.
func LabNetwork(l pith.Link) (name string, ok bool) { return strings.CutPrefix(l.Network, labPrefix) }

// InLab tells whether a machine has a card in one of its deployment's own networks.
func InLab(s machine.Spec) bool {
	return slices.ContainsFunc(s.Links, func(l pith.Link) bool { _, ok := LabNetwork(l); return ok })
}

// Resolver makes of a topology what is wanted.
type Resolver struct {
	Order    []*pith.Service        // of the topology's services, see manifest.Order
	Images   map[string]*pith.Image // of each service
	UserLink func(kind, mac string) pith.Link
	Before   *Wanted // what is wanted so far, nil where nothing is
	Files    string  // the folder for copies of what instances are given
}

// Resolve makes of a topology what is wanted of it.
func (r Resolver) Resolve(t pith.Topology) (*Wanted, error) {
	w := &Wanted{Name: t.Name, File: t.File, Networks: withHost(t, r.Before), Volumes: volumes(t)}
	for _, s := range r.Order {
		for replica := range s.Replicas {
			i, err := r.instance(w, s, replica)
			if err != nil {
				return nil, err
			}
			w.Instances = append(w.Instances, i)
		}
	}
	return w, nil
}

func (r Resolver) instance(w *Wanted, s *pith.Service, replica int) (Instance, error) {
	i := Instance{Service: s.Name, Health: s.Health, Needs: s.Needs, Restart: s.Restart}
	spec := machine.Spec{What: what(s), Type: machine.TypeMicroVM, Kind: string(s.Kind), Deployment: w.Name}
	spec.Name = fmt.Sprintf("%s-%s-%d", w.Name, s.Name, replica+1)
	spec.Image = r.Images[s.Name]
	spec.Args, spec.Env, spec.Dir, spec.CPUs, spec.Forward = s.Args, s.Env, s.Dir, s.CPUs, s.Forward
	var err error
	if spec.Files, err = (copies{r.Files}).given(s); err != nil {
		return i, err
	}
	spec.Mounts = mounts(w.Name, s.Mounts)
	named := false
	for n, l := range s.Links {
		link, err := r.link(w, l, n, replica, spec)
		if err != nil {
			return i, err
		}
		link.DNS, link.Routes = s.DNS, l.Over(s.Routes)
		if name, ok := LabNetwork(link); ok && len(s.DNS) == 0 && !named {
			link.DNS = hostIn(w, name) // the deployment's name server
			named = len(link.DNS) > 0
		}
		spec.Links = append(spec.Links, link)
	}
	if err := setMemory(&spec, s.Memory); err != nil {
		return i, err
	}
	i.Spec, i.Ports, i.Address = spec, s.Ports, address(spec)
	if i.Health == nil {
		i.Health = defaultHealth(s)
	}
	if inUser(spec) {
		i.Spec.Ports = hidden(i.Ports, i.Health)
	}
	if !i.Address.IsValid() {
		i.Health, i.Ports = nil, nil // nobody knows where to ask
	}
	if err := i.Spec.Check(); err != nil {
		return i, err
	}
	return i, revise(&i)
}

// VolumeName is the name that a deployment's volume has on this host.
func VolumeName(deployment, volume string) string { return deployment + "_" + volume }

// mounts are a service's volumes by their names on this host, and its folders.
func mounts(deployment string, list []pith.Mount) (all []pith.Mount) {
	for _, m := range list {
		if m.Source == "" {
			m.Volume = VolumeName(deployment, m.Volume)
		}
		all = append(all, m)
	}
	return all
}

// volumes are those that services mount.
func volumes(t pith.Topology) (used []pith.Disk) {
	for _, v := range t.Volumes {
		if slices.ContainsFunc(t.Services, func(s pith.Service) bool {
			return slices.ContainsFunc(s.Mounts, func(m pith.Mount) bool { return m.Volume == v.Name })
		}) {
			v.Name = VolumeName(t.Name, v.Name)
			used = append(used, v)
		}
	}
	return used
}

func what(s *pith.Service) string {
	if s.Image != "" {
		return s.Image
	}
	return s.Build
}

// link is card number n of a replica. Addresses of replicas follow one another.
func (r Resolver) link(w *Wanted, l pith.ServiceLink, n, replica int, spec machine.Spec) (pith.Link, error) {
	mac := l.MAC
	if mac == "" {
		mac = machine.MAC(spec.Name, n)
	}
	at := slices.IndexFunc(w.Networks, func(x pith.Network) bool { return x.Name == l.Network })
	if at < 0 {
		panic("BUG: a service in a network that is not there: " + l.Network)
	}
	network := w.Networks[at]
	if network.Kind == pith.NetworkUser {
		return r.UserLink(spec.Kind, mac), nil
	}
	link := pith.Link{Network: labPrefix + l.Network, MAC: mac, Gateway: l.Gateway}
	if network.Bridge != "" {
		link.Network = "bridge:" + network.Bridge
	}
	for _, p := range l.Addrs {
		a := p.Addr()
		for range replica {
			a = a.Next()
		}
		link.Addrs = append(link.Addrs, netip.PrefixFrom(a, p.Bits()))
	}
	return link, nil
}

// setMemory gives a machine the memory that was asked for, or what its image
// asks for, with room for its files.
func setMemory(s *machine.Spec, asked int64) error {
	if asked > 0 {
		s.Memory = asked
		return nil
	}
	files, err := machine.FilesSize(s.Files)
	if err != nil {
		return pith.Errorf("%s: %w", s.Name, err)
	}
	s.Memory = machine.DefaultMemory
	if s.Image.Manifest.DefaultMemory > 0 {
		s.Memory = s.Image.Manifest.DefaultMemory
	}
	s.Memory = max(s.Memory, s.Image.Manifest.Memory+2*files)
	return nil
}

// address is where a machine is reached: at its first address, or at the host's own
// if the driver's user network hides it.
func address(s machine.Spec) netip.Addr {
	if inUser(s) {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	for _, l := range s.Links {
		if len(l.Addrs) > 0 {
			return l.Addrs[0].Addr()
		}
	}
	return netip.Addr{}
}

// inUser tells whether a machine's first card is in the driver's user network.
func inUser(s machine.Spec) bool {
	return len(s.Links) > 0 && s.Links[0].Network == string(pith.NetworkUser)
}

// defaultHealth is that of a service that names none: its first port is
// listened at.
func defaultHealth(s *pith.Service) *pith.HealthCheck {
	if len(s.Ports) == 0 {
		return nil
	}
	h := &pith.HealthCheck{Kind: pith.ProbeTCP, Port: s.Ports[0].Guest, Interval: 10 * time.Second, Timeout: 3 * time.Second, Retries: 3}
	if s.Ports[0].Protocol == machine.UDP {
		h.Kind = pith.ProbeUDP
	}
	return h
}
