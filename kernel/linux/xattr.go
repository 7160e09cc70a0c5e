package linux

import (
	"syscall"

	"pith/kernel/fs"
)

// The calls on extended attributes come in threes: by path, by path without
// following the last link, and by descriptor.

func (c call) followed() (*fs.Node, Errno)   { return c.node(cwd, c.a1, 0) }
func (c call) unfollowed() (*fs.Node, Errno) { return c.node(cwd, c.a1, atSymlinkNo) }

func (c call) described() (*fs.Node, Errno) {
	node, errno := attributed(c.a1)
	if errno == 0 && node == nil {
		errno = syscall.EOPNOTSUPP
	}
	return node, errno
}

// onAttributes is a call of a way to find the node and of what to do.
func (c call) onAttributes(find func(call) (*fs.Node, Errno), do func(call, *fs.Node) (uintptr, Errno)) (uintptr, Errno) {
	node, errno := find(c)
	if errno != 0 {
		return 0, errno
	}
	return do(c, node)
}

func sysGetxattr(c call) (uintptr, Errno)  { return c.onAttributes(call.followed, getAttribute) }
func sysLgetxattr(c call) (uintptr, Errno) { return c.onAttributes(call.unfollowed, getAttribute) }
func sysFgetxattr(c call) (uintptr, Errno) { return c.onAttributes(call.described, getAttribute) }

func sysSetxattr(c call) (uintptr, Errno)  { return c.onAttributes(call.followed, setAttribute) }
func sysLsetxattr(c call) (uintptr, Errno) { return c.onAttributes(call.unfollowed, setAttribute) }
func sysFsetxattr(c call) (uintptr, Errno) { return c.onAttributes(call.described, setAttribute) }

func sysListxattr(c call) (uintptr, Errno)  { return c.onAttributes(call.followed, listAttributes) }
func sysLlistxattr(c call) (uintptr, Errno) { return c.onAttributes(call.unfollowed, listAttributes) }
func sysFlistxattr(c call) (uintptr, Errno) { return c.onAttributes(call.described, listAttributes) }

func sysRemovexattr(c call) (uintptr, Errno) { return c.onAttributes(call.followed, removeAttribute) }
func sysLremovexattr(c call) (uintptr, Errno) {
	return c.onAttributes(call.unfollowed, removeAttribute)
}
func sysFremovexattr(c call) (uintptr, Errno) { return c.onAttributes(call.described, removeAttribute) }

// attributeName reads an attribute's name; one that is too long is ERANGE.
func (c call) attributeName() (string, Errno) {
	name, errno := text(c.address(c.a2), 256)
	if errno == syscall.ENAMETOOLONG {
		errno = syscall.ERANGE
	}
	return name, errno
}

func getAttribute(c call, node *fs.Node) (uintptr, Errno) {
	name, errno := c.attributeName()
	if errno != 0 {
		return 0, errno
	}
	value, errno := node.Attribute(name)
	if errno != 0 {
		return 0, errno
	}
	return c.answerAttribute(value, c.a3, c.a4)
}

// answerAttribute copies out what fits; with no room it tells the size.
func (c call) answerAttribute(value []byte, to, room uintptr) (uintptr, Errno) {
	n := uintptr(len(value))
	switch {
	case room == 0:
		return n, 0
	case n > room:
		return 0, syscall.ERANGE
	}
	return n, copyOut(c.address(to), value)
}

func setAttribute(c call, node *fs.Node) (uintptr, Errno) {
	const most = 64 << 10
	name, errno := c.attributeName()
	switch {
	case errno != 0:
		return 0, errno
	case c.a4 > most:
		return 0, syscall.E2BIG
	}
	value := make([]byte, c.a4)
	if errno := copyIn(value, c.address(c.a3)); errno != 0 {
		return 0, errno
	}
	return 0, node.SetAttribute(name, value, uint(c.a5))
}

func listAttributes(c call, node *fs.Node) (uintptr, Errno) {
	names, errno := node.Attributes()
	if errno != 0 {
		return 0, errno
	}
	return c.answerAttribute(joined(names), c.a2, c.a3)
}

func removeAttribute(c call, node *fs.Node) (uintptr, Errno) {
	name, errno := c.attributeName()
	if errno != 0 {
		return 0, errno
	}
	return 0, node.RemoveAttribute(name)
}
