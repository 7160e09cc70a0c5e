package image

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"pith"
	"pith/abi"
	"pith/cache"
)

// EntrySymbol is where an image begins to run, in 32-bit mode by PVH or as a
// Linux process.
const EntrySymbol = "pith/kernel/boot.entry"

// builder is one call of Build.
type builder struct {
	options Options
	env     []string // of the go command, before our own settings
	dir     string   // Options.Dir, absolute
	cache   *cache.Cache
	hold    *cache.Hold
	goflags string // the user's GOFLAGS
	profile string // the kernel's inlining profile; "" is none
}

// Build makes an image of a Go program. A mistake of the user's (no such
// package, a compile error, cgo, ...) is a *pith.Error. An image that is
// already up to date is left as it is. On an error, and when ctx ends, no
// half-written file stays behind.
func Build(ctx context.Context, o Options) (*Image, error) {
	b, err := newBuilder(o)
	if err != nil {
		return nil, err
	}
	defer b.release()
	img, err := b.build(ctx)
	return img, b.explainFull(err)
}

func newBuilder(o Options) (*builder, error) {
	b := &builder{options: o, env: o.Env, hold: o.Hold}
	if b.env == nil {
		b.env = os.Environ()
	}
	switch o.Stack {
	case "":
		b.options.Stack = pith.StackInet
	case pith.StackInet, pith.StackGvisor:
	default:
		return nil, pith.Errorf("there is no network stack %q: choose %s or %s", o.Stack, pith.StackInet, pith.StackGvisor)
	}
	var err error
	if b.dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, err
	}
	if !isDir(b.dir) {
		return nil, pith.Errorf("there is no directory %s", b.dir)
	}
	if b.hold == nil {
		b.hold = new(cache.Hold)
	}
	b.cache, err = cache.Open(b.env)
	return b, err
}

// release lets go of the cache's entries, unless the caller keeps them.
func (b *builder) release() {
	if b.options.Hold == nil {
		b.hold.Release()
	}
}

// say tells a line of progress.
func (b *builder) say(format string, args ...any) {
	if b.options.Progress != nil {
		b.options.Progress(fmt.Sprintf(format, args...))
	}
}

// build is the way from a name to an image file.
func (b *builder) build(ctx context.Context) (*Image, error) {
	t, err := b.locate(ctx)
	if err != nil {
		return nil, err
	}
	tools, err := b.findToolchain(ctx, t.dir)
	if err != nil {
		return nil, err
	}
	b.goflags = tools.flags
	kernel, err := b.kernelSources()
	if err != nil {
		return nil, err
	}
	goroot, err := b.shadow(ctx, tools, kernel)
	if err != nil {
		return nil, err
	}
	if _, ok := kernel.files[inliningProfile]; ok {
		b.profile = filepath.Join(goroot, "src", "pith", filepath.FromSlash(inliningProfile))
	}
	work, unlock, err := b.workFolder(ctx, t)
	if err != nil {
		return nil, err
	}
	defer unlock()
	n, err := b.findNamesake(ctx, tools, kernel, t.dir)
	if err != nil {
		return nil, err
	}
	go_ := b.shadowCommand(tools, goroot, t)
	p, err := b.list(ctx, go_, t, n, work)
	if err != nil {
		return nil, err
	}
	linked, err := b.link(ctx, go_, tools, t, p, work)
	if err != nil {
		return nil, err
	}
	return b.finish(linked, b.manifest(tools, kernel, p), work)
}

// shadowCommand is the go command that compiles with the shadow GOROOT.
func (b *builder) shadowCommand(tools toolchain, goroot string, t target) command {
	env := append([]string{
		"GOROOT=" + goroot,
		"GOTOOLCHAIN=local",
		"GOOS=linux",
		"GOARCH=amd64",
		"GOAMD64=v1",
		"CGO_ENABLED=0",
		"GOFLAGS=" + strings.TrimSpace(tools.flags+" "+t.goflags),
	}, t.goenv...)
	return b.command(tools.goPath(), t.dir, env...)
}

// workFolder is where the linked program of the same options stays for the
// next build. It is locked.
func (b *builder) workFolder(ctx context.Context, t target) (dir string, unlock func(), err error) {
	o := b.options
	key := digest(t.dir, strings.Join(t.patterns, " "), strings.Join(o.Tags, ","), o.LDFlags, o.Stack,
		fmt.Sprint(o.Args, o.Vars, o.Files, o.Memory, o.CPUs, o.Override))
	dir = b.cache.Path(cache.Builds, key)
	for held := false; !held; { // another process may remove what we made before we hold it
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return "", nil, err
		}
		if held, err = b.hold.Use(dir); err != nil {
			return "", nil, err
		}
	}
	if unlock, err = lock(ctx, filepath.Join(dir, "lock")); err != nil {
		return "", nil, err
	}
	if err := writeChanged(filepath.Join(dir, cache.SourceFile), []byte(t.dir)); err != nil {
		unlock()
		return "", nil, err
	}
	return dir, unlock, nil
}

// kept holds the cache's entry at path, which make makes if it isn't there.
func (b *builder) kept(path string, make func() error) error {
	for made := false; ; made = true {
		there, err := b.hold.Use(path)
		if there && made {
			b.cache.Added(path)
		}
		if there || err != nil {
			return err
		}
		if err := make(); err != nil {
			return err
		}
	}
}

// importPath matches the lines by which go build -v tells what it compiled;
// what it complains of has spaces or colons.
var importPath = regexp.MustCompile(`^[\w./~+-]+$`)

// link compiles and links the program; the go command does nothing where
// nothing has changed. It returns the linked file.
func (b *builder) link(ctx context.Context, go_ command, tools toolchain, t target, p *program, work string) (string, error) {
	linked := filepath.Join(work, "linked")
	patterns, err := b.addImports(ctx, go_, t, p, work)
	if err != nil {
		return "", err
	}
	return linked, b.compile(ctx, go_, p, patterns, work, linked, b.linkerFlags(tools))
}

// compile runs go build for patterns, the packages of p, and tells what it
// compiles.
func (b *builder) compile(ctx context.Context, go_ command, p *program, patterns []string, work, linked, ldflags string) error {
	flags, err := p.overlay.write(work)
	if err != nil {
		return err
	}
	args := []string{"build", "-v", "-trimpath", "-buildvcs=false", "-o", linked, "-ldflags=" + ldflags}
	args = slices.Concat(args, b.compilerFlags(), b.profileFlags(p), b.tagFlags(), flags, []string{"--"}, patterns)
	_, err = go_.run(ctx, func(line string) bool {
		if !importPath.MatchString(line) {
			return false
		}
		b.say("compiled %s", line)
		return true
	}, args...)
	if err != nil {
		return p.cgoHint(b.explain(err, p.ImportPath))
	}
	return nil
}

// linkerFlags are an image's, see userFlags.
func (b *builder) linkerFlags(tools toolchain) string {
	return b.userFlags(tools, "-checklinkname=0", "-E", EntrySymbol)
}

// userFlags are the linker's: ours, then those of GOFLAGS, then the user's, which
// win.
func (b *builder) userFlags(tools toolchain, flags ...string) string {
	for _, f := range strings.Fields(tools.flags) {
		if _, value, ok := strings.Cut(f, "-ldflags="); ok {
			flags = append(flags, value)
		}
	}
	if b.options.LDFlags != "" {
		flags = append(flags, b.options.LDFlags)
	}
	return strings.Join(flags, " ")
}

// compilerFlags keep the kernel optimised where GOFLAGS says -gcflags for all
// packages, as debuggers ask for: unoptimised, its system calls' frames don't fit
// a goroutine's stack. The argument would hide those of GOFLAGS, so it repeats
// them.
func (b *builder) compilerFlags() (args []string) {
	for _, flag := range splitFlags(b.goflags) {
		if value, ok := strings.CutPrefix(strings.TrimLeft(flag, "-"), "gcflags="); ok {
			args = append(args, "-gcflags="+value)
		}
	}
	if len(args) == 0 {
		return nil
	}
	return append(args, "-gcflags="+kernelPath+"/...=", "-gcflags=pith/abi/...=")
}

// inliningProfile tells the compiler which calls of a start to inline, in the kernel
// and in the standard library. Command image/inlining makes it.
const inliningProfile = "kernel/inlining.pgo"

// profileFlags hand the compiler the kernel's profile where the program has none of its
// own: default.pgo beside its main package, or one that GOFLAGS names.
func (b *builder) profileFlags(p *program) []string {
	own := slices.ContainsFunc(splitFlags(b.goflags), func(flag string) bool {
		return strings.HasPrefix(strings.TrimLeft(flag, "-"), "pgo=")
	})
	if _, err := os.Stat(filepath.Join(p.Dir, "default.pgo")); err == nil || own || b.profile == "" {
		return nil
	}
	return []string{"-pgo=" + b.profile}
}

// splitFlags splits GOFLAGS, where a flag may stand in quotes.
func splitFlags(text string) (flags []string) {
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		end := strings.IndexByte(text, ' ')
		if quote := text[0]; quote == '\'' || quote == '"' {
			text = text[1:]
			end = strings.IndexByte(text, quote)
		}
		if end < 0 {
			return append(flags, text)
		}
		flags = append(flags, text[:end])
		text = text[end+1:]
	}
	return flags
}

// cgoHint adds which packages were built without their C parts to an error
// that may stem from that.
func (p *program) cgoHint(err error) error {
	var mistake *pith.Error
	if len(p.cgo) == 0 || !errors.As(err, &mistake) {
		return err
	}
	return pith.Errorf("%w\n(%s: built without cgo, which a unikernel has no C library for)", err, strings.Join(p.cgo, ", "))
}

// manifest says what the image will be; its least memory is not known yet.
func (b *builder) manifest(tools toolchain, kernel *sources, p *program) pith.Manifest {
	m := pith.Manifest{
		ABI:     abi.Version,
		Name:    p.name,
		Go:      tools.version,
		Package: p.ImportPath,
		Stack:   b.options.Stack,
		Kernel:  kernel.hash,
		Args:    b.options.Args,
		Env:     b.options.Vars,

		CPUs:          b.options.CPUs,
		DefaultMemory: b.options.Memory,
		Override:      b.options.Override,
	}
	for _, f := range b.options.Files {
		m.Files = append(m.Files, f.Target)
	}
	if p.Module != nil {
		m.Module, m.Version = p.Module.Path, p.version
	}
	return m
}

// finish makes the image of the linked file, unless it is there already.
func (b *builder) finish(linked string, m pith.Manifest, work string) (*Image, error) {
	output := b.output(m.Name, work)
	data, err := os.ReadFile(linked)
	if err != nil {
		return nil, err
	}
	files, err := pack(b.options.Files)
	if err != nil {
		return nil, err
	}
	img, err := makeImage(data, files, m, b.options.Strip)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.Package, err)
	}
	if err := b.keepSymbols(data); err != nil {
		return nil, err
	}
	old, err := os.ReadFile(output)
	if err != nil || string(old) != string(img) {
		b.say("writing %s (%.1f MB)", output, float64(len(img))/1e6)
		if err := writeFile(output, img, 0o755); err != nil {
			return nil, err
		}
		b.cache.Added(work)
	}
	b.cache.Added()
	return open(output, b.cache)
}

// output is the image's file: the one asked for, in the folder asked for, or
// one in the cache.
func (b *builder) output(name, work string) string {
	output := b.options.Output
	switch {
	case output == "":
		return filepath.Join(work, name+".elf")
	case !filepath.IsAbs(output):
		output = filepath.Join(b.dir, output)
	}
	if isDir(output) {
		return filepath.Join(output, name+".elf")
	}
	return output
}

// LeastMemory estimates the least memory of a machine for an image, in bytes:
// where its last segment ends, and room for page tables, stacks, the heap's
// first arena and the network's buffers.
func LeastMemory(segments []elf.Prog64) int64 {
	const room, unit = 3 << 20, 1 << 20
	var end uint64
	for _, s := range segments {
		if elf.ProgType(s.Type) == elf.PT_LOAD {
			end = max(end, s.Paddr+s.Memsz)
		}
	}
	return int64((end + room + unit - 1) / unit * unit)
}
