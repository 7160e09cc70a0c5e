// Package linux answers the system calls of a Go program: the system-call
// table of the upper half, file descriptors, sockets, pipes, epoll, and what
// else a program asks an operating system for. It follows the Linux manual
// pages, sections 2 and 7 (man-pages 6.03), and Linux 6.1 where they are
// silent, as seen by the only process of a machine, of user 0.
//
// A program's system calls are function calls: the shadow copy of package
// syscall calls [Entry], or one of the typed functions of fast.go, on the
// calling goroutine. See SHADOW.md for the two sides of that border. System
// calls of the Go runtime itself arrive by the SYSCALL instruction in the lower
// half and never come here; calls of a program that belong to the lower half
// (futexes, signals, memory, clocks) are handed on to it by the same
// instruction.
//
// It relies on kernel/fs for files, on kernel/socket for a network stack, and
// on packages that os itself is built on. It must not import anything above
// those, nor know which network stack, console or hardware stands behind its
// interfaces.
//
// All of it is ordinary Go on goroutines: it may allocate, lock and block,
// except where a function says otherwise. What waits, waits as a goroutine:
// no thread is ever blocked on behalf of a descriptor.
package linux
