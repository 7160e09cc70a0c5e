// Package image makes one bootable file of an ordinary Go program, and reads
// such files.
//
// # How a program gets its kernel
//
// The user's files, go.mod, vendor folder and workspace are never touched. The
// builder makes a shadow GOROOT in the user's cache: a tree of symbolic links
// to the real one (the one that "go env GOROOT" names in the user's folder, so
// that a toolchain line is honoured), in which
//
//   - src/pith/abi and src/pith/kernel hold the library OS, as packages of the
//     standard library;
//   - src/os/zz_pith.go imports pith/kernel/start, and that pith/kernel, so that
//     the kernel comes with package os and is initialised before any package of
//     the user's;
//   - src/syscall calls the kernel where it would make a system call: a
//     statement inserted into the user's own copy of each file (see hooks.go),
//     never a committed copy of Go's source;
//   - src/pith/kernel/zz_stack.go imports the lean network stack (pith.StackInet).
//
// A program that never imports os gets the kernel through a file that -overlay
// adds to its main package. The same way serves gVisor's stack
// (pith.StackGvisor): it stands above package os, so only the main package can
// import it; its modules come to src/vendor from the module cache, pinned and
// verified by Pith's own go.mod and go.sum.
//
// # The image file
//
// The linked ELF file, without sections unless the symbols are kept, with one
// more PT_NOTE segment at its end that holds two notes: the PVH entry point
// (owner "Xen", type 18) and the manifest (owner "Pith", type 1, JSON). Large
// zeroed variables at the end of the address space become a segment of type
// abi.SegmentLazy; see elf.go. References: System V ABI, AMD64 supplement 1.0,
// chapters 4 and 5; Xen's PVH start-of-day ABI.
//
// The package relies on the go command and on packages pith and abi. It must
// not start machines, nor read anything of the kernel but its source text.
// Supported toolchains: Go 1.26; later ones are tried, and refused by a clear
// error where package syscall has changed its shape.
package image
