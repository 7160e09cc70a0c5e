package inet

import "pith/kernel/link"

func init() {
	link.Register(func(o link.Options) (link.Network, error) {
		return New(Config{Rand: o.Random, Memory: o.Memory, Hostname: o.Hostname}), nil
	})
}
