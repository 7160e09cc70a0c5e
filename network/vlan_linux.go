package network

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/rlimit"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"pith"
)

// A network that is a VLAN of another one has a bridge of its own, for frames without
// a tag, which a veth pair joins to the other's bridge. A small program at each end of
// the pair puts the tag on and takes it off. So machines need to know nothing of
// VLANs, and those in the carrying network see all of them, tagged.
//
// Interfaces of type vlan would do the same, but not all kernels have them.

// reconcileVLAN joins a network to the one that carries it, or parts the two.
func reconcileVLAN(n pith.Network) error {
	bridge, err := findBridge(n.Name)
	if err != nil {
		return err
	}
	if n.Parent == "" {
		return leaveVLAN(bridge)
	}
	parent, err := findBridge(n.Parent)
	if err != nil {
		return err
	}
	if joined(bridge, parent, n.VLAN) {
		return nil
	}
	if err := leaveVLAN(bridge); err != nil {
		return err
	}
	if err := joinVLAN(bridge, parent, n.VLAN); err != nil {
		return errors.Join(err, leaveVLAN(bridge))
	}
	return nil
}

// Names of a pair's ends: untagged frames are at the inner one.
func innerEnd(bridge netlink.Link) string { return bridge.Attrs().Name + "-in" }
func outerEnd(bridge netlink.Link) string { return bridge.Attrs().Name + "-out" }

// pairAlias is what the inner end is called once the pair is complete.
func pairAlias(vlan uint16) string { return fmt.Sprintf("VLAN %d", vlan) }

// joined tells whether a network's bridge has its pair already.
func joined(bridge, parent netlink.Link, vlan uint16) bool {
	inner, err := netlink.LinkByName(innerEnd(bridge))
	if err != nil || inner.Attrs().Alias != pairAlias(vlan) || inner.Attrs().MasterIndex != bridge.Attrs().Index {
		return false
	}
	outer, err := netlink.LinkByName(outerEnd(bridge))
	return err == nil && outer.Attrs().MasterIndex == parent.Attrs().Index && outer.Attrs().MTU == parent.Attrs().MTU
}

// leaveVLAN removes a bridge's pair, if there is one.
func leaveVLAN(bridge netlink.Link) error {
	inner, err := netlink.LinkByName(innerEnd(bridge))
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil
	}
	if err != nil {
		return err
	}
	return netlink.LinkDel(inner)
}

func joinVLAN(bridge, parent netlink.Link, vlan uint16) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex, attrs.MTU = innerEnd(bridge), bridge.Attrs().Index, parent.Attrs().MTU
	pair := netlink.NewVeth(attrs)
	pair.PeerName, pair.PeerMTU = outerEnd(bridge), uint32(attrs.MTU)
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("make a veth pair: %w", err)
	}
	inner, err := netlink.LinkByName(attrs.Name)
	if err != nil {
		return err
	}
	outer, err := netlink.LinkByName(pair.PeerName)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetMaster(outer, parent); err != nil {
		return err
	}
	if err := atEgress(inner, tagger(vlan)); err != nil {
		return err
	}
	if err := atEgress(outer, untagger(vlan)); err != nil {
		return err
	}
	if err := errors.Join(netlink.LinkSetUp(inner), netlink.LinkSetUp(outer)); err != nil {
		return err
	}
	return netlink.LinkSetAlias(inner, pairAlias(vlan))
}

// atEgress runs a program for each frame that leaves by an interface
// (tc-bpf(8), direct action).
func atEgress(link netlink.Link, program asm.Instructions) error {
	if err := rlimit.RemoveMemlock(); err != nil { // for kernels before 5.11
		return err
	}
	loaded, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, Instructions: program, License: "MIT"})
	if err != nil {
		return fmt.Errorf("load the program for tags: %w", err)
	}
	defer loaded.Close() // the interface holds it
	index := link.Attrs().Index
	err = netlink.QdiscAdd(&netlink.GenericQdisc{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT},
		QdiscType:  "clsact",
	})
	if err != nil {
		return fmt.Errorf("a place for the program for tags: %w", err)
	}
	err = netlink.FilterAdd(&netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{LinkIndex: index, Parent: netlink.HANDLE_MIN_EGRESS, Handle: 1, Protocol: unix.ETH_P_ALL, Priority: 1},
		Fd:          loaded.FD(), Name: "pith-vlan", DirectAction: true,
	})
	if err != nil {
		return fmt.Errorf("attach the program for tags: %w", err)
	}
	return nil
}

// Fields of struct __sk_buff, and verdicts (the kernel's include/uapi/linux/bpf.h and
// pkt_cls.h).
const (
	skbVLANPresent = 20
	skbVLANControl = 24
	verdictPass    = 0
	verdictDrop    = 2
)

const dropped = "dropped"

// verdicts end a program.
var verdicts = asm.Instructions{
	asm.Mov.Imm(asm.R0, verdictPass),
	asm.Return(),
	asm.Mov.Imm(asm.R0, verdictDrop).WithSymbol(dropped),
	asm.Return(),
}

// tagger puts a tag on frames; those that have one are dropped.
func tagger(vlan uint16) asm.Instructions {
	return append(asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, skbVLANPresent, asm.Word),
		asm.JNE.Imm(asm.R2, 0, dropped),
		asm.Mov.Imm(asm.R2, 0x0081), // 802.1Q's EtherType, in the network's order
		asm.Mov.Imm(asm.R3, int32(vlan)),
		asm.FnSkbVlanPush.Call(),
		asm.JNE.Imm(asm.R0, 0, dropped),
	}, verdicts...)
}

// untagger takes a tag off; frames without it are dropped.
func untagger(vlan uint16) asm.Instructions {
	return append(asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, skbVLANPresent, asm.Word),
		asm.JEq.Imm(asm.R2, 0, dropped),
		asm.LoadMem(asm.R2, asm.R1, skbVLANControl, asm.Word),
		asm.And.Imm(asm.R2, 0xfff),
		asm.JNE.Imm(asm.R2, int32(vlan), dropped),
		asm.FnSkbVlanPop.Call(),
		asm.JNE.Imm(asm.R0, 0, dropped),
	}, verdicts...)
}
