package image

import (
	"pith"
	"pith/cache"
)

// Image is one bootable file; see pith.Image.
type Image = pith.Image

// Options says what to build, and how.
type Options struct {
	// Dir is the folder that What and Output are meant in; "" is the current
	// one.
	Dir string
	// What names the main package: a directory, a Go file, a package path of
	// the module (or workspace) at Dir, or module@version. "" is Dir itself.
	What string
	// Output is the image file to write, or a folder to write NAME.elf in. ""
	// keeps it in the user's cache, where the next build of the same program
	// finds it.
	Output string
	// Tags are build tags.
	Tags []string
	// LDFlags are the user's own linker flags, such as "-X main.version=1".
	LDFlags string
	// Stack is pith.StackInet (also "") or pith.StackGvisor.
	Stack string
	// Profile adds the agent that takes profiles of the running program.
	Profile bool
	// Strip leaves the symbol table and DWARF out of the image. A twin that
	// has them is kept in the cache in any case (Image.Symbols). Go's own
	// traces need neither.
	Strip bool
	// Args and Vars are the image's default arguments (without argv[0]) and
	// environment (KEY=VALUE).
	Args, Vars []string
	// Files are packed read-only into the image, symbolic links as such.
	Files []pith.File
	// Memory in bytes and CPUs are a machine's where it names none; 0: the
	// driver's default.
	Memory int64
	CPUs   int
	// Override names what an instance may set itself (pith.OverrideNames); nil
	// is all of it.
	Override []string
	// Progress is told, a line at a time, what the build does; nil is silent.
	// It may be called from another goroutine, but never from two at once.
	Progress func(string)
	// Hold is given the cache's entries that the image needs, for as long as the
	// caller wants them to stay; nil is until the build has ended.
	Hold *cache.Hold
	// Env is the environment of the go command, and of the cache (see
	// cache.Open) and PITH_SOURCE (a checkout to take the kernel from);
	// nil is the process's own.
	Env []string
}
