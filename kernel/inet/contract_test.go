package inet

import (
	"testing"

	"pith/kernel/link/linktest"
	"pith/kernel/socket/sockettest"
)

// pairOver makes pairs of stacks at the ends of a cable.
func pairOver(o linktest.Options) sockettest.NewPair {
	return func(t testing.TB, c linktest.Conditions) (a, b sockettest.Node) {
		t.Helper()
		o := o
		o.AtoB, o.BtoA = c, c
		w := newWorld(t, o)
		return sockettest.Node{Stack: w.a, V4: addrA, V6: addrA6}, sockettest.Node{Stack: w.b, V4: addrB, V6: addrB6}
	}
}

func TestContract(t *testing.T) {
	sockettest.Run(t, pairOver(linktest.Options{}))
}

func TestContractWithQueues(t *testing.T) {
	sockettest.Run(t, pairOver(linktest.Options{Features: full, Merge: true, Queues: 2}))
}
