package netstack_test

import (
	"net/netip"
	"testing"

	"pith/kernel/link"
	"pith/kernel/link/linktest"
	"pith/kernel/netstack"
	"pith/kernel/socket"
	"pith/kernel/socket/sockettest"
)

var offloads = link.Features{TxChecksum: true, RxChecksum: true, TSO4: true, TSO6: true}

// pairOver makes two stacks on a cable with the given cards.
func pairOver(o linktest.Options) sockettest.NewPair {
	return func(t testing.TB, c linktest.Conditions) (a, b sockettest.Node) {
		o := o
		o.AtoB, o.BtoA = c, c
		left, right := linktest.Pair(o)
		return node(t, left, "10.1.0.1/24", "fd00::1/64"), node(t, right, "10.1.0.2/24", "fd00::2/64")
	}
}

func node(t testing.TB, card *linktest.Card, four, six string) sockettest.Node {
	s, err := netstack.New(link.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p4, p6 := netip.MustParsePrefix(four), netip.MustParsePrefix(six)
	if err := s.Attach("eth0", card, socket.InterfaceConfig{Addrs: []netip.Prefix{p4, p6}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		card.Close()
		s.Close()
	})
	return sockettest.Node{Stack: s, V4: p4.Addr(), V6: p6.Addr()}
}

func TestContract(t *testing.T) {
	sockettest.Run(t, pairOver(linktest.Options{}))
}

func TestContractWithOffloads(t *testing.T) {
	sockettest.Run(t, pairOver(linktest.Options{Features: offloads, Queues: 2}))
}

func TestContractWithMergedReceive(t *testing.T) {
	sockettest.Run(t, pairOver(linktest.Options{Features: offloads, Merge: true}))
}
