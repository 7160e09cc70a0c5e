package fs

import (
	"sync"
	"syscall"
)

// lazy is a directory's entries that are not made yet.
type lazy struct {
	once sync.Once
	fill func(add func(name string, node *Node))
}

// NewLazy returns a directory whose first entries fill makes when somebody
// looks for them first, so that a machine pays at its start for none that its
// program never asks for. Afterwards it is a directory like any other. mode
// holds permission bits only. fill may make nodes of t, and must not call it
// otherwise: t is locked.
func (t *Tree) NewLazy(mode uint32, fill func(add func(name string, node *Node))) *Node {
	n := t.NewNode(syscall.S_IFDIR|mode, 0)
	n.lazy = &lazy{fill: fill}
	return n
}

// Fill says what makes the entries of an attached tree's root: see NewLazy. It is
// called once, before programs run.
func (t *Tree) Fill(fill func(add func(name string, node *Node))) { t.root.lazy = &lazy{fill: fill} }

// filled makes a directory's entries if they are not made yet. It needs no
// lock: nobody reads or changes them before.
func (n *Node) filled() {
	if n.lazy != nil {
		n.lazy.once.Do(n.fillIn)
	}
}

func (n *Node) fillIn() {
	n.lazy.fill(func(name string, node *Node) {
		node.tree = n.tree
		n.enter(name, node)
	})
	n.lazy.fill = nil
	n.mu.Lock()
	n.modified, n.changed = n.born, n.born
	n.mu.Unlock()
}
