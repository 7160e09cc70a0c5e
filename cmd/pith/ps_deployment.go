package main

import (
	"pith/deploy"
	"pith/machine"
)

// addHealth adds to the machines of deployments what their keepers know of them.
func addHealth(home string, list []listed) {
	states := map[string]deploy.State{}
	for i := range list {
		l := &list[i]
		if l.Deployment == "" {
			continue
		}
		s, ok := states[l.Deployment]
		if !ok {
			s, _ = deploy.OpenFolder(home, l.Deployment).State() // without it, nothing is known
			states[l.Deployment] = s
		}
		instance, ok := s.Instances[l.Name]
		if !ok || !s.Keeper.Alive() {
			continue
		}
		l.Service, l.Health, l.Restarts = instance.Service, string(instance.Status), instance.Restarts
		l.Ports = nil // its machine's own are of no use to anyone
		for _, p := range instance.Ports {
			l.Ports = append(l.Ports, machine.FormatPort(p))
		}
	}
}
