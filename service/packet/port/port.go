// Package port opens Ethernet interfaces as packet.Ports: on Linux by a packet socket,
// in a Pith image by taking the card from the network stack.
//
// It relies on packet(7) of Linux, PACKET_VNET_HDR and PACKET_AUXDATA included, and in
// an image (build tag pith) on pith/kernel's cards. It must not look into a frame.
package port

import "pith/service/packet"

// Open opens an interface by its name. On Linux the process needs CAP_NET_RAW, and the
// interface should have no address of the host's; in an image the network stack
// lets go of the card when Receive is called.
func Open(name string) (packet.Port, error) { return open(name) }
