package fs

import "syscall"

// Seals of a file (fcntl(2), F_ADD_SEALS).
const (
	SealSeal = 1 << iota
	SealShrink
	SealGrow
	SealWrite
	SealFutureWrite
	SealExec

	allSeals = SealExec<<1 - 1
)

// Seals returns what can no longer be done with a regular file in memory;
// EINVAL for any other node.
func (n *Node) Seals() (uint32, Errno) {
	if !n.IsRegular() || n.real != nil || n.source != nil {
		return 0, syscall.EINVAL
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.seals, 0
}

// Seal adds seals: EPERM once SealSeal is among them, EBUSY for SealWrite while
// the file is mapped shared.
func (n *Node) Seal(seals uint32) Errno {
	if _, errno := n.Seals(); errno != 0 {
		return errno
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case seals&^allSeals != 0:
		return syscall.EINVAL
	case n.seals&SealSeal != 0:
		return syscall.EPERM
	case seals&SealWrite != 0 && n.data.mapped:
		return syscall.EBUSY
	}
	n.seals |= seals
	return 0
}

// Unseal takes all seals off a new file.
func (n *Node) Unseal() { n.seals = 0 }
