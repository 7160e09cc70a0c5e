package netstack

import "pith/kernel/link"

func init() {
	link.Register(func(o link.Options) (link.Network, error) { return New(o) })
}
