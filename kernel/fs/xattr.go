package fs

import (
	"maps"
	"slices"
	"strings"
	"syscall"
)

// Limits of extended attributes (xattr(7)), in bytes.
const (
	attributeName  = 255
	attributeValue = 64 << 10
)

// Flags of SetAttribute (setxattr(2)).
const (
	AttributeCreate  = 1
	AttributeReplace = 2
)

// Attributed is what an Inode has in addition if its file system knows extended
// attributes. The tree has checked names and sizes.
type Attributed interface {
	Attribute(name string) ([]byte, Errno) // ENODATA
	SetAttribute(name string, value []byte, flags uint) Errno
	RemoveAttribute(name string) Errno // ENODATA
	Attributes() ([]string, Errno)
}

// attributeAllowed checks a name: in memory there are user, trusted and
// security attributes, the first only of files and directories.
func (n *Node) attributeAllowed(name string) Errno {
	space, rest, _ := strings.Cut(name, ".")
	switch {
	case name == "" || len(name) > attributeName:
		return syscall.ERANGE
	case n.tree.mounted != nil && n.tree.mounted.system == nil: // generated files have none
		return syscall.EOPNOTSUPP
	case space == "user" && !n.IsRegular() && !n.IsDir():
		return syscall.EPERM
	case space != "user" && space != "trusted" && space != "security":
		return syscall.EOPNOTSUPP
	case rest == "":
		return syscall.EINVAL
	}
	return 0
}

// Attribute returns an extended attribute's value; ENODATA if there is none.
func (n *Node) Attribute(name string) ([]byte, Errno) {
	if errno := n.attributeAllowed(name); errno != 0 {
		if name != "" && strings.HasPrefix(name, "system.posix_acl_") || errno == syscall.EPERM {
			return nil, syscall.ENODATA
		}
		return nil, errno
	}
	if n.real != nil {
		a, ok := n.real.(Attributed)
		if !ok {
			return nil, syscall.EOPNOTSUPP
		}
		return a.Attribute(name)
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	value, ok := n.attributes[name]
	if !ok {
		return nil, syscall.ENODATA
	}
	return value, 0
}

// SetAttribute sets one; EEXIST or ENODATA if the flags say so.
func (n *Node) SetAttribute(name string, value []byte, flags uint) Errno {
	if errno := n.attributeAllowed(name); errno != 0 {
		return errno
	}
	switch {
	case flags&^(AttributeCreate|AttributeReplace) != 0:
		return syscall.EINVAL
	case len(value) > attributeValue:
		return syscall.E2BIG
	case n.readOnly():
		return syscall.EROFS
	}
	errno := n.setAttribute(name, value, flags)
	if errno == 0 {
		n.Tell(syscall.IN_ATTRIB)
	}
	return errno
}

func (n *Node) setAttribute(name string, value []byte, flags uint) Errno {
	if n.real != nil {
		a, ok := n.real.(Attributed)
		if !ok {
			return syscall.EOPNOTSUPP
		}
		return a.SetAttribute(name, value, flags)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	_, there := n.attributes[name]
	switch {
	case there && flags&AttributeCreate != 0:
		return syscall.EEXIST
	case !there && flags&AttributeReplace != 0:
		return syscall.ENODATA
	}
	if n.attributes == nil {
		n.attributes = map[string][]byte{}
	}
	n.attributes[name] = slices.Clone(value)
	return 0
}

// RemoveAttribute takes one away; ENODATA if there is none.
func (n *Node) RemoveAttribute(name string) Errno {
	if errno := n.attributeAllowed(name); errno != 0 {
		return errno
	}
	if n.readOnly() {
		return syscall.EROFS
	}
	if n.real != nil {
		a, ok := n.real.(Attributed)
		if !ok {
			return syscall.EOPNOTSUPP
		}
		return a.RemoveAttribute(name)
	}
	n.mu.Lock()
	_, there := n.attributes[name]
	delete(n.attributes, name)
	n.mu.Unlock()
	if !there {
		return syscall.ENODATA
	}
	n.Tell(syscall.IN_ATTRIB)
	return 0
}

// Attributes lists the names of all extended attributes.
func (n *Node) Attributes() ([]string, Errno) {
	if n.real != nil {
		a, ok := n.real.(Attributed)
		if !ok {
			return nil, syscall.EOPNOTSUPP
		}
		return a.Attributes()
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	return slices.Sorted(maps.Keys(n.attributes)), 0
}
