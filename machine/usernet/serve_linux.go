package usernet

import (
	"fmt"
	"os"

	"pith/machine"
)

// Networks are those of one machine.
type Networks []*Network

// Serve makes the networks of all cards that ask for one; taps has a tap for
// each of them, in their order.
func Serve(taps []*os.File, cards []machine.Card) (Networks, error) {
	var all Networks
	for _, c := range cards {
		if !c.Wire.User {
			continue
		}
		if len(all) == len(taps) {
			all.Close()
			return nil, fmt.Errorf("BUG: %d taps are too few", len(taps))
		}
		n, err := New(taps[len(all)], c.Wire.Ports)
		if err != nil {
			all.Close()
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}

// Close ends all of them.
func (n Networks) Close() {
	for _, one := range n {
		one.Close()
	}
}
